"""The answer behind a model's reasoning: every family's marks, nothing else, and in linear time."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from affectgpt.core.final_answer import final_answer, is_reasoning_token, open_mark

REASONING = "The voice is harsh: anger, or fear? She feels sad."
BLOCKS = {
    "think": "<think>\n{}\n</think>\n\n",
    "empty": "<think></think>",
    "capitals and spaces": "< THINK >{}< / Think >",
    "thinking": "<thinking>{}</thinking>",
    "thought": "<thought>{}</thought>",
    "reasoning": "<REASONING>{}</REASONING>\n",
    "reflection": "<reflection>{}</reflection>",
    "analysis": "<analysis>{}</analysis>",
    "scratchpad": "<scratchpad>{}</scratchpad>",
    "attributes": '<think budget="20">{}</think>',
    "escaped": "&lt;think&gt;{}&lt;/think&gt;",
    "full width": "＜think＞{}＜／think＞",
    "Chinese": "<思考>{}</思考>",
    "seed": "<seed:think>{}</seed:think>",
    "magistral": "[THINK]{}[/THINK]",
    "kimi": "◁think▷{}◁/think▷",
    "openthinker": "<|begin_of_thought|>{}<|end_of_thought|>",
    "command": "<|START_THINKING|>{}<|END_THINKING|>",
    "apertus": "<|inner_prefix|>{}<|inner_suffix|>",
    "gpt-oss": "<|channel|>analysis<|message|>{}<|end|><|start|>assistant<|channel|>final<|message|>",
    "gpt-oss without its marks": "analysisWell. {}assistantfinal",
    "gemma": "<|channel>thought\n{}<channel|>",
    "medgemma": "<unused94>thought\n{}<unused95>",
    "granite": "Here is my thought process:\n{}\n\nHere is my response:\n",
    "ollama": "Thinking...\n{}\n...done thinking.\n\n",
    "nested": "<think>a <think>{}</think> b</think>",
    "two": "<think>{}</think> no: <think>{}</think>",
    "opened by the template": "{}\n</think>\n",
    "template of another family": "{}[/THINK]",
    "a preamble": "Let me see. <think>{}</think>",
}
WITHOUT_END = set(BLOCKS) - {
    "empty",
    "nested",
    "two",
    "a preamble",
    "ollama",
    "opened by the template",
    "template of another family",
}
AT_THE_BEGINNING = {"gpt-oss without its marks", "granite"}
WRAPPERS = {
    "answer": "<answer>{}</answer>",
    "cut": "<answer>{}",
    "opened by the template": "{}</answer>",
    "around": "I am sure, in spite of the anger. <Answer> {} </Answer> Done.",
    "two": "<answer>fear</answer> No: <answer>{}</answer>",
    "conclusion": "<SUMMARY>anger</SUMMARY><CONCLUSION>{}</CONCLUSION>",
    "box": "The final answer is $\\boxed{{\\text{{{}}}}}$.",
    "solution": "<|begin_of_solution|>{}<|end_of_solution|>",
    "command": "<|START_RESPONSE|>{}<|END_RESPONSE|>",
    "end marks": "{}<|end|><|return|>",
}
CONTROLS = [
    "He seems sad, I think.",
    "Thinking about it, she is happy.",
    "Analysis: he is angry.",
    "analysis of the voice: tense",
    "Reasoning: harsh voice. Answer: anger.",
    "<b>happy</b>, <i>sad</i>",
    "<emotion>happy</emotion>",
    "<thinks he is sad>",
    "a < b, think > c",
    "[thinking] I am sad.",
    "[happy, sad]",
    "<no_think> happy",
    "The answer is happy.",
    "She gives a <response> with joy.",
    "他想了想，很高兴。",
    "  blanks stay \n",
    "",
]
words = st.text(st.characters(exclude_characters="<>[]◁▷|＜＞&\\", exclude_categories=["Cs"]), max_size=60)


@pytest.mark.parametrize("name", BLOCKS)
@pytest.mark.parametrize("wrapper", ["{}", *WRAPPERS.values()])
def test_reasoning_and_wrapping_are_left_out(name: str, wrapper: str) -> None:
    text = BLOCKS[name].replace("{}", REASONING) + wrapper.format("[happy]")
    answer = final_answer(text)
    assert answer is not None and answer.strip() == "[happy]" and final_answer(answer) == answer


@pytest.mark.parametrize("name", sorted(WITHOUT_END))
def test_reasoning_that_does_not_end_holds_no_answer(name: str) -> None:
    text = BLOCKS[name].split("{}")[0] + REASONING
    assert final_answer(text) is None and open_mark(text)
    if name not in AT_THE_BEGINNING:
        assert final_answer(f"<think>once</think> {text}") is None
        assert final_answer(f"happy {text}") == "happy "


def test_a_block_behind_the_answer_is_left_out_too() -> None:
    assert final_answer("happy <reflection>or anger?</reflection>\n") == "happy "
    assert final_answer("<think>fear</think> happy <think>anger</think><think>fear") == " happy "
    assert final_answer("<think>fear</think>") == final_answer("fear</think> ") == ""


@pytest.mark.parametrize("text", CONTROLS)
def test_other_texts_are_left_as_they_are(text: str) -> None:
    assert final_answer(text) == text and open_mark(text) == ""


@given(words, st.sampled_from(sorted(BLOCKS)), words.filter(str.strip))
def test_whatever_is_reasoned_changes_no_answer(reasoning: str, name: str, answer: str) -> None:
    assert (final_answer(BLOCKS[name].replace("{}", reasoning) + answer) or "").strip() == answer.strip()


@given(words)
def test_text_without_marks_is_left_as_it_is(text: str) -> None:
    assert final_answer(text) == text


def test_which_tokens_are_marks() -> None:
    for token in ("<think>", "</think>", "[THINK]", "[/THINK]", "◁/think▷", "<|channel|>", "<|message|>", "<channel|>"):
        assert is_reasoning_token(token), token
    for token in ("<|im_end|>", "</s>", "<s>", "<|endoftext|>", "[INST]", "<|end|>", "<pad>", "think"):
        assert not is_reasoning_token(token), token


@pytest.mark.parametrize(
    "unit", ["<", "< ", "<think>", "</think>", "<think></think>", "<answer>", "\\boxed{", "\n", "<|"]
)
def test_a_long_text_does_not_hang(unit: str, stopped_after: Callable[[int], AbstractContextManager[None]]) -> None:
    # About a second; hours, if the time grew with the square of the length.
    with stopped_after(60):
        final_answer(unit * (400_000 // len(unit)))
