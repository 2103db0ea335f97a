"""Examples -> what a pipeline reads: opened, decoded and prepared in worker processes, a broken clip told by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from torch.utils.data import DataLoader, Dataset

from affectgpt.core.batch import Batch, collate
from affectgpt.core.tokens import Prepared
from affectgpt.data.example import Example
from affectgpt.data.opening import open_example
from affectgpt.data.showing import first_of
from affectgpt.media.clip import Clip
from affectgpt.registry.errors import AffectGPTError, DataError, Problem

Target = Literal["description", "labels", "mixed"]
Prepare = Callable[[Clip], dict[str, Prepared | None]]


@dataclass(frozen=True, eq=False)
class Sample:
    """A clip ready for a pipeline: the media per encoder, the subtitle, and what a model may learn to say of it.

    `description` is "" and `labels` are empty when unknown. `seconds` is the clip's length, `notes` what a reader
    should know of it (see [Clip][]).
    """

    name: str
    media: dict[str, Prepared | None]
    subtitle: str
    description: str = ""
    labels: tuple[str, ...] = ()
    seconds: float = 0.0
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class BrokenClip:
    """A clip that cannot be read, and why."""

    name: str
    problem: Problem


def refuse_untold(examples: Sequence[Example], target: Target) -> None:
    """Raise DataError when an example lacks what a model is to learn: a description, labels, or (mixed) either."""
    there: dict[Target, Callable[[Example], object]] = {
        "description": lambda each: each.description, "labels": lambda each: each.labels,
        "mixed": lambda each: each.description or each.labels,
    }  # fmt: skip
    without = [each.name for each in examples if not there[target](each)]
    if without:
        raise DataError(
            f"{len(without)} training clips have no {'description and no labels' if target == 'mixed' else target}",
            found=first_of(without), hint="set training.target to what the clips have, or leave these clips out",
        )


class ClipDataset(Dataset[Any]):
    """Decodes and prepares an example when it is asked for; gives a [Sample][] or a [BrokenClip][]."""

    def __init__(self, examples: Sequence[Example], prepare: Prepare) -> None:
        self.examples, self.prepare = examples, prepare

    def __len__(self) -> int:
        return len(self.examples)

    def __getitem__(self, index: int) -> Sample | BrokenClip:
        example = self.examples[index]
        try:
            clip = open_example(example)
            media = self.prepare(clip)
        except AffectGPTError as error:
            return BrokenClip(example.name, error.problems[0])
        return Sample(
            example.name, media, example.subtitle, example.description, example.labels, clip.duration, tuple(clip.notes)
        )


def read_samples(
    examples: Sequence[Example], prepare: Prepare, target: Target = "description", *,
    workers: int = 2, skip_broken: bool = False, progress: Callable[[int, int], None] | None = None,
) -> tuple[list[Sample], list[BrokenClip]]:  # fmt: skip
    """Prepare all examples, in order, keeping them in memory; also the broken ones that were skipped.

    Raises DataError naming every broken clip unless `skip_broken`, and when no clip is left.
    """
    refuse_untold(examples, target)
    samples: list[Sample] = []
    broken: list[BrokenClip] = []
    loader = DataLoader(ClipDataset(examples, prepare), batch_size=None, num_workers=workers)
    for done, item in enumerate(loader, 1):
        if isinstance(item, BrokenClip):
            broken.append(item)
        else:
            # A worker's tensors live in shared memory, one open file each: copy them and let those go.
            media = {
                name: Prepared(each.values.clone(), each.times.clone()) if each is not None else None
                for name, each in item.media.items()
            }
            samples.append(replace(item, media=media))
        if progress:
            progress(done, len(examples))
    if broken and not skip_broken:
        raise DataError.of([
            Problem(f"{len(broken)} of {len(examples)} clips cannot be read", hint="mend them, or use --skip-broken"),
            *(each.problem for each in broken[:20]),
        ])  # fmt: skip
    if not samples:
        raise DataError("no clip is left to read", found=f"{len(broken)} broken clips")
    return samples, broken


def batches(samples: Sequence[Sample], size: int) -> Iterator[tuple[Batch, list[Sample]]]:
    """The samples in order, `size` at a time, with the batch that a pipeline reads."""
    for start in range(0, len(samples), size):
        chosen = list(samples[start : start + size])
        yield collate([sample.media for sample in chosen], [sample.subtitle for sample in chosen]), chosen
