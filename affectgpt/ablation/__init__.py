"""Training and trying several variants of a pipeline on the same clips, over several seeds."""
