"""A wheel as a sunburst: three rings (level 1, level 2, words) around the arrows of its mistakes. Geometry only.

Angles are in radians, clockwise from the top; lengths in units of the picture, whose centre is the origin.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from affectgpt.unibench.report import colours
from affectgpt.unibench.report.plain_text import label
from affectgpt.unibench.report.wheel_errors import (
    NONE,
    Counts,
    SectorConfusion,
    missed_share,
    sector_confusions,
    true_clips,
)

RINGS = ((150.0, 216.0), (218.0, 290.0), (292.0, 372.0))
"""Inner and outer radius of each level."""
PALER = (0.0, 0.35, 0.6)
SIZE = 380.0
"""Half the side of the picture."""
HUB = 24.0
ARROWS = 12
"""How many of the most frequent mistakes are drawn."""
FULL = 2 * math.pi
_SMALLEST, _LARGEST = 7.0, (13.0, 11.5, 10.5)

Tree = Mapping[str, Mapping[str, Sequence[str]]]
Point = tuple[float, float]


@dataclass(frozen=True)
class Arc:
    """A sector of `level` 1, 2 or 3 (a word) from angle `start` to `end`, in the level-1 sector `top`."""

    name: str
    top: str
    level: int
    start: float
    end: float


@dataclass(frozen=True)
class Segment:
    """A drawn [Arc][]: `path`, `fill` and `tip`; `text` turned by `turn` degrees at (`x`, `y`), "" where none fits."""

    path: str
    fill: str
    tip: str
    text: str
    ink: str
    x: float
    y: float
    turn: float
    size: float


@dataclass(frozen=True)
class Chord:
    """An arrow: `path` is its curve, `head` its point, `width` that of the curve; `tip` says what it counts."""

    path: str
    head: str
    width: float
    tip: str


@dataclass(frozen=True)
class Sunburst:
    """A drawn wheel; `hub`: whether an arrow ends at the centre, which stands for no sector."""

    segments: tuple[Segment, ...]
    chords: tuple[Chord, ...]
    hub: bool


def layout(tree: Tree) -> list[Arc]:
    """The arcs of a wheel in its order: a sector is as wide as its words together, each level is the full circle.

    A sector without words is as wide as one word.
    """
    arcs: list[Arc] = []
    widths = {top: sum(max(1, len(words)) for words in inner.values()) or 1 for top, inner in tree.items()}
    step = FULL / max(1, sum(widths.values()))
    begin = 0
    for top, inner in tree.items():
        arcs.append(Arc(top, top, 1, begin * step, (begin + widths[top]) * step))
        start = begin
        for middle, words in inner.items():
            width = max(1, len(words))
            arcs.append(Arc(middle, top, 2, start * step, (start + width) * step))
            arcs += [Arc(word, top, 3, (start + k) * step, (start + k + 1) * step) for k, word in enumerate(words)]
            start += width
        begin += widths[top]
    return arcs


def draw(tree: Tree, counts: Counts) -> Sunburst:
    """The wheel `tree`, coloured by the share of each level-1 sector that was missed in `counts`, with arrows."""
    arcs = layout(tree)
    middles = {arc.name: (arc.start + arc.end) / 2 for arc in arcs if arc.level == 1}
    drawable = {*middles, NONE}
    arrows = [
        confusion
        for confusion in sector_confusions(counts)
        if confusion.true in middles and confusion.predicted in drawable
    ][:ARROWS]
    most = max((confusion.clips for confusion in arrows), default=1.0)
    return Sunburst(
        segments=tuple(_segment(arc, counts) for arc in arcs),
        chords=tuple(_chord(confusion, middles, most) for confusion in arrows),
        hub=any(confusion.predicted == NONE for confusion in arrows),
    )


def _point(radius: float, angle: float) -> Point:
    return radius * math.sin(angle), -radius * math.cos(angle)


def _at(radius: float, angle: float) -> str:
    return "{:.2f} {:.2f}".format(*_point(radius, angle))


def arc_path(inner: float, outer: float, start: float, end: float) -> str:
    """The SVG path of a ring's piece; a full ring is two closed circles (to be filled even-odd)."""
    if end - start >= FULL - 1e-9:
        return " ".join(
            f"M{_at(r, 0)} A{r:.2f} {r:.2f} 0 0 1 {_at(r, math.pi)} A{r:.2f} {r:.2f} 0 0 1 {_at(r, 0)} Z"
            for r in (outer, inner)
        )
    large = int(end - start > math.pi)
    return (
        f"M{_at(outer, start)} A{outer:.2f} {outer:.2f} 0 {large} 1 {_at(outer, end)} "
        f"L{_at(inner, end)} A{inner:.2f} {inner:.2f} 0 {large} 0 {_at(inner, start)} Z"
    )


