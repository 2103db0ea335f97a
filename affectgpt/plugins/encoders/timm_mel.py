"""`timm-mel`: windows of the log-mel spectrogram through a timm model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from affectgpt.core.token_spec import TokenSpec
from affectgpt.core.tokens import MediaBatch, Prepared, Tokens
from affectgpt.plugins.encoders.log_mel import LogMel
from affectgpt.plugins.encoders.option_types import RATE
from affectgpt.plugins.encoders.timm_mel_config import TimmMelConfig
from affectgpt.plugins.encoders.timm_model import build_timm, features
from affectgpt.plugins.encoders.unpadded import encode_unpadded
from affectgpt.plugins.encoders.windows import centres, cut_windows, window_starts

if TYPE_CHECKING:
    from affectgpt.media.clip import Clip


class TimmMel(nn.Module):
    """Windows -> log-mel pictures of one channel -> a timm model -> pooled features, `[B, T, features]`.

    Raises InterfaceError and CheckpointError as `build_timm` does.
    """

    def __init__(self, config: TimmMelConfig, output: TokenSpec) -> None:
        super().__init__()
        self.config, self.output = config, output
        self.pretrained = config.init == "pretrained"
        self.length = round(config.seconds * RATE)
        self.log_mel = LogMel(config.n_mels, config.window_ms, config.hop_ms)
        self.model = build_timm(config, channels=1, size=(config.n_mels, self.length // config.hop()), dim=output.dim)

    def prepare(self, clip: Clip) -> Prepared | None:
        """Spectrograms `[T, 1, n_mels, frames]` float16, T at most `windows`; None when the clip has no sound."""
        waveform = clip.waveform()
        if waveform is None or waveform.shape[0] == 0:
            return None
        starts = window_starts(waveform.shape[0], self.length, self.config.windows)
        mel = self.log_mel(cut_windows(waveform, self.length, starts))[:, None]
        # Half precision: |values| < 6, so the error is below 0.002, and a cached clip is half as large.
        return Prepared(mel.half(), torch.from_numpy(centres(waveform.shape[0], self.length, starts)))

    def forward(self, batch: MediaBatch) -> Tokens:
        """Spectrograms `[B, T, 1, n_mels, frames]` -> tokens `[B, T * positions, features]` float32."""
        return encode_unpadded(batch, self.output.dim, self._embed, self.config.per_picture())

    def _embed(self, pictures: Tensor) -> Tensor:
        return features(self.model, self.config, pictures.float())
