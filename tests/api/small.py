"""A small pipeline and three clips, for the tests of the public functions."""

from __future__ import annotations

from pathlib import Path

WRITTEN = Path(__file__).resolve().parents[1] / "earlier" / "0.1.0"
CONFIG, CLIPS = WRITTEN / "small.yaml", WRITTEN / "clips"
QUICK = ("training.steps=2", "training.warmup_steps=1", "generation.max_new_tokens=4")
