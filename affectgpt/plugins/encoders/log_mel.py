"""The log-mel spectrogram, the front end of the encoders that learn from it."""

from __future__ import annotations

import numpy as np
import torch
import torchaudio
from numpy.typing import NDArray
from torch import Tensor

from affectgpt.plugins.encoders.option_types import RATE

_FLOOR = 1e-6
# Speech lies between about -5 and 8 on this scale and silence at -13.8; this brings it to about -2 .. 2.
_CENTRE, _SCALE = -2.0, 4.0


class LogMel:
    """Waveform `[..., S]` -> `(ln(mel power + 1e-6) + 2) / 4`, `[..., n_mels, S // hop]` float32.

    Hann windows of `window_ms`, centred on multiples of `hop_ms`; HTK mel scale from 0 to 8000 Hz. The offset and
    the scale are fixed, so loudness is kept, and silence is finite. Not a module: it works in data-loading workers,
    where the encoder's own weights may lie on another device.
    """

    def __init__(self, n_mels: int, window_ms: float, hop_ms: float) -> None:
        self.window = torch.hann_window(round(window_ms * RATE / 1000))
        self.hop = round(hop_ms * RATE / 1000)
        # More bands than the transform's bins can tell apart would leave bands empty.
        least = max(self.window.shape[0], 1024 if n_mels > 80 else 512)
        self.points = 1 << (least - 1).bit_length()
        # The function looks at the values, also where modules are built on "meta".
        with torch.device("cpu"):
            self.bands = torchaudio.functional.melscale_fbanks(self.points // 2 + 1, 0.0, RATE / 2, n_mels, RATE)

    def __call__(self, waveform: NDArray[np.float32]) -> Tensor:
        """The spectrogram of `waveform [..., S]`, S at least `hop`."""
        power = torchaudio.functional.spectrogram(
            torch.from_numpy(np.ascontiguousarray(waveform)),
            0,
            self.window,
            self.points,
            self.hop,
            self.window.shape[0],
            2.0,
            False,
            pad_mode="constant",
        )
        frames = power[..., : waveform.shape[-1] // self.hop]
        mel = torch.einsum("...ft,fm->...mt", frames, self.bands)
        return ((mel + _FLOOR).log() - _CENTRE) / _SCALE
