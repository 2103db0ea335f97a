"""A template that is built up in steps: found whole, or not at all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from affectgpt.registry.errors import ConfigError
from affectgpt.released.source_wording import find_wording
from tests.released.sources import F_STRINGS, facts

STARTS = {
    "in branches": ("if kind: prompt = '##Q: '", "else: prompt = ''"),
    "from a call": ("prompt = head(kind)",),
    "of two values": ("prompt = '##Q: ' if kind else ''",),
    "set before a branch": ("prompt = ''", "if kind: prompt = '##Q: '"),
    "set before an inner branch": ("prompt = ''", "if kind:", "    if subtitle: prompt = '##Q: '"),
    "lengthened in a loop": ("prompt = '##Q: '", "for each in kind: prompt += each"),
    "set before a case": ("prompt = ''", "match kind:", "    case 'audio_text': prompt = '##Q: '"),
    "too long": (f"prompt = {'word ' * 5000!r} + '.'",),
}
STEPS = {
    "+=": ("prompt += {}", "prompt += {}"),
    "+": ("prompt = prompt + {}", "prompt = prompt + {}"),
    "f-string": ("prompt = f'{{prompt}}' + {}", "prompt = f'{{prompt}}' + {}"),
}


def built(start: tuple[str, ...], steps: tuple[str, ...], last: str = 'f"{user_message} ##A: "') -> str:
    added = ('f"ear <AudioHere>. Said <Subtitle>{subtitle}</Subtitle>. "', last)
    lines = [*start, *(step.format(more) for step, more in zip(steps, added, strict=True)), "return prompt"]
    return "def build(kind, subtitle, user_message):\n" + "".join(f"    {line}\n" for line in lines)


@pytest.mark.parametrize("last", ['f"{user_message} ##A: "', "user_message"])
@pytest.mark.parametrize("steps", STEPS)
@pytest.mark.parametrize("start", STARTS)
def test_a_template_with_an_unknown_start_is_not_found(
    start: str, steps: str, last: str, source: Callable[..., Path]
) -> None:
    folder = source(data=F_STRINGS, more=built(STARTS[start], STEPS[steps], last))
    with pytest.raises(ConfigError, match="template for audio_text was not found") as caught:
        find_wording(folder, facts("audio_text"))
    assert "prompt=" in str(caught.value)


@pytest.mark.parametrize("step", [STEPS["+="][0], STEPS["+"][0]])
def test_the_first_of_several_steps_is_no_template(step: str, source: Callable[..., Path]) -> None:
    folder = source(data=F_STRINGS, more=built((), ("prompt = head(kind) + {}", step)))
    with pytest.raises(ConfigError, match="template for audio_text was not found"):
        find_wording(folder, facts("audio_text"))


@pytest.mark.parametrize("steps", STEPS)
@pytest.mark.parametrize(
    "start",
    [
        ("prompt = '##Q: '",),
        ("prompt = f''", "prompt += '##Q: '"),
        ("prompt = '##Q: '", "if kind: prompt = '##Q: '"),
        ("prompt = '##Q: '", "if kind == 'none':", "    prompt += 'Nothing.'", "    return prompt"),
        ("prompt = '##Q: '", "if not subtitle: subtitle = 'None'"),
    ],
)
def test_a_template_in_steps_with_a_known_start_is_found(
    start: tuple[str, ...], steps: str, source: Callable[..., Path]
) -> None:
    folder = source(data=F_STRINGS, more=built(start, STEPS[steps]))
    expected = "##Q: ear {audio_tokens}. Said <Subtitle>{subtitle}</Subtitle>. {question} ##A: "
    assert find_wording(folder, facts("audio_text")).template == expected


@pytest.mark.parametrize("longer", ['"<eight tokens, one after the other>"', 'f"<{count} tokens>"'])
def test_marks_replaced_by_longer_ones_leave_the_template_as_it_was(longer: str, source: Callable[..., Path]) -> None:
    text = '"##Q: {user_message} Ear: <AudioHere>. ##A: "'
    lines = (f"prompt = f{text}", f'prompt = prompt.replace("<AudioHere>", {longer})')
    code = F_STRINGS.replace("audioonly", "other").replace("ear <AudioHere>. {user_message}", "no")
    folder = source(data=code, more="def build(user_message, count):\n" + "".join(f"    {line}\n" for line in lines))
    assert find_wording(folder, facts("audioonly")).template == "##Q: {question} Ear: {audio_tokens}. ##A: "
