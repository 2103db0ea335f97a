"""Saved models on the Hugging Face Hub: loading by name, the model card, uploading."""
