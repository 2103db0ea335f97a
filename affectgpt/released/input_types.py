"""What the released AffectGPT can be given: its `face_or_frame` types, and the words it marks their places with."""

from __future__ import annotations

from dataclasses import dataclass

from affectgpt.registry.errors import CheckpointError, join_names
from affectgpt.registry.messages import did_you_mean, short_repr

MARKS = {
    "<MultiHere>": "multi",
    "<AudioHere>": "audio_tokens",
    "<FaceHere>": "face_tokens",
    "<FrameHere>": "frame_tokens",
}
"""A place in a prompt of the original -> the node of a converted pipeline whose tokens stand there."""


@dataclass(frozen=True)
class InputType:
    """One `face_or_frame` type: which nodes its prompt holds, and whether words stand in it.

    `seen` is the stream of pictures ("face" or "frame") that the fusion of picture and sound reads.
    """

    name: str
    nodes: tuple[str, ...]
    subtitle: bool
    pictures: str = ""

    @property
    def streams(self) -> tuple[str, ...]:
        """The streams of a clip that are read."""
        node_streams = [name.removesuffix("_tokens") for name in self.nodes if name != "multi"]
        return tuple(dict.fromkeys([*node_streams, *([self.pictures, "audio"] if self.pictures else [])]))


def _types() -> dict[str, InputType]:
    audio, face, frame = "audio_tokens", "face_tokens", "frame_tokens"
    rows = [
        InputType("multiface_audio_face_text", ("multi", audio, face), True, "face"),
        InputType("multiframe_audio_frame_text", ("multi", audio, frame), True, "frame"),
        InputType("multiface_audio_face_frame_text", ("multi", audio, face, frame), True, "face"),
        InputType("multiface_text", ("multi",), True, "face"),
        InputType("faceframe", (audio, frame, face), True),
        InputType("face", (audio, face), True),
        InputType("frame", (audio, frame), True),
        InputType("audioonly", (audio,), False),
        InputType("faceonly", (face,), False),
        InputType("frameonly", (frame,), False),
        InputType("audio_text", (audio,), True),
        InputType("face_text", (face,), True),
        InputType("frame_text", (frame,), True),
    ]
    return {row.name: row for row in rows}


INPUT_TYPES = _types()
_WITHOUT_CLIP = {"textonly": "it reads no clip", "image": "it reads single pictures, not clips"}


def input_type(name: str, where: str) -> InputType:
    """The type `name`. Raises CheckpointError when there is none, or no pipeline for it."""
    if name in INPUT_TYPES:
        return INPUT_TYPES[name]
    why = _WITHOUT_CLIP.get(name)
    raise CheckpointError(
        f"there is no pipeline for this input: {why}" if why else "this kind of input is unknown",
        where=where,
        found=f"face_or_frame {short_repr(name)}",
        expected=f"one of {join_names(INPUT_TYPES)}",
        hint=did_you_mean(name, INPUT_TYPES) or "name it with face_or_frame=",
    )
