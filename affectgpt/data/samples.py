"""Open, decode and prepare examples in worker processes; a clip that cannot be read becomes a [BrokenClip][]."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from torch.utils.data import Dataset

from affectgpt.core.batch import Batch, collate
from affectgpt.core.tokens import Prepared
from affectgpt.data.example import Example
from affectgpt.media.clip import Clip
from affectgpt.registry.errors import AffectGPTError, DataError, PluginError, Problem
from affectgpt.registry.messages import count_and_first
from affectgpt.workers.prefetch import prefetch

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


def check_targets(examples: Sequence[Example], target: Target) -> None:
    """Raise DataError when an example lacks what a model is to learn: a description, labels, or (mixed) either."""
    target_of: dict[Target, Callable[[Example], object]] = {
        "description": lambda example: example.description,
        "labels": lambda example: example.labels,
        "mixed": lambda example: example.description or example.labels,
    }
    missing = [example.name for example in examples if not target_of[target](example)]
    if missing:
        raise DataError(
            f"{len(missing)} training clips have no {'description and no labels' if target == 'mixed' else target}",
            found=count_and_first(missing),
            hint="set training.target to what the clips have, or leave these clips out",
        )


class ClipDataset(Dataset[Any]):
    """Decodes and prepares one example per index; returns a [Sample][] or a [BrokenClip][]."""

    def __init__(self, examples: Sequence[Example], prepare: Prepare) -> None:
        self.examples, self.prepare = examples, prepare

    def __len__(self) -> int:
        return len(self.examples)

    def __getitem__(self, index: int) -> Sample | BrokenClip:
        example = self.examples[index]
        try:
            clip = example.open()
            media = self.prepare(clip)
        except PluginError:
            # A fault of an encoder, which no other clip mends.
            raise
        except AffectGPTError as error:
            return BrokenClip(example.name, error.problems[0])
        return Sample(
            example.name, media, example.subtitle, example.description, example.labels, clip.duration, tuple(clip.notes)
        )

    def worker_died(self, index: int, how: str) -> BrokenClip:
        """What stands for an example at which a process of [prefetch][affectgpt.workers.prefetch.prefetch] died."""
        example = self.examples[index]
        return BrokenClip(
            example.name,
            Problem(
                "the process that read this clip died",
                where=str(example.video),
                found=how,
                hint="its files may be damaged, or need more memory than there is",
            ),
        )


Progress = Callable[[int, int], None]
"""Called with (done, total) after each clip."""


def read_samples(
    examples: Sequence[Example],
    prepare: Prepare,
    target: Target = "description",
    *,
    workers: int = 2,
    allow_unreadable: float = 0.0,
    progress: Progress | None = None,
) -> tuple[list[Sample], list[BrokenClip]]:
    """Prepare all examples, in order, keeping them in memory; also the broken ones that were left out.

    Raises DataError naming broken clips when they are more than the share `allow_unreadable` of all, and when no clip
    is left.
    """
    samples: list[Sample] = []
    broken: list[BrokenClip] = []
    for item in _iterate_samples(examples, prepare, target, workers, progress):
        if isinstance(item, BrokenClip):
            broken.append(item)
            continue
        # What an encoder prepares may be a part of something larger, which would stay in memory along with it.
        media = {
            name: Prepared(prepared.values.clone(), prepared.times.clone(), prepared.encoded)
            if prepared is not None
            else None
            for name, prepared in item.media.items()
        }
        samples.append(replace(item, media=media))
    check_broken_share(broken, len(examples), allow_unreadable)
    return samples, broken


def check_samples(
    examples: Sequence[Example],
    prepare: Prepare,
    target: Target = "description",
    *,
    workers: int = 2,
    allow_unreadable: float = 0.0,
    progress: Progress | None = None,
) -> tuple[list[Example], list[BrokenClip]]:
    """As [read_samples][], but nothing is kept in memory: the examples that could be prepared."""
    items = _iterate_samples(examples, prepare, target, workers, progress)
    broken = {number: item for number, item in enumerate(items) if isinstance(item, BrokenClip)}
    check_broken_share(list(broken.values()), len(examples), allow_unreadable)
    return [example for number, example in enumerate(examples) if number not in broken], list(broken.values())


def _iterate_samples(
    examples: Sequence[Example], prepare: Prepare, target: Target, workers: int, progress: Progress | None
) -> Iterator[Sample | BrokenClip]:
    check_targets(examples, target)
    clips = ClipDataset(examples, prepare)
    for count, item in enumerate(prefetch(clips.__getitem__, len(examples), workers, clips.worker_died), 1):
        yield item
        if progress:
            progress(count, len(examples))


def check_broken_share(broken: Sequence[BrokenClip], count: int, allowed: float) -> None:
    """Raise DataError when more than the share `allowed` of `count` clips are broken, or all are."""
    if len(broken) > allowed * count:
        share = f"{len(broken) / count:.1%}"
        raise DataError.from_problems(
            [
                Problem(
                    f"{len(broken)} of {count} clips cannot be read",
                    found=share,
                    expected=f"at most {allowed:.1%}",
                    hint="mend them, or leave out more: allow_unreadable=0.2 is a fifth of them",
                ),
                *(each.problem for each in broken[:20]),
            ]
        )
    if len(broken) == count:
        raise DataError("no clip is left to read", found=f"{len(broken)} broken clips")


def batches(samples: Sequence[Sample], size: int) -> Iterator[tuple[Batch, list[Sample]]]:
    """The samples in order, `size` at a time, with the batch that a pipeline reads."""
    for start in range(0, len(samples), size):
        chosen = list(samples[start : start + size])
        yield collate([sample.media for sample in chosen], [sample.subtitle for sample in chosen]), chosen
