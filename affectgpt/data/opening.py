"""From an example to its media: the separate sound and face pictures that its data set has included."""

from __future__ import annotations

from affectgpt.data.example import Example
from affectgpt.media.clip import Clip


def open_example(example: Example) -> Clip:
    """The clip of `example`, with its own subtitle. Raises MediaError as [Clip.open][]."""
    return Clip.open(example.video, subtitle=example.subtitle, sound=example.sound, faces=example.faces)
