"""The values that pass between plugins: [Tokens][], and [MediaBatch][] on the way into an encoder."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Tokens:
    """A batch of token sequences, padded to one length; padding may lie anywhere.

    - `values [B, T, D]` float.
    - `mask [B, T]` bool, True = a real token; None when all are real. A clip that lacks the modality has an
      all-False row: what `values` holds there means nothing and must not be read.
    - `times [B, T]` float32 seconds from the start of the clip, or None.
    - `attribution [B, M]` float, how much each of a fusion's M inputs counted (rows sum to 1, or to 0 when
      nothing was there to count), in the order of the fuser's inputs; None for anything but a fusion.
    """

    values: Tensor
    mask: Tensor | None = None
    times: Tensor | None = None
    attribution: Tensor | None = None

    def valid(self) -> Tensor:
        """The mask `[B, T]` bool, all True when there is none."""
        if self.mask is not None:
            return self.mask
        return torch.ones(self.values.shape[:2], dtype=torch.bool, device=self.values.device)

    def zeroed(self) -> Tensor:
        """`values [B, T, D]` with every padded position set to exactly 0, whatever it held (NaN included)."""
        if self.mask is None:
            return self.values
        return self.values.masked_fill(~self.mask[..., None], 0.0)


@dataclass(frozen=True, eq=False)
class Prepared:
    """What one encoder needs of one clip, ready to be batched: `values [T, ...]`, `times [T]` float32 seconds.

    The dtype of `values` is the encoder's choice (uint8 pixels travel four times lighter than floats). With `encoded`
    they are that encoder's tokens `[T, D]` already, kept from an earlier run.
    """

    values: Tensor
    times: Tensor
    encoded: bool = False


@dataclass(frozen=True, eq=False)
class MediaBatch:
    """[Prepared][] values of several clips: `values [B, T, ...]`, `mask [B, T]` bool, `times [B, T]` float32."""

    values: Tensor
    mask: Tensor
    times: Tensor
    encoded: bool = False

    def to(self, device: torch.device | str) -> MediaBatch:
        """The same batch on `device`."""
        return replace(self, values=self.values.to(device), mask=self.mask.to(device), times=self.times.to(device))

    def rows(self) -> Iterator[MediaBatch | None]:
        """Each clip as a batch of its own, without padding; None for a clip that lacks the stream."""
        for values, mask, times in zip(self.values, self.mask, self.times, strict=True):
            has_stream = bool(mask.any())
            yield (
                MediaBatch(values[mask][None], mask[mask][None], times[mask][None], self.encoded)
                if has_stream
                else None
            )


def stack(samples: Sequence[Prepared | None]) -> MediaBatch | None:
    """Right-pad `samples` along T into one batch; an absent one (None) becomes an all-False row.

    Returns None when every sample is absent. Raises ValueError when shapes beyond T differ, or only some are encoded.
    """
    present = [sample for sample in samples if sample is not None]
    if not present:
        return None
    first = present[0].values
    if any(sample.values.shape[1:] != first.shape[1:] for sample in present):
        raise ValueError(f"samples differ in shape: {sorted({tuple(s.values.shape[1:]) for s in present})}")
    if any(sample.encoded != present[0].encoded for sample in present):
        raise ValueError("some samples are encoded and some are not")
    length = max(sample.values.shape[0] for sample in present)
    values = first.new_zeros((len(samples), length, *first.shape[1:]))
    mask = torch.zeros((len(samples), length), dtype=torch.bool)
    times = torch.zeros((len(samples), length), dtype=torch.float32)
    for row, sample in enumerate(samples):
        if sample is not None:
            count = sample.values.shape[0]
            values[row, :count], mask[row, :count], times[row, :count] = sample.values, True, sample.times
    return MediaBatch(values, mask, times, present[0].encoded)
