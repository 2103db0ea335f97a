"""How long work reports its progress: to a callable, to a bar on standard error, or not at all."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

OnProgress: TypeAlias = Callable[[str, int, int | None], None]
"""Called with what is counted, how many are finished, and how many there are (None: unknown)."""

Progress: TypeAlias = OnProgress | bool | None
"""None: a bar on standard error in a terminal or notebook. True: always a bar. False: none. Or an [OnProgress][]."""


@contextmanager
def progress_callback(progress: Progress = None) -> Iterator[OnProgress]:
    """The callable that reports progress while the `with` block runs. A bar is on standard error, never on stdout."""
    if callable(progress):
        yield progress
    elif progress is False or (progress is None and not _has_display()):
        yield _ignore
    else:
        bars = _Bars()
        try:
            yield bars.update
        finally:
            bars.close()


def _ignore(what: str, done: int, total: int | None) -> None:
    pass


def _has_display() -> bool:
    return "ipykernel" in sys.modules or (sys.stderr is not None and sys.stderr.isatty())


class _Bars:
    """One tqdm bar at a time; another `what` closes the last bar and opens a new one."""

    def __init__(self) -> None:
        self.bar: Any = None
        self.what = ""

    def update(self, what: str, done: int, total: int | None) -> None:
        if self.bar is None or what != self.what:
            from tqdm.auto import tqdm

            self.close()
            self.bar, self.what = tqdm(desc=what, total=total, file=sys.stderr), what
        if total != self.bar.total:
            self.bar.total = total
        self.bar.update(done - self.bar.n)

    def close(self) -> None:
        if self.bar is not None:
            self.bar.close()
            self.bar = None
