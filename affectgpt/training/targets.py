"""What a model learns to say of a clip, and what it is asked: a description, labels, or one of the two at random."""

from __future__ import annotations

import random

from affectgpt.core.config import PromptConfig
from affectgpt.data.clips import Sample, Target


def answer_and_question(sample: Sample, target: Target, prompt: PromptConfig, chance: random.Random) -> tuple[str, str]:
    """The answer to learn and the question that it answers.

    Of a clip that has both, `mixed` takes description or labels, each as likely (the released AffectGPT's training);
    of one that has only one, that one. Labels stand in a row in the config's `labels_answer`.
    """
    labels = target == "labels" or (target == "mixed" and not sample.description)
    if target == "mixed" and sample.description and sample.labels:
        labels = chance.random() < 0.5
    if not labels:
        return sample.description, prompt.question
    said = prompt.labels_answer.replace("{labels}", ", ".join(sample.labels))
    return said, prompt.labels_question or prompt.question
