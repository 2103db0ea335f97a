"""The share of each modality in an answer, measured by leaving it out."""

from __future__ import annotations

from collections.abc import Sequence

from affectgpt.core.batch import Batch
from affectgpt.core.pipeline import Pipeline


def influence(
    pipeline: Pipeline, batch: Batch, answers: Sequence[str], question: str | None = None
) -> list[dict[str, float | None]]:
    """Per clip, the share of each modality in its answer; None for one that the clip lacks.

    The answer's log-probability is compared with and without the modality (leave-one-out occlusion); a drop
    below 0 counts as 0, and the drops are divided by their sum. All shares are 0 when taking anything away
    never made the answer less likely. Streams read by several encoders are taken from all of them.
    """
    config = pipeline.plan.config
    streams: dict[str, list[str]] = {}
    for name, node in config.encoders.items():
        streams.setdefault(node.config.input, []).append(name)
    full = pipeline.log_likelihood(batch, answers, question)
    drops: dict[str, list[float | None]] = {}
    for stream, encoders in streams.items():
        present = [
            any(media is not None and bool(media.mask[row].any()) for media in map(batch.media.get, encoders))
            for row in range(len(batch))
        ]
        lost = full - pipeline.log_likelihood(batch.without(encoders), answers, question)
        drops[stream] = [max(0.0, value) if here else None for value, here in zip(lost.tolist(), present, strict=True)]
    if any(part.kind == "subtitle" for part in pipeline.plan.parts):
        lost = full - pipeline.log_likelihood(batch.without((), subtitle=True), answers, question)
        drops["subtitle"] = [
            max(0.0, value) if text.strip() else None
            for value, text in zip(lost.tolist(), batch.subtitles, strict=True)
        ]
    shares: list[dict[str, float | None]] = []
    for row in range(len(batch)):
        total = sum(values[row] or 0.0 for values in drops.values())
        shares.append({name: _share(values[row], total) for name, values in drops.items()})
    return shares


def _share(drop: float | None, total: float) -> float | None:
    return None if drop is None else drop / total if total > 0 else 0.0
