"""Frozen encoders run once over every clip, and training that reads what they gave instead of running them."""
