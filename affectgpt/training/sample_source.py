"""Examples -> samples to train on: decoded once and kept, decoded each time, or read from a feature cache."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from affectgpt.core.pipeline import Pipeline
from affectgpt.data.example import Example
from affectgpt.data.feature_cache.reader import FeatureCache
from affectgpt.data.samples import BrokenClip, ClipDataset, Progress, check_samples, read_samples, refuse_broken
from affectgpt.training.micro_batches import Samples


@dataclass(frozen=True)
class Reading:
    """How the clips of a `pipeline` are read. Not more than the share `allow_unreadable` of them may be broken.

    `each_time` keeps nothing in memory: a clip is decoded when it is trained on. A `cache` decodes nothing.
    """

    pipeline: Pipeline
    cache: FeatureCache | None
    each_time: bool
    workers: int
    allow_unreadable: float

    @property
    def ahead(self) -> int:
        """The processes that read clips while the model trains."""
        return self.workers if self.each_time or self.cache else 0

    def read(self, examples: Sequence[Example], progress: Progress) -> tuple[Samples, list[BrokenClip]]:
        """The samples, and the clips that are left out. Every clip is opened here once, but for those of a cache.

        Raises DataError when too many clips are broken, when none is left, and when one has nothing to be learned.
        """
        if self.cache is not None:
            dataset, broken = self.cache.samples(examples, list(self.pipeline.plan.encoders))
            refuse_broken(broken, len(examples), self.allow_unreadable)
            progress(len(examples), len(examples))
            return dataset, broken
        look = check_samples if self.each_time else read_samples
        found, broken = look(
            examples,
            self.pipeline.prepare,
            self.pipeline.plan.config.training.target,
            workers=self.workers,
            allow_unreadable=self.allow_unreadable,
            progress=progress,
        )
        return (ClipDataset(found, self.pipeline.prepare) if self.each_time else found), broken  # type: ignore[arg-type]