def _segment(arc: Arc, counts: Counts) -> Segment:
    inner, outer = RINGS[arc.level - 1]
    share = missed_share(counts, arc.top)
    fill = colours.missed_colour(share, PALER[arc.level - 1])
    middle, radius = (arc.start + arc.end) / 2, (inner + outer) / 2
    along, deep = (arc.end - arc.start) * radius, outer - inner
    size = min(_LARGEST[arc.level - 1], 0.92 * min(along, FULL * radius))
    name = label(arc.name)
    # Level 1 is written along the ring where it fits, the others outwards where they fit; never upside down.
    straight = 2 * math.sqrt((outer - size / 2) ** 2 - radius**2)
    flat = text_width(name, size) < 0.9 * min(along, straight) and (arc.level == 1 or text_width(name, size) > deep - 6)
    if not flat:
        size = min(size, max(0.75 * size, (deep - 6) / text_width(name, 1.0)))
    turn = math.degrees(middle) - (0 if flat else 90)
    if (flat and 90 < math.degrees(middle) < 270) or (not flat and math.degrees(middle) > 180):
        turn += 180
    text = name if flat else ellipsize(name, deep - 6, size)
    x, y = _point(radius, middle)
    return Segment(
        path=arc_path(inner, outer, arc.start, arc.end),
        fill=colours.hexadecimal(fill),
        tip=_tip(arc, counts, share),
        text=text if size >= _SMALLEST else "",
        ink=colours.text_color_on(fill),
        x=x,
        y=y,
        turn=turn,
        size=size,
    )


def _tip(arc: Arc, counts: Counts, share: float | None) -> str:
    path = label(arc.name) if arc.level == 1 else f"{label(arc.top)} › {label(arc.name)}"
    if share is None:
        return f"{path}: no true clip"
    return f"{path}: {100 * share:.0f} % of {true_clips(counts, arc.top):.4g} true clips of {label(arc.top)} missed"


def _chord(mistake: SectorConfusion, middles: Mapping[str, float], most: float) -> Chord:
    width = 1.2 + 6.8 * mistake.clips / most
    edge = RINGS[0][0] - 4
    # Leaves left of the sector's middle and arrives right of it, so that the two directions of a pair stay apart.
    leaves = middles[mistake.true] - 0.045
    if mistake.predicted == NONE:
        end, bend, to = _point(HUB, leaves), _point(edge / 2, leaves), "no sector"
    else:
        arrives, to = middles[mistake.predicted] + 0.045, label(mistake.predicted)
        end, bend = _point(edge, arrives), _bend(leaves, arrives)
    curve, head = _arrow(_point(edge, leaves), bend, end, 7 + 1.6 * width)
    return Chord(
        path=curve,
        head=head,
        width=width,
        tip=f"{label(mistake.true)} → {to}: {mistake.clips:.4g} clips",
    )


def _bend(leaves: float, arrives: float) -> Point:
    # Beside the centre, the more so the more opposite the ends are: the curve passes the hub without touching it.
    way = (arrives - leaves) % FULL
    return _point(80 * math.sin(way / 2) ** 2, leaves + math.copysign(math.pi / 2, math.pi - way))


def _arrow(start: Point, bend: Point, end: Point, length: float) -> tuple[str, str]:
    """A curve (quadratic Bezier) and the corners of its arrowhead, `length` long, at `end`."""
    x, y = end[0] - bend[0], end[1] - bend[1]
    norm = math.hypot(x, y)
    x, y = x / norm * length, y / norm * length
    base, side = (end[0] - x, end[1] - y), (-0.55 * y, 0.55 * x)
    corners = (end, (base[0] + side[0], base[1] + side[1]), (base[0] - side[0], base[1] - side[1]))
    curve = "M{:.2f} {:.2f} Q{:.2f} {:.2f} {:.2f} {:.2f}".format(*start, *bend, *base)
    return curve, " ".join(f"{x:.2f},{y:.2f}" for x, y in corners)


def text_width(text: str, size: float) -> float:
    """About how long `text` is at font size `size`: East Asian characters are square, others half as wide."""
    return size * sum(1.0 if unicodedata.east_asian_width(each) in "WF" else 0.56 for each in text)


def ellipsize(text: str, room: float, size: float) -> str:
    """`text`, cut with an ellipsis where it is longer than `room`."""
    if text_width(text, size) <= room:
        return text
    head = text
    while head and text_width(head + "…", size) > room:
        head = head[:-1]
    return head + "…" if head else ""
