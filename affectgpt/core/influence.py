"""The share of each modality in an answer, measured by leaving it out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch

from affectgpt.core.answer_losses import answer_losses
from affectgpt.core.batch import Batch
from affectgpt.core.pipeline import Pipeline
from affectgpt.core.tokens import Tokens

TOKENS = 4096
"""Tokens that variants of clips read together may have at most, where those of the batch itself are not more."""


@dataclass(frozen=True)
class _Variant:
    """The clip in `row` without what `encoders` read, and without words where `subtitle` is ""."""

    row: int
    encoders: tuple[str, ...]
    subtitle: str


@torch.no_grad()
def influence(
    pipeline: Pipeline,
    batch: Batch,
    answers: Sequence[str],
    question: str | None = None,
    *,
    encoded: Mapping[str, Tokens] | None = None,
) -> list[dict[str, float | None]]:
    """Per clip, the share of each modality in its answer; None for one that the clip lacks.

    The answer's log-probability is compared with and without the modality (leave-one-out occlusion); a drop
    below 0 counts as 0, and the drops are divided by their sum. All shares are 0 when taking anything away
    never made the answer less likely. Streams read by several encoders are taken from all of them.
    `encoded` are the tokens of [Pipeline.encode][] where they are known: no clip is encoded again.
    """
    if encoded is None:
        encoded = pipeline.encode(batch, one_by_one=True)
    config = pipeline.plan.config
    streams: dict[str, list[str]] = {}
    for name, node in config.encoders.items():
        streams.setdefault(node.config.input, []).append(name)
    reads_subtitle = any(part.kind == "subtitle" for part in pipeline.plan.parts)
    full = [_Variant(row, (), subtitle) for row, subtitle in enumerate(batch.subtitles)]
    reduced: dict[tuple[str, int], _Variant] = {}
    for stream, encoders in streams.items():
        masks = [media.mask for media in map(batch.media.get, encoders) if media is not None]
        present = [any(bool(mask[row].any()) for mask in masks) for row in range(len(batch))]
        reduced |= {
            (stream, row): _Variant(row, tuple(encoders), text)
            for row, text in enumerate(batch.subtitles)
            if present[row]
        }
    if reads_subtitle:
        reduced |= {
            ("subtitle", row): _Variant(row, (), "") for row, text in enumerate(batch.subtitles) if text.strip()
        }
    likelihoods = _log_likelihoods(pipeline, encoded, [*full, *reduced.values()], answers, question)
    drops = {
        (name, row): max(0.0, likelihoods[row] - value)
        for (name, row), value in zip(reduced, likelihoods[len(full) :], strict=True)
    }
    names = [*streams, *(["subtitle"] if reads_subtitle else [])]
    shares: list[dict[str, float | None]] = []
    for row in range(len(batch)):
        total = sum(drops.get((name, row), 0.0) for name in names)
        shares.append({name: _share(drops.get((name, row)), total) for name in names})
    return shares


def _log_likelihoods(
    pipeline: Pipeline,
    encoded: Mapping[str, Tokens],
    variants: Sequence[_Variant],
    answers: Sequence[str],
    question: str | None,
) -> list[float]:
    """The log-probability of the answer of each variant's clip, in nats."""
    size = max(len(answers), TOKENS // _tokens_of_a_clip(pipeline, encoded))
    values: list[float] = []
    for start in range(0, len(variants), size):
        chosen = variants[start : start + size]
        fused = pipeline.fuse({name: _rows(name, tokens, chosen) for name, tokens in encoded.items()})
        losses = answer_losses(
            pipeline,
            fused,
            [variant.subtitle for variant in chosen],
            [answers[variant.row] for variant in chosen],
            question,
            training=False,
        )
        values += torch.stack([-row.sum() for row in losses]).tolist()
    return values


def _tokens_of_a_clip(pipeline: Pipeline, encoded: Mapping[str, Tokens]) -> int:
    """At most how many tokens the fusers, or the language model, read of one clip."""
    return max(pipeline.plan.budget.total, sum(tokens.values.shape[1] for tokens in encoded.values()))


def _rows(name: str, tokens: Tokens, variants: Sequence[_Variant]) -> Tokens:
    """One row for each variant, of the encoder `name`: its clip's tokens, all masked where the variant lacks them."""
    device = tokens.values.device
    rows = torch.tensor([variant.row for variant in variants], device=device)
    has_tokens = torch.tensor([name not in variant.encoders for variant in variants], device=device)
    return replace(
        tokens,
        values=tokens.values[rows],
        mask=tokens.valid()[rows] & has_tokens[:, None],
        times=None if tokens.times is None else tokens.times[rows],
    )


def _share(drop: float | None, total: float) -> float | None:
    return None if drop is None else drop / total if total > 0 else 0.0
