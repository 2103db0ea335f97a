"""The language model on another server: prompts as embeddings, the requests that carry them, and who sends them."""
