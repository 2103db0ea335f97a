"""The released AffectGPT's checkpoints: read as what they are, made into saved models of this project, and back."""
