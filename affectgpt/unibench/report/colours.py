"""The colours of the share of clips that were missed: from pale (none) to dark red (all), ever darker."""

from __future__ import annotations

RAMP = ((254, 240, 217), (253, 204, 138), (252, 141, 89), (215, 48, 31), (122, 4, 3))
UNKNOWN = (200, 204, 210)
"""For a sector that no true clip belongs to."""

Colour = tuple[int, int, int]


def missed_colour(share: float | None, paler: float = 0.0) -> Colour:
    """The colour of `share` in [0, 1] missed (None: unknown), mixed with white by `paler` in [0, 1]."""
    colour = UNKNOWN if share is None else _on_ramp(min(1.0, max(0.0, share)))
    return _mix(colour, (255, 255, 255), paler)


def _on_ramp(share: float) -> Colour:
    position = share * (len(RAMP) - 1)
    low = min(int(position), len(RAMP) - 2)
    return _mix(RAMP[low], RAMP[low + 1], position - low)


def _mix(first: Colour, second: Colour, share: float) -> Colour:
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(first, second, strict=True))
    return red, green, blue


def hexadecimal(colour: Colour) -> str:
    """`colour` as `#rrggbb`."""
    return "#{:02x}{:02x}{:02x}".format(*colour)


def text_color_on(colour: Colour) -> str:
    """Black or white, whichever stands out more on `colour` (WCAG 2.2, contrast ratio of relative luminances)."""
    light = luminance(colour)
    return "#ffffff" if 1.05 / (light + 0.05) > (light + 0.05) / 0.05 else "#000000"


def luminance(colour: Colour) -> float:
    """Relative luminance in [0, 1] (WCAG 2.2, section 8.1)."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (part / 255 for part in colour)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
