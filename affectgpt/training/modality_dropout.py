"""Training on clips as if they lacked a modality, so that one that really does is not a surprise."""

from __future__ import annotations

import random
from dataclasses import replace

from affectgpt.core.plan import Plan
from affectgpt.data.samples import Sample

SUBTITLE = "subtitle"


class ModalityDropout:
    """Takes one thing away from a sample with probability `chance`: a stream (from every encoder that reads it) or
    the subtitle, each as likely. The last stream that a clip has is never taken.
    """

    def __init__(self, plan: Plan, chance: float) -> None:
        self.chance = chance
        self.streams: dict[str, list[str]] = {}
        for name, node in plan.encoders.items():
            self.streams.setdefault(node.config.input, []).append(name)

    def apply(self, sample: Sample, draw: random.Random) -> Sample:
        """The sample, or a copy without one of its modalities, as `draw` decides."""
        if self.chance == 0 or draw.random() >= self.chance:
            return sample
        there = [
            stream for stream, names in self.streams.items() if any(sample.media[name] is not None for name in names)
        ]
        choices = [*(there if len(there) > 1 else []), *([SUBTITLE] if sample.subtitle.strip() else [])]
        if not choices:
            return sample
        gone = draw.choice(choices)
        if gone == SUBTITLE:
            return replace(sample, subtitle="")
        media = {name: None if name in self.streams[gone] else each for name, each in sample.media.items()}
        return replace(sample, media=media)
