"""Descriptions on the terminal while they are written, and as lines of JSON."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from affectgpt.cli.printable import json_text, one_line, printable
from affectgpt.cli.standard_streams import echo

if TYPE_CHECKING:
    from affectgpt.core.description import Description

Event = tuple[int, "str | Description"]


def lines(events: Generator[Event], files: Sequence[Path]) -> Iterator[Description]:
    """Print one JSON object a line: `index`, `file` and the next `piece` of its text, or the whole description."""
    with closing(events):
        for index, event in events:
            if isinstance(event, str):
                row: dict[str, Any] = {"index": index, "file": str(files[index]), "piece": event}
            else:
                row = {"index": index, **asdict(event)}
            echo(json_text(row))
            if not isinstance(event, str):
                yield event


def live(
    events: Generator[Event], files: Sequence[Path], details: Callable[[Description], None]
) -> Iterator[Description]:
    """Print the text of the file whose turn it is as it comes (later ones wait), then its `details`."""
    waiting: dict[int, str] = {}
    turn, begun = 0, False
    with closing(events):
        for index, event in events:
            if isinstance(event, str):
                waiting[index] = waiting.get(index, "") + event
            if index == turn and (text := waiting.pop(turn, "")):
                head = "" if begun else f"{one_line(files[turn].name)}\n  "
                echo(head + printable(text), nl=False)
                begun = True
            if not isinstance(event, str):
                if begun:
                    echo()
                elif not event.error:
                    echo(one_line(files[turn].name))
                details(event)
                yield event
                turn, begun = turn + 1, False
