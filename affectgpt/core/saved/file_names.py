"""The files of a saved model, by name."""

from __future__ import annotations

CONFIG, PLUGINS = "pipeline.yaml", "plugins.json"
WEIGHTS, ADAPTER = "model.safetensors", "adapter"
ADAPTER_WEIGHTS = "adapter_model.safetensors"
