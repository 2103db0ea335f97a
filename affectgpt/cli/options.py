"""Options that several commands share."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from affectgpt import Catalog, api
from affectgpt.cli.printable import one_line
from affectgpt.cli.standard_streams import RESULT

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID

Config = Annotated[Path, typer.Argument(help="A pipeline YAML file.", show_default=False)]
Set = Annotated[
    list[str], typer.Option("--set", help="Change one value, e.g. fusers.multi.plugin=mean. May be repeated.")
]
Plugin = Annotated[
    list[str], typer.Option("--plugin", help="Load plugins from a .py file or a module. May be repeated.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
Model = Annotated[
    str,
    typer.Option(
        help="A saved model: a folder, or OWNER/NAME[@REVISION] on the Hub.", show_default="the small bundled one"
    ),
]
Sets = Annotated[list[str], typer.Option("--sets", help="Only this data set, e.g. mer2023. May be repeated.")]
Limit = Annotated[int | None, typer.Option(min=1, help="Only the first clips of each data set.")]
BatchSize = Annotated[int, typer.Option(min=1, max=1024, help="Clips at a time.")]
Workers = Annotated[int, typer.Option(min=0, max=256, help="Processes that decode clips.")]
Shares = Annotated[
    bool, typer.Option("--shares/--no-shares", help="Measure how much each modality counted, by leaving it out.")
]
Question = Annotated[str | None, typer.Option(help="What to ask instead of the model's own question.")]
Device = Literal["auto", "cpu", "cuda"]
OnDevice = Annotated[Device, typer.Option(help="Where the model runs; auto takes a GPU when there is one.")]
AllowPickle = Annotated[
    bool, typer.Option("--allow-pickle", help="Let the model's encoders read pickled weights (restricted).")
]
Wheels = Annotated[
    Path | None,
    typer.Option(
        help="The folder of the official emotion wheels, or a YAML file of your own.",
        show_default="the wheels that ship",
    ),
]
Extractor = Annotated[str, typer.Option(help="The plugin that reads labels out of texts.")]
ExtractorOptions = Annotated[
    list[str], typer.Option("--set", help="Give the extractor an option, e.g. cache=./read. May be repeated.")
]
Resamples = Annotated[
    int, typer.Option(min=0, max=100_000, help="Bootstrap replicates, at least 100; 0 for no intervals.")
]
Seed = Annotated[int, typer.Option(min=0, help="Of the resampling.")]
OnMissing = Annotated[
    Literal["error", "exclude", "wrong"], typer.Option("--missing", help="A clip that has no prediction.")
]
OnUnreadable = Annotated[
    Literal["wrong", "exclude"],
    typer.Option("--unreadable", help="A prediction that is an error or cannot be read out."),
]


def catalog_of(context: typer.Context, refs: list[str]) -> Catalog:
    """The catalog that `main` discovered, with the plugins named on the command line."""
    catalog = context.obj
    assert isinstance(catalog, Catalog)
    return api.add_plugins(catalog, refs)


def console(*, err: bool = False) -> Console:
    """A Rich console; 100 columns wide where the output is not a terminal."""
    from rich.console import Console

    stream = sys.stderr if err else RESULT
    return Console(file=None if err else RESULT, stderr=err, width=None if stream.isatty() else 100, highlight=False)


def progress() -> Progress:
    """A progress display on standard error, so that standard output stays clean."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    # Rich sends what is printed meanwhile to its own console, which must not take results out of a file or pipe.
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[note]}"),
        console=console(err=True),
        transient=False,
        redirect_stdout=sys.stdout.isatty(),
    )


class ProgressBars:
    """Called with `(what, count, total)`: one bar per `what`. The display starts with the first call."""

    def __init__(self, display: Progress) -> None:
        self._display = display
        self._is_live = False
        self._tasks: dict[str, TaskID] = {}
        self._last = ""

    def __call__(self, what: str, count: int, total: int | None) -> None:
        from rich.markup import escape

        if not self._tasks:
            self._display.start()
            self._is_live = True
        if what not in self._tasks:
            self._tasks[what] = self._display.add_task(escape(one_line(what)), total=total, note="")
        self._last = what
        self._display.update(self._tasks[what], completed=count, total=total)

    def stop(self) -> None:
        """Leave the bars as they are and move them no more: something else is written from here on."""
        # Without a display, stopping it would still write an empty line.
        if self._is_live:
            self._display.stop()
        self._is_live = False

    def note(self, text: str) -> None:
        """Show `text` at the end of the bar that was updated last."""
        if self._last:
            self._display.update(self._tasks[self._last], note=text)


@contextmanager
def progress_bars() -> Iterator[ProgressBars]:
    """A callable `(what, done, total)` that shows one bar per `what`, on standard error."""
    bars = ProgressBars(progress())
    try:
        yield bars
    finally:
        bars.stop()
