"""Training on clips as if they lacked a modality, so that one that really does is not a surprise."""

from __future__ import annotations

import random
from dataclasses import replace

from affectgpt.core.pipeline import Pipeline
from affectgpt.data.clips import Sample

SUBTITLE = "subtitle"


class ModalityDropout:
    """Takes one thing away from a sample with probability `chance`: a stream (from every encoder that reads it) or
    the subtitle, each as likely. The last stream that a clip has is never taken.
    """

    def __init__(self, pipeline: Pipeline, chance: float) -> None:
        self.chance = chance
        self.random = random.Random(pipeline.plan.config.seed)
        self.streams: dict[str, list[str]] = {}
        for name, node in pipeline.plan.encoders.items():
            self.streams.setdefault(node.config.input, []).append(name)

    def apply(self, sample: Sample) -> Sample:
        """The sample, or a copy without one of its modalities."""
        if self.chance == 0 or self.random.random() >= self.chance:
            return sample
        there = [
            stream for stream, names in self.streams.items() if any(sample.media[name] is not None for name in names)
        ]
        choices = [*(there if len(there) > 1 else []), *([SUBTITLE] if sample.subtitle.strip() else [])]
        if not choices:
            return sample
        gone = self.random.choice(choices)
        if gone == SUBTITLE:
            return replace(sample, subtitle="")
        media = {name: None if name in self.streams[gone] else each for name, each in sample.media.items()}
        return replace(sample, media=media)
