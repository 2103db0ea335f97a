"""`mel`: log-mel frames as tokens, without weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
import torchaudio
from torch import nn

from affectgpt.core.token_spec import TokenSpec
from affectgpt.core.tokens import MediaBatch, Prepared, Tokens
from affectgpt.plugins.encoders.log_mel import LogMel
from affectgpt.plugins.encoders.mel_config import MelConfig
from affectgpt.plugins.encoders.option_types import RATE

if TYPE_CHECKING:
    from affectgpt.media.clip import Clip


class Mel(nn.Module):
    """Waveform -> log-mel spectrogram -> `stack` frames joined into one token, `[B, T, n_mels * stack]`.

    Within a token the frames follow each other, each with its bands (and, with `delta`, their change) in order.
    """

    def __init__(self, config: MelConfig, output: TokenSpec) -> None:
        super().__init__()
        self.config, self.output = config, output
        self.pretrained = False
        self.log_mel = LogMel(config.n_mels, config.window_ms, config.hop_ms)

    def prepare(self, clip: Clip) -> Prepared | None:
        """Tokens `[T, D]` float32; None when the clip has no sound. Less than one token is filled up with silence."""
        waveform = clip.waveform()
        if waveform is None or waveform.shape[0] == 0:
            return None
        hop, stack = self.config.hop(), self.config.stack
        waveform = waveform[: self.config.samples()]
        waveform = np.pad(waveform, (0, max(hop * stack - waveform.shape[0], 0)))
        mel = self.log_mel(waveform)
        if self.config.delta:
            mel = torch.cat([mel, torchaudio.functional.compute_deltas(mel)])
        count = mel.shape[1] // stack
        values = mel[:, : count * stack].T.reshape(count, -1)
        times = (torch.arange(count, dtype=torch.float32) + 0.5) * (stack * hop / RATE)
        return Prepared(values, times)

    def forward(self, batch: MediaBatch) -> Tokens:
        """Tokens `[B, T, D]` float32, as prepared; padding is 0."""
        return Tokens(batch.values.masked_fill(~batch.mask[..., None], 0.0), batch.mask, batch.times)
