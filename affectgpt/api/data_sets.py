"""Write synthetic clips, and read labelled clips of files and folders."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from affectgpt.api.resolve import Progress, path_of, progress_callback
from affectgpt.data.example import Example as Example
from affectgpt.registry.errors import ConfigError, DataError

if TYPE_CHECKING:
    from affectgpt.core.tokens import Prepared
    from affectgpt.data.samples import BrokenClip as BrokenClip
    from affectgpt.data.samples import Sample as Sample
    from affectgpt.media.clip import Clip
else:
    # The module of these classes imports torch.
    def __getattr__(name: str) -> object:
        if name not in ("BrokenClip", "Sample"):
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module("affectgpt.data.samples"), name)


Data: TypeAlias = "str | Path | Sequence[Example] | Sequence[Sample]"
"""A manifest, a data set folder, a list of [Example][], or a list of [Sample][]."""


def synth(
    folder: str | Path,
    *,
    clips: int = 64,
    seed: int = 0,
    split: Literal["train", "test"] | None = None,
    layout: Literal["mer2025", "unibench"] = "mer2025",
    without: Sequence[str] = (),
    workers: int = 0,
    progress: Progress = None,
) -> Path:
    """Write synthetic clips with drawn faces and synthesised voices whose combination is the emotion.

    `layout="mer2025"` writes `clips` of them as a training set of MER2025; `layout="unibench"` writes miniatures of the
    nine test sets of MER-UniBench, each with `clips` clips of the split "test". The same `seed` gives the same clips;
    the splits "train" (None: this one) and "test" share no face and no voice. `without=("face",)` leaves the faces
    out of a training set's clips, and its descriptions say nothing of a face; so with "sound", "speech" (a room is
    heard) and "subtitle". An earlier set of synthetic clips in `folder` is replaced. Returns the folder.

    Raises ConfigError for impossible values, DataError when `folder` holds anything else, RunError when a worker dies
    or the disk refuses.
    """
    folder = path_of(folder, "folder")
    with progress_callback(progress) as on_progress:
        if layout == "unibench":
            if split == "train":
                raise ConfigError(
                    "the test sets of MER-UniBench are made of test clips",
                    where="split",
                    found="train",
                    expected="test",
                    hint="leave it out",
                )
            if without:
                raise ConfigError(
                    "the test sets of MER-UniBench are made of whole clips", where="without", hint="leave it out"
                )
            from affectgpt.synthetic.unibench import write_unibench

            write_unibench(
                folder,
                clips_per_set=clips,
                seed=seed,
                workers=workers,
                progress=lambda done, total: on_progress("writing test sets", done, total),
            )
            return folder
        if layout != "mer2025":
            raise ConfigError("unknown layout", where="layout", found=repr(layout), expected="mer2025 or unibench")
        from affectgpt.synthetic.clips import write_clips

        name = "train" if split is None else split
        write_clips(
            folder,
            clips=clips,
            seed=seed,
            split=name,
            without=without,
            workers=workers,
            progress=lambda done, total: on_progress(f"writing {name} clips", done, total),
        )
    return folder


def read_examples(path: str | Path) -> list[Example]:
    """The labelled clips of a manifest (.csv, .jsonl, .parquet) or of a folder in the layout of MER2025.

    Raises DataError when there is no such file or folder, or with every problem found in it.
    """
    from affectgpt.data.datasets import read_examples

    return read_examples(path_of(path, "path"))


def read_samples(
    examples: Sequence[Example],
    prepare: Callable[[Clip], dict[str, Prepared | None]],
    target: Literal["description", "labels", "mixed"] = "description",
    *,
    workers: int = 0,
    allow_unreadable: float = 0.0,
    progress: Progress = None,
) -> tuple[list[Sample], list[BrokenClip]]:
    """Decode and prepare all examples, in order, and keep them in memory; also the broken ones, which are left out.

    `prepare` is the method of a [Pipeline][affectgpt.Pipeline]; `target` is what the model is to learn. Raises
    DataError when more than the share `allow_unreadable` of the clips are broken, when no clip is left, and when an
    example lacks its target.
    """
    from affectgpt.data.samples import read_samples as read

    with progress_callback(progress) as on_progress:
        return read(
            examples,
            prepare,
            target,
            workers=workers,
            allow_unreadable=allow_unreadable,
            progress=lambda done, total: on_progress("reading clips", done, total),
        )


def read_data(data: Data, argument: str) -> Sequence[Example] | Sequence[Sample]:
    """The clips of `data`, read when it is a path. Raises DataError, also for a list of anything else."""
    if isinstance(data, str | Path):
        from affectgpt.data.datasets import read_examples

        return read_examples(path_of(data, argument))
    expected = "a manifest, a data set folder, a list of Example, or a list of Sample"
    if not isinstance(data, Iterable) or isinstance(data, Mapping):
        raise DataError("these are not clips with labels", where=argument, found=type(data).__name__, expected=expected)
    clips = list(data)
    if not clips:
        raise DataError("there is no clip", where=argument, found="an empty list", expected=expected)
    examples = [clip for clip in clips if isinstance(clip, Example)]
    if len(examples) == len(clips):
        return examples
    from affectgpt.data.samples import Sample

    samples = [clip for clip in clips if isinstance(clip, Sample)]
    if len(samples) == len(clips):
        return samples
    kinds = sorted({type(clip).__name__ for clip in clips})
    raise DataError(
        "these are not clips with labels",
        where=argument,
        found=f"a list of {' and '.join(kinds)}",
        expected=expected,
    )
