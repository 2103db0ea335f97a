"""[Description][]: the one row type for a clip that was described. No torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from html import escape


@dataclass(frozen=True)
class Description:
    """The text that a pipeline wrote about one clip, or the error of a clip that cannot be read.

    - `file`: the path; `<bytes>` and `<arrays>` for clips without one.
    - `text`: the description, "" with an error.
    - `subtitle`: the spoken words that the pipeline read, "" when unknown.
    - `counted`: per stream its share in the answer, from 0 to 1; None when the clip lacks the stream.
    - `fusion`: per fuser the weights that it reports of its inputs.
    - `notes`: what the clip lacks, and what was read instead.
    - `seconds`: time to read the clip, plus its share of its batch's time.
    - `error`: why there is no text, else "".
    """

    file: str
    text: str = ""
    subtitle: str = ""
    counted: dict[str, float | None] = field(default_factory=dict)
    fusion: dict[str, dict[str, float]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    seconds: float = 0.0
    error: str = ""

    def __repr__(self) -> str:
        if self.error:
            return f"Description({self.file!r}, error={self.error.splitlines()[0]!r})"
        shares = ", ".join(f"{name} {_percent(share)}" for name, share in self.counted.items())
        return f"Description({self.file!r}, {self.text!r}; {shares})"

    def _repr_html_(self) -> str:
        if self.error:
            return f"<p><b>{escape(self.file)}</b></p><pre>{escape(self.error)}</pre>"
        bars = "".join(
            f"<tr><td>{escape(name)}</td><td>{escape(_percent(share))}</td><td>{html_bar(share or 0.0)}</td></tr>"
            for name, share in self.counted.items()
        )
        notes = "".join(f"<li>{escape(note)}</li>" for note in self.notes)
        return f"<p><b>{escape(self.file)}</b></p><p>{escape(self.text)}</p><table>{bars}</table><ul>{notes}</ul>"


def _percent(share: float | None) -> str:
    return "absent" if share is None else f"{share:.0%}"


def html_bar(share: float, colour: str = "#4c78a8") -> str:
    """A horizontal bar of HTML, `share` (0 to 1, cut to that range) of 12 em wide."""
    width = 12 * min(max(share, 0.0), 1.0)
    return f'<div style="background:{colour};height:0.8em;width:{width:.2f}em"></div>'
