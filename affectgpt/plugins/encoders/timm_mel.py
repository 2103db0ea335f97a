"""`timm-mel`: windows of the log-mel spectrogram through a timm model."""

from __future__ import annotations

from bisect import bisect_left
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
from affectgpt.registry.errors import InterfaceError

if TYPE_CHECKING:
    from affectgpt.media.clip import Clip


class TimmMel(nn.Module):
    """Windows -> log-mel pictures of one channel -> a timm model -> pooled features, `[B, T, features]`.

    Raises InterfaceError and CheckpointError as `build_timm` does, and InterfaceError for a model that cannot read less
    than a window unless `padding: read` is set.
    """

    def __init__(self, config: TimmMelConfig, output: TokenSpec) -> None:
        super().__init__()
        self.config, self.output = config, output
        self.pretrained = config.init == "pretrained"
        self.length = round(config.seconds * RATE)
        self.log_mel = LogMel(config.n_mels, config.window_ms, config.hop_ms)
        frames = self.length // config.hop()
        self.model = build_timm(config, channels=1, size=(config.n_mels, frames), dim=output.dim)
        self.least = self._least_frames(frames) if config.padding == "left out" else frames

    def prepare(self, clip: Clip) -> Prepared | None:
        """Spectrograms `[T, 1, n_mels, frames]` float16, T at most `windows`; None when the clip has no sound.

        What lies beyond a sound that is shorter than a window is NaN, or (with `padding: read`) silence.
        """
        waveform = clip.waveform()
        if waveform is None or waveform.shape[0] == 0:
            return None
        starts = window_starts(waveform.shape[0], self.length, self.config.windows)
        mel = self.log_mel(cut_windows(waveform, self.length, starts))[:, None]
        if self.config.padding == "left out":
            mel[..., max(waveform.shape[0] // self.config.hop(), self.least) :] = torch.nan
        # Half precision: |values| < 6, so the error is below 0.002, and a cached clip is half as large.
        return Prepared(mel.half(), torch.from_numpy(centres(waveform.shape[0], self.length, starts)))

    def forward(self, batch: MediaBatch) -> Tokens:
        """Spectrograms `[B, T, 1, n_mels, frames]` -> tokens `[B, T * positions, features]` float32."""
        if self.config.padding == "read":
            return encode_unpadded(batch, self.output.dim, self._embed, self.config.per_picture())
        rows, count = batch.values[batch.mask], self.config.per_picture()
        encoded = torch.zeros(len(rows), count, self.output.dim, device=rows.device)
        real = torch.zeros(len(rows), count, dtype=torch.bool, device=rows.device)
        frames = (~rows[:, 0, 0].isnan()).sum(dim=1)
        # Sounds of one length are read together and never the silence beside them, which a model would pool.
        for number in sorted(set(frames.tolist())):
            alike = frames == number
            tokens = self._embed(rows[alike, ..., :number]).float().view(int(alike.sum()), -1, self.output.dim)
            encoded[alike, : tokens.shape[1]] = tokens
            real[alike, : tokens.shape[1]] = True
        values = encoded.new_zeros(*batch.mask.shape, count, self.output.dim)
        mask = real.new_zeros(values.shape[:3])
        values[batch.mask], mask[batch.mask] = encoded, real
        return Tokens(values.flatten(1, 2), mask.flatten(1), batch.times.repeat_interleave(count, dim=1))

    def _embed(self, pictures: Tensor) -> Tensor:
        return features(self.model, self.config, pictures.float())

    def _least_frames(self, frames: int) -> int:
        """The fewest frames that the model reads. Raises InterfaceError when it reads whole windows only."""
        whole = self._positions(frames)
        if self._positions(frames - 1) < min(2, whole):
            raise InterfaceError(
                "this model reads whole windows only, so a shorter sound cannot be read alone",
                where=self.config.model,
                found=f"no features of {frames - 1} frames, where a window has {frames}",
                hint="padding: read gives it the silence that fills up the window",
                path=("padding",),
            )
        # One position is not enough for the statistics of a batch with one clip.
        return bisect_left(range(frames), True, lo=1, key=lambda number: self._positions(number) >= min(2, whole))

    @torch.no_grad()
    def _positions(self, frames: int) -> int:
        """Positions of the last feature map of a spectrogram of `frames`; 0 where the model cannot read it."""
        try:
            grid: Tensor = self.model.forward_features(torch.zeros(1, 1, self.config.n_mels, frames))  # type: ignore[operator]
            self._embed(torch.zeros(1, 1, self.config.n_mels, frames))
        except Exception:
            return 0
        return grid.numel() // int(self.model.num_features)  # type: ignore[arg-type]
