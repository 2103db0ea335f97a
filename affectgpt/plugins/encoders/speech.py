"""`speech`: windows of the waveform through HuBERT, WavLM, wav2vec 2.0 or data2vec."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel

from affectgpt.core.token_spec import TokenSpec
from affectgpt.core.tokens import MediaBatch, Prepared, Tokens
from affectgpt.plugins.encoders.loading import build_random, load_pretrained
from affectgpt.plugins.encoders.option_types import RATE
from affectgpt.plugins.encoders.speech_config import SpeechConfig
from affectgpt.plugins.encoders.unpadded import encode_unpadded
from affectgpt.plugins.encoders.windows import centres, cut_windows, window_starts

if TYPE_CHECKING:
    from affectgpt.media.clip import Clip

_EPSILON = 1e-7  # of Wav2Vec2FeatureExtractor


def _standard(values: NDArray[np.float32]) -> NDArray[np.float32]:
    exact = values.astype(np.float64)
    standard: NDArray[np.float32] = ((exact - exact.mean()) / np.sqrt(exact.var() + _EPSILON)).astype(np.float32)
    return standard


class Speech(nn.Module):
    """Windows -> hidden states -> mean of the last `layers` -> mean over time, `[B, T, hidden_size]`.

    With `tokens: all` there is no mean over time: `[B, T * frames, hidden_size]`.

    AffectGPT (Lian et al. 2025), section 3. Raises CheckpointError when weights are missing or do not fit.
    """

    def __init__(self, config: SpeechConfig, output: TokenSpec) -> None:
        super().__init__()
        values: dict[str, Any] = dict(config.model_values())
        self.config, self.output, self.per_window = config, output, config.per_window()
        self.length = round(config.seconds * RATE)
        # The fewest samples that give a frame, and the samples between two frames.
        self.least, self.step = 1, 1
        for kernel, stride in reversed(config.convolutions()):
            self.least, self.step = (self.least - 1) * stride + kernel, self.step * stride
        self.pretrained = config.init == "pretrained"
        # A layer left out at random in training would be missing from the hidden states that are averaged.
        values["layerdrop"] = 0.0
        architecture = AutoConfig.for_model(values.pop("model_type"), **values)
        if self.pretrained and config.model is not None:
            # masked_spec_embed is read only by the masking of SpecAugment, and some checkpoints lack it.
            self.model = load_pretrained(
                AutoModel,
                config.model,
                architecture,
                dtype=config.dtype,
                allow_pickle=config.allow_pickle,
                optional=(r"(.*\.)?masked_spec_embed",),
            )
        else:
            self.model = build_random(AutoModel, architecture, config.dtype)

    def prepare(self, clip: Clip) -> Prepared | None:
        """Windows `[T, L]` float32 at 16 kHz, T at most `clips`; None when the clip has no sound.

        A waveform shorter than a window is filled up after its scale was taken: with NaN, which is no sound, or (with
        `padding: read`) with zeros.
        """
        waveform = clip.waveform("sinc") if self.config.resample == "sinc" else clip.waveform()
        if waveform is None or waveform.shape[0] == 0:
            return None
        samples, scope = waveform.shape[0], self.config.normalize
        starts = window_starts(samples, self.length, self.config.clips, self.config.spread)
        windows = cut_windows(waveform, self.length, starts)
        heard = windows[:, : min(samples, self.length)]
        if scope == "window":
            heard[:] = np.stack([_standard(row) for row in heard])
        elif scope == "clip":
            heard[:] = _standard(heard)
        if self.config.padding == "left out":
            windows[:, max(samples, self.least) :] = np.nan
        return Prepared(torch.from_numpy(windows), torch.from_numpy(centres(samples, self.length, starts)))

    def forward(self, batch: MediaBatch) -> Tokens:
        """Windows `[B, T, L]` float32 -> tokens `[B, T * F, hidden_size]` float32.

        A window of a shorter sound has as many real tokens as the sound has frames. The middle of frame k lies
        (k + 1/2) steps of the convolutions after the start of its window.
        """
        if self.config.padding == "read":
            return encode_unpadded(batch, self.output.dim, self._embed, self.per_window, self.config.seconds)
        rows = batch.values[batch.mask]
        features, real = rows.new_zeros(len(rows), self.per_window, self.output.dim), batch.mask
        lengths = (~rows.isnan()).sum(dim=1)
        if self.config.normalize == "batch":
            rows = self._normalise(rows)
        # The network reads sounds of one length together and never the silence beside them, of which its norms and its
        # attention would make other features.
        for length in sorted(set(lengths.tolist())):
            alike = lengths == length
            encoded = self._states(rows[alike, :length]).view(int(alike.sum()), -1, self.output.dim)
            features[alike, : encoded.shape[1]] = encoded
        values = features.new_zeros(*batch.mask.shape, *features.shape[1:])
        values[batch.mask] = features
        times = batch.times
        if self.config.tokens == "all":
            frames = torch.tensor([self.config.frames(length) for length in lengths.tolist()], device=rows.device)
            index = torch.arange(self.per_window, device=rows.device)
            real = torch.zeros(values.shape[:3], dtype=torch.bool, device=rows.device)
            real[batch.mask] = index < frames[:, None]
            starts = torch.zeros_like(batch.times)
            starts[batch.mask] = (batch.times[batch.mask] - lengths / (2 * RATE)).clamp(min=0)
            times = (starts[..., None] + (index + 0.5) * (self.step / RATE)).flatten(1)
        return Tokens(values.flatten(1, 2), real.flatten(1), times)

    def _embed(self, windows: Tensor) -> Tensor:
        return self._states(self._normalise(windows) if self.config.normalize == "batch" else windows)

    def _normalise(self, windows: Tensor) -> Tensor:
        """Each window without its mean, all of them to variance 1; NaN stays and does not count."""
        if not bool(windows.isnan().any()):
            windows = windows - windows.mean(dim=1, keepdim=True)
            return (windows - windows.mean()) / torch.sqrt(windows.var(correction=0) + _EPSILON)
        windows = windows - windows.nanmean(dim=1, keepdim=True)
        windows = windows - windows.nanmean()
        return windows / torch.sqrt((windows**2).nanmean() + _EPSILON)

    def _states(self, windows: Tensor) -> Tensor:
        result = self.model(windows.to(getattr(torch, self.config.dtype)), output_hidden_states=True)
        # transformers 5 records the last layer before the final layer norm, 4 after it; the latter is meant.
        states = [*result.hidden_states[:-1], result.last_hidden_state]
        mean = torch.stack(states[-self.config.layers :]).float().mean(dim=0)
        return mean.mean(dim=1) if self.config.tokens == "pooled" else mean
