"""A batch of clips on its way into a pipeline, and the sequence of embeddings that the LLM reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from affectgpt.core.tokens import MediaBatch, Prepared, stack


@dataclass(frozen=True, eq=False)
class Batch:
    """Clips ready for the model: per encoder its media (None when no clip of the batch has it), and the words."""

    media: Mapping[str, MediaBatch | None]
    subtitles: Sequence[str]

    def __len__(self) -> int:
        return len(self.subtitles)

    def to(self, device: torch.device | str) -> Batch:
        """The same batch on `device`."""
        return replace(self, media={name: each.to(device) if each else None for name, each in self.media.items()})

    def without(self, encoders: Sequence[str], *, subtitle: bool = False) -> Batch:
        """The batch as if no clip had what `encoders` read (and no words, with `subtitle`)."""
        media = {name: None if name in encoders else each for name, each in self.media.items()}
        return Batch(media, ["" for _ in self.subtitles] if subtitle else self.subtitles)


def collate(samples: Sequence[Mapping[str, Prepared | None]], subtitles: Sequence[str]) -> Batch:
    """One batch from the prepared media of several clips (the same encoders for each) and their subtitles."""
    names = list(samples[0])
    return Batch({name: stack([sample[name] for sample in samples]) for name in names}, list(subtitles))


def pad(rows: Sequence[Tensor], side: str) -> tuple[Tensor, Tensor]:
    """Rows `[T_i, ...]` -> `[B, T, ...]` padded with 0 on the "left" or "right", and the mask `[B, T]` bool."""
    length = max(row.shape[0] for row in rows)
    values = rows[0].new_zeros((len(rows), length, *rows[0].shape[1:]))
    mask = torch.zeros((len(rows), length), dtype=torch.bool, device=rows[0].device)
    for index, row in enumerate(rows):
        where = slice(length - row.shape[0], length) if side == "left" else slice(0, row.shape[0])
        values[index, where] = row
        mask[index, where] = True
    return values, mask
