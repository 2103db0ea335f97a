"""Describe files: with this pipeline, or with its language model on a vLLM server that reads prompts as embeddings."""
