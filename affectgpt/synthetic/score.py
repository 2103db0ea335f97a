"""How well generated texts name the emotions of synthetic clips."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from affectgpt.synthetic.script import emotions_in


@dataclass(frozen=True)
class TextScore:
    """`exact`: the share of clips whose first label is right; `f1`: mean F1 of the label sets; `clips`: how many."""

    exact: float
    f1: float
    clips: int


def score_texts(texts: Sequence[str], truths: Sequence[str]) -> TextScore:
    """Compare generated descriptions with the true ones by the labels that each ends with.

    A text without labels counts as wrong. Raises ValueError when the two differ in number or are empty.
    """
    if len(texts) != len(truths) or not texts:
        raise ValueError(f"{len(texts)} texts for {len(truths)} truths")
    exact, f1 = 0, 0.0
    for text, truth in zip(texts, truths, strict=True):
        labels, meant = emotions_in(text), emotions_in(truth)
        exact += bool(labels and meant) and labels[0] == meant[0]
        both = len(set(labels) & set(meant))
        f1 += 2 * both / (len(set(labels)) + len(set(meant))) if labels or meant else 0.0
    return TextScore(exact / len(texts), f1 / len(texts), len(texts))
