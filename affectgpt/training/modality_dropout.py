"""Drop modalities at random in training, so that the model copes with clips that lack one."""

from __future__ import annotations

import random
from dataclasses import replace

from affectgpt.core.plan import Plan
from affectgpt.data.samples import Sample

SUBTITLE = "subtitle"


class ModalityDropout:
    """Removes one modality of a sample with probability `chance`: a stream (from every encoder that reads it) or
    the subtitle, each with equal probability. The last stream of a clip is never removed.
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
        present = [
            stream for stream, names in self.streams.items() if any(sample.media[name] is not None for name in names)
        ]
        choices = [*(present if len(present) > 1 else []), *([SUBTITLE] if sample.subtitle.strip() else [])]
        if not choices:
            return sample
        modality = draw.choice(choices)
        if modality == SUBTITLE:
            return replace(sample, subtitle="")
        media = {name: None if name in self.streams[modality] else prepared for name, prepared in sample.media.items()}
        return replace(sample, media=media)
