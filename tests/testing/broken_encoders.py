"""Encoders that each break one promise. The check that is meant to catch each is its name."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import torch
from pydantic import field_serializer
from torch import Tensor, nn

from affectgpt import EncoderConfig, MediaBatch, Prepared, Tokens, TokenSpec, encoder


class GoodConfig(EncoderConfig):
    """One token per second of sound, at most 4."""

    streams: ClassVar[tuple[str, ...]] = ("audio",)
    frozen: bool = False

    def infer(self) -> TokenSpec:
        return TokenSpec(modality=self.input, dim=8, tokens=4, exact=False)

    def parameters(self) -> int:
        return 24


@encoder("good", config=GoodConfig)
class Good(nn.Module):
    """Loudness and extremes of each second through a linear layer. The others change one of its steps."""

    pretrained = False

    def __init__(self, config: Any, output: TokenSpec) -> None:
        super().__init__()
        self.read = nn.Linear(2, 8)

    def prepare(self, clip: Any) -> Prepared | None:
        waveform = clip.waveform()
        if waveform is None:
            return None
        parts = [part for part in np.array_split(waveform, max(1, min(4, len(waveform) // 16000)))]
        values = np.array([[np.abs(part).mean(), part.max()] for part in parts], dtype=np.float32)
        return Prepared(torch.from_numpy(values), torch.arange(len(parts), dtype=torch.float32))

    def features(self, batch: MediaBatch) -> Tensor:
        return batch.values.masked_fill(~batch.mask[..., None], 0.0)

    def forward(self, batch: MediaBatch) -> Tokens:
        return Tokens(self.read(self.features(batch)), batch.mask, batch.times)


class NarrowConfig(GoodConfig):
    def infer(self) -> TokenSpec:
        return TokenSpec(modality=self.input, dim=9, tokens=4, exact=False)


@encoder("declared-interface", config=NarrowConfig)
class Narrow(Good):
    """Narrower than declared."""


class MiscountedConfig(GoodConfig):
    def parameters(self) -> int:
        return 5


@encoder("declared-parameters", config=MiscountedConfig)
class Miscounted(Good):
    """Counts its weights wrongly."""


@encoder("absent-stream", config=GoodConfig)
class MadeUp(Good):
    """Makes up silence where there is no sound."""

    def prepare(self, clip: Any) -> Prepared | None:
        return super().prepare(clip) or Prepared(torch.zeros(1, 2), torch.zeros(1))


@encoder("padding-content", config=GoodConfig)
class MaximumOfAll(Good):
    """Adds the largest value of all rows, padding included, which is above 0 unless it holds something."""

    def features(self, batch: MediaBatch) -> Tensor:
        cleaned = super().features(batch)
        return cleaned + batch.values.isnan().any()


@encoder("batch-rows", config=GoodConfig)
class Scaled(Good):
    """Scales by the loudest clip of the batch."""

    def features(self, batch: MediaBatch) -> Tensor:
        cleaned = super().features(batch)
        return cleaned / (1 + cleaned.max() + batch.mask.sum())


@encoder("black-and-silence", config=GoodConfig)
class Normalised(Good):
    """Divides by the loudness."""

    def features(self, batch: MediaBatch) -> Tensor:
        cleaned = super().features(batch)
        loudness = cleaned[..., :1].masked_fill(~batch.mask[..., None], 1.0)
        return cleaned / loudness


@encoder("deterministic-evaluation", config=GoodConfig)
class Noisy(Good):
    """Draws a number also in evaluation."""

    def features(self, batch: MediaBatch) -> Tensor:
        return super().features(batch) * (1 + torch.rand(()))


@encoder("finite-gradients", config=GoodConfig)
class Detached(Good):
    """Trains nothing, though it is not frozen."""

    def forward(self, batch: MediaBatch) -> Tokens:
        tokens = super().forward(batch)
        still = tokens.values.detach() + self.read.weight.sum() * 0
        return Tokens(still, tokens.mask, tokens.times)


@encoder("state-dict", config=GoodConfig)
class Unsaved(Good):
    """Keeps a random factor as a plain attribute."""

    def __init__(self, config: Any, output: TokenSpec) -> None:
        super().__init__(config, output)
        self.factor = torch.rand(()) + 0.5

    def features(self, batch: MediaBatch) -> Tensor:
        return super().features(batch) * self.factor


class RoundedConfig(GoodConfig):
    rate: float = 0.123

    @field_serializer("rate")
    def _rounded(self, rate: float) -> float:
        return round(rate, 1)


@encoder("config-json", config=RoundedConfig)
class Rounded(Good):
    """Its config loses digits when it is written."""


@encoder("declared-reads", config=GoodConfig)
class Wordy(Good):
    """Reads the subtitle, which its config does not declare."""

    def prepare(self, clip: Any) -> Prepared | None:
        return super().prepare(clip) if clip.subtitle is not None else None


@encoder("wordy-of-version-1", config=GoodConfig, api_version=1)
class WordyOfBefore(Wordy):
    """As it was written before anything could be declared."""


class WordsConfig(GoodConfig):
    reads: ClassVar[tuple[str, ...]] = ("subtitle",)


@encoder("of-words", config=WordsConfig)
class Words(Good):
    """Reads nothing but the subtitle."""

    def prepare(self, clip: Any) -> Prepared | None:
        if not clip.subtitle:
            return None
        values = torch.tensor([[len(word), ord(word[0])] for word in clip.subtitle.split()[:4]]).float() / 100
        return Prepared(values, torch.arange(len(values)).float())
