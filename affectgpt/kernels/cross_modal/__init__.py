"""Attention over the tokens of several modalities without concatenating them; see README.md."""
