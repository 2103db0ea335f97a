"""Values and types of options that several encoders share. No torch, no numpy."""

from __future__ import annotations

from typing import Literal

RATE = 16000
"""Samples per second of every waveform in the project."""

ChannelOrder = Literal["rgb", "bgr"]
CHANNEL_ORDER_TEXT = 'order in which the model is given the colours; "bgr" reproduces the released AffectGPT'
WindowSpread = Literal["ends", "released"]
