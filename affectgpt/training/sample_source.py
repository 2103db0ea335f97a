"""Examples -> samples to train on: decoded once and kept, decoded each time, or read from a feature cache."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from affectgpt.core.pipeline import Pipeline
from affectgpt.data.example import Example
from affectgpt.data.feature_cache.reader import FeatureCache
from affectgpt.data.samples import BrokenClip, ClipDataset, Progress, check_broken_share, check_samples, read_samples
from affectgpt.training.micro_batches import Samples


@dataclass(frozen=True)
class SampleSource:
    """How the clips of a `pipeline` are read. At most the share `allow_unreadable` of them may be broken.

    With `each_time`, a clip is decoded each time it is used, and none stays in memory. A `cache` decodes nothing.
    """

    pipeline: Pipeline
    cache: FeatureCache | None
    each_time: bool
    workers: int
    allow_unreadable: float

    @property
    def loader_workers(self) -> int:
        """The number of processes that read clips during training."""
        return self.workers if self.each_time or self.cache else 0

    def read(self, examples: Sequence[Example], progress: Progress) -> tuple[Samples, list[BrokenClip]]:
        """The samples, and the broken clips. Every clip is opened once, except those of a cache.

        Raises DataError when too many clips are broken, when none is left, and when one has no text to learn.
        """
        if self.cache is not None:
            dataset, broken = self.cache.samples(examples, self.pipeline.plan)
            check_broken_share(broken, len(examples), self.allow_unreadable)
            progress(len(examples), len(examples))
            return dataset, broken
        read_clips = check_samples if self.each_time else read_samples
        clips_read, broken = read_clips(
            examples,
            self.pipeline.prepare_or_raise,
            self.pipeline.plan.config.training.target,
            workers=self.workers,
            allow_unreadable=self.allow_unreadable,
            progress=progress,
        )
        return (ClipDataset(clips_read, self.pipeline.prepare_or_raise) if self.each_time else clips_read), broken  # type: ignore[arg-type]
