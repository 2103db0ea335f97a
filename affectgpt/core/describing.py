"""The place for the code behind [Pipeline.describe][] and [Pipeline.stream][].

Describing a file reads media, which this folder does not import. The package's `__init__` registers a loader of the
module that does both, so that every pipeline has the two methods, however it was built. No torch.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeAlias

from affectgpt.core.description import Description

if TYPE_CHECKING:
    from affectgpt.core.pipeline import Pipeline
    from affectgpt.media.clip import Clip
    from affectgpt.workers.progress import Progress

OneClip: TypeAlias = "str | Path | bytes | Clip"
"""A path, the content of a media file, or an open clip."""


class Describer(Protocol):
    """Describes the clips of one call."""

    def describe(
        self,
        pipeline: Pipeline,
        what: OneClip | Iterable[OneClip],
        *,
        subtitle: str | None = None,
        question: str | None = None,
        batch_size: int = 8,
        workers: int = 0,
        shares: bool = True,
        progress: Progress = None,
    ) -> Description | list[Description]:
        """See [Pipeline.describe][]."""

    def stream(
        self,
        pipeline: Pipeline,
        what: OneClip | Iterable[OneClip],
        *,
        subtitle: str | None = None,
        question: str | None = None,
        batch_size: int = 1,
        workers: int = 0,
        shares: bool = True,
    ) -> Generator[tuple[int, str | Description]]:
        """See [Pipeline.stream][]."""


_loaders: list[Callable[[], Describer]] = []


def register_describer(load: Callable[[], Describer]) -> None:
    """Make `load()` the describer of all pipelines; it is called when a clip is described."""
    _loaders[:] = [load]


def load_describer() -> Describer:
    """The registered describer."""
    return _loaders[-1]()
