"""The names of what a saved model holds: files, and the folder `adapter` with its own weights."""

from __future__ import annotations

CONFIG, PLUGINS = "pipeline.yaml", "plugins.json"
WEIGHTS, ADAPTER = "model.safetensors", "adapter"
ADAPTER_WEIGHTS = "adapter_model.safetensors"
