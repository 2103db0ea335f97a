"""Options and interface of the encoder `mel`, and of every log-mel spectrogram. No torch."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from affectgpt.core.contracts import EncoderConfig
from affectgpt.core.token_spec import TokenSpec
from affectgpt.plugins.encoders.option_types import RATE
from affectgpt.registry.spec import PluginSpec

SPEC = PluginSpec(
    kind="encoder",
    name="mel",
    config=f"{__name__}:MelConfig",
    target="affectgpt.plugins.encoders.mel:Mel",
    summary="log-mel energies of the sound, no weights (torchaudio)",
)


class MelOptions(EncoderConfig, defer_build=True):
    """The spectrogram: its number of mel bands, and the length and the distance of its frames."""

    streams: ClassVar[tuple[str, ...]] = ("audio",)

    n_mels: int = Field(default=64, ge=8, le=128, description="mel bands from 0 to 8000 Hz")
    window_ms: float = Field(default=25.0, ge=5, le=60, description="length of a frame")
    hop_ms: float = Field(default=10.0, ge=2, le=60, description="distance between two frames")

    def hop(self) -> int:
        """Distance between two frames in samples."""
        return round(self.hop_ms * RATE / 1000)


class MelConfig(MelOptions):
    """`mel`: the log-mel spectrogram itself, `stack` frames joined into one token. No weights.

    At most `max_seconds` from the start are read.
    """

    feature_version: ClassVar[int | None] = 1

    stack: int = Field(default=10, ge=1, le=100, description="spectrogram frames in one token")
    delta: bool = Field(default=False, description="also the change over time, which doubles the width")
    max_seconds: float = Field(default=10.0, gt=0, le=600, description="how much of the clip is read")

    def samples(self) -> int:
        """Number of samples that are read at most."""
        return max(round(self.max_seconds * RATE), self.hop() * self.stack)

    def infer(self) -> TokenSpec:
        width = self.n_mels * self.stack * (2 if self.delta else 1)
        tokens = self.samples() // self.hop() // self.stack
        return TokenSpec(modality=self.input, dim=width, tokens=tokens, exact=False)

    def parameters(self) -> int:
        return 0
