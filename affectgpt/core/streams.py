"""A clip as the encoders of a pipeline read it: what is not there is absent for each of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from affectgpt.core.config import PresenceConfig
from affectgpt.core.contracts import EncoderConfig
from affectgpt.core.plan import Plan
from affectgpt.core.tokens import Prepared
from affectgpt.registry.errors import MediaError, Problem

if TYPE_CHECKING:
    from affectgpt.media.clip import Clip


def prepare_streams(plan: Plan, encoders: Mapping[str, Any], clip: Clip) -> dict[str, Prepared | None]:
    """What each of `encoders`, some of those of `plan`, needs of an open clip; None for a stream that it lacks.

    Whether the clip has a face and a voice is decided by the plan's `presence`, and does not depend on which other
    encoders there are.
    """
    configs = {name: node.config for name, node in plan.encoders.items()}
    return prepare_present(plan.config.presence, configs, encoders, clip)


def prepare_present(
    presence: PresenceConfig, configs: Mapping[str, EncoderConfig], encoders: Mapping[str, Any], clip: Clip
) -> dict[str, Prepared | None]:
    """As [prepare_streams][] for encoders with these `configs`."""
    if presence.off:
        return {name: encoder.prepare(clip) for name, encoder in encoders.items()}
    voice = clip.present(face=presence.face, voice=presence.voice, threshold=presence.threshold)
    sound = clip.present(face=presence.face, voice="always")
    return {
        name: encoder.prepare(sound if configs[name].input == "sound" else voice) for name, encoder in encoders.items()
    }


class AbsentError(MediaError):
    """A clip was read, and shows and says nothing of what a pipeline describes."""


def check_readable(plan: Plan, clip: Clip, media: Mapping[str, Prepared | None]) -> None:
    """Raise MediaError when nothing in the clip can be seen or heard, AbsentError when nothing would be in the prompt.

    Of a clip without a face and without speech the words are read, where the prompt holds them.
    """
    if any(prepared is not None for prepared in media.values()):
        return
    if reads_words(plan, clip.subtitle) and not clip.is_empty():
        return
    problem = nothing_to_read(plan, media, str(clip.path), clip.notes)
    if clip.is_empty():
        raise MediaError.from_problems([replace(problem, hint="check that this is the right file")])
    raise AbsentError.from_problems([problem])


def reads_words(plan: Plan, subtitle: str) -> bool:
    """Whether a prompt of `plan` holds words of this subtitle."""
    return bool(subtitle.strip()) and any(part.kind == "subtitle" for part in plan.parts)


def nothing_to_read(plan: Plan, encoders: Iterable[str], clip: str, notes: Sequence[str]) -> Problem:
    """The problem of a clip that gives these encoders of `plan` nothing."""
    streams = sorted({plan.encoders[name].config.input for name in encoders})
    return Problem(
        "there is nothing in this clip that can be read",
        clip,
        "; ".join(notes) or "no picture and no sound",
        f"{' or '.join(streams)}, as this pipeline reads",
        _ways_out(plan.config.presence, streams),
    )


def _ways_out(presence: PresenceConfig, streams: Sequence[str]) -> str:
    """How a clip is read all the same whose face and voice count as absent."""
    asked = [
        (part, wide)
        for stream, part, wide, rule in (
            ("face", "face", "frame", presence.face),
            ("audio", "voice", "sound", presence.voice),
        )
        if stream in streams and rule != "always"
    ]
    if not asked:
        return ""
    rules = ", ".join(f"{part}: always" for part, _ in asked)
    inputs = " or ".join(f"input: {wide}" for _, wide in asked)
    return f"to read it all the same, set presence: {{{rules}}}, or {inputs} of an encoder"
