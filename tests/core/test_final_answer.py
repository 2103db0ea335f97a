"""The answer behind a model's reasoning: every family's marks, nothing else, and in linear time."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from affectgpt.core.final_answer import final_answer, is_reasoning_token, left_out, open_mark, unfinished

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
    "planning": "<planning>{}</planning>",
    "plan": "<plan>{}</plan>",
    "rationale": "<rationale>{}</rationale>",
    "thoughts": "<thoughts>{}</thoughts>",
    "THOUGHTS": "<THOUGHTS>\n{}\n</THOUGHTS>",
    "inner_monologue": "<inner_monologue>{}</inner_monologue>",
    "internal_monologue": "<internal-monologue>{}</internal-monologue>",
    "a language": '<think lang="en">{}</think>',
    "attr close": "<think>{}</think >",
    "antthinking": "<antThinking>{}</antThinking>",
    "bold headings": "**Thinking:** {}\n\n**Answer:** ",
    "bold lines": "**Thinking**\n{}\n\n**Answer**\n",
    "final answer": "**Thinking:**\n{}\n**Final Answer:**\n",
    "headings": "### Thinking\n{}\n\n## Final answer\n",
    "headings of reasoning": "## Reasoning\n{}\n\n## Answer\n",
    "other headings": "# Thought process\n{}\n# Response\n",
    "analysis and conclusion": "### Analysis:\n{}\n### Conclusion:\n",
    "solar with a slash": "<|think|>{}<|/think|>",
    "solar": "<|think|>{}<|end|><|begin|>assistant<|content|>",
    "solar without its turns": "<|think|>{}<|end|>",
    "solar with its turns": "<|begin|>assistant<|think|>{}<|end|><|begin|>assistant<|content|>",
    "gpt-oss with words between": "<|channel|>analysis<|message|>{}<|end|>…<|channel|>final<|message|>",
    "gpt-oss with the mark of its turn": (
        "<|start|>assistant<|channel|>analysis<|message|>{}<|end|><|start|>assistant<|channel|>final<|message|>"
    ),
    "gpt-oss with a commentary": (
        "<|channel|>analysis<|message|>{}<|end|><|start|>assistant<|channel|>commentary<|message|>{}<|end|>"
        "<|start|>assistant<|channel|>final<|message|>"
    ),
    "Chinese sections": "【思考过程】{}【回答】",
    "Chinese sections on lines": "【思考过程】\n{}\n【答案】\n",
    "Chinese final answer": "【思考】{}【最终答案】",
    "Chinese bold headings": "**思考过程：**\n{}\n\n**回答：**\n",
    "Chinese headings with a colon": "思考过程：{}\n回答：",
    "Chinese headings": "### 思考\n{}\n### 答案\n",
    "Chinese chain": "<思维链>{}</思维链>",
    "full-width bars": "<｜begin▁of▁thought｜>{}<｜end▁of▁thought｜>",
    "full-width think": "<｜think｜>{}<｜/think｜>",
    "deepseek's turn": "<｜Assistant｜><think>{}</think>",
    "full-width thinking": "<｜begin▁of▁thinking｜>{}<｜end▁of▁thinking｜>",
    "mixed bars": "<|begin▁of▁thought|>{}<|end▁of▁thought|>",
    "nested of two": "<thinking><reflection>{}</reflection>{}</thinking>",
    "template, thoughts": "{}</thoughts>",
    "template, reasoning_content": "{}</reasoning_content>",
    "template, rationale": "{}</rationale>",
    "deliberation": "<deliberation>{}</deliberation>",
    "cot": "<cot>{}</cot>",
    "think_block": "<think_block>{}</think_block>",
    "thinkings": "<thinking_process>{}</thinking_process>",
    "internal": "<internal_reasoning>{}</internal_reasoning>",
    "hidden": "<hidden_thoughts>{}</hidden_thoughts>",
    "step": "<reasoning_steps>{}</reasoning_steps>",
    "draft": "<draft>{}</draft>",
    "brain": "<brainstorm>{}</brainstorm>",
    "critique": "<critique>{}</critique>",
    "verif": "<verification>{}</verification>",
    "brackets of reasoning": "[reasoning]{}[/reasoning]",
    "brackets of thinking": "[Thinking]{}[/Thinking]",
    "code fence": "```thinking\n{}\n```\n",
    "short code fence": "```think\n{}\n```\n",
    "comment": "<!-- thinking: {} -->",
    "details": '<details type="reasoning"><summary>Thought for 2 seconds</summary>{}</details>',
    "bars": "<|thinking|>{}<|/thinking|>",
    "start and end": "<|start_thinking|>{}<|end_thinking|>",
    "start of reasoning": "<|start_of_reasoning|>{}<|end_of_reasoning|>",
    "begin think": "<|begin_think|>{}<|end_think|>",
    "think start": "<|think_start|>{}<|think_end|>",
    "unused": "<unused94>thought\n{}<unused95>",
    "mismatch": "<think>{}</thinking>",
    "backslashes": "\\<think\\>{}\\</think\\>",
    "zero-width blanks": "<\u200bthink>{}<\u200b/think>",
    "Thought": "Thought: {}\nAnswer: ",
    "Reasoning": "Reasoning: {}\nAnswer: ",
    "Thinking with an ellipsis": "Thinking…\n{}\n\n…done thinking.\n\n",
    "Thinking with mixed dots": "Thinking…\n{}\n...done thinking.\n",
    "Thinking with line ends of Windows": "Thinking...\r\n{}\r\n...done thinking.\r\n\r\n",
    "Thinking with blanks": "Thinking... \n{}\n...done thinking. \n",
    "Thinking and an answer": "Thinking...\n{}\n\nAnswer: ",
    "Thinking with a picture": "🤔 Thinking...\n{}\n\nAnswer: ",
    "Thoughts with a picture": "💭 Thoughts\n{}\n\n✅ Answer\n",
    "Thinking in italics": "*Thinking...*\n{}\n\n**Answer:** ",
    "Thinking in bold with dots": "**Thinking...**\n{}\n\n**Answer:** ",
    "Thought for a time": "Thought for 5 seconds\n{}\n\nAnswer: ",
    "numbered headings": "## 1. Reasoning\n{}\n## 2. Answer\n",
    "numbered bold headings": "1. **Thinking**: {}\n2. **Answer**: ",
    "rules": "=== Thinking ===\n{}\n=== Answer ===\n",
    "short rules": "---thinking---\n{}\n---answer---\n",
    "step-by-step": "**Step-by-step reasoning:**\n{}\n\n**Final answer:** ",
    "verdict": "## Reasoning\n{}\n\n## Verdict\n",
    "quoted": "> Thinking: {}\n> more\n\n",
    "quoted in bold": "> **Thinking**\n> {}\n\n",
    "Chinese parentheses": "（思考过程）{}（回答）",
    "Chinese aside": "（思考：{}）",
    "Chinese corners": "「思考」{}「回答」",
    "Chinese title marks": "《思考》{}《/思考》",
    "Chinese progress": "思考中...\n{}\n\n回答：",
    "Chinese end of thinking": "思考中……\n{}\n思考完成\n",
    "Chinese start and end": "<思考开始>{}<思考结束>",
    "Chinese start and end in brackets": "[思考开始]{}[思考结束]",
    "Chinese analysis": "### 分析过程\n{}\n### 最终答案\n",
    "Japanese": "<思考プロセス>{}</思考プロセス>",
    "Korean": "<생각>{}</생각>",
    "French": "<pensée>{}</pensée>",
    "Spanish": "<pensamiento>{}</pensamiento>",
    "German": "<denken>{}</denken>",
    "Russian": "<мысли>{}</мысли>",
    "a manner of thinking": "<think_fast>{}</think_fast>",
    "details and summary": "<details>\n<summary>Thinking</summary>\n\n{}\n\n</details>\n\n",
    "details and a picture": "<details><summary>💭 Thought process</summary>{}</details>",
    "Chinese details": "<details open><summary>思考过程</summary>{}</details>",
    "a class": '<div class="thinking">{}</div>',
    "a class of more words": '<div class="reasoning-content">{}</div>\n',
    "a role": "<message role='thinking'>{}</message>",
    "a spoiler": "[spoiler=Thinking]{}[/spoiler]",
    "double brackets": "[[think]]{}[[/think]]",
    "braces": "{{think}}{}{{/think}}",
    "round brackets": "(think){}(/think)",
    "fence of tildes": "~~~thinking\n{}\n~~~\n",
    "gpt-oss in small letters": "analysisthe voice: {} assistantfinal",
    "gpt-oss on lines": "analysis\n{}\nassistantfinal\n",
    "gpt-oss commentary without its marks": "commentaryWell. {}assistantfinal",
    "gpt-oss opened by the template": "{}assistantfinal",
    "self-closing": "<think/>",
    "self-closing with an attribute": '<THINK lang="en" />\n',
    "marks of the turn": "<|start|>assistant<think>{}</think>",
    "a preamble": "Let me see. <think>{}</think>",
}
WITHOUT_END = set(BLOCKS) - {
    "empty",
    "self-closing",
    "self-closing with an attribute",
    # Sections that may be the whole answer, where no heading of an answer follows.
    "headings of reasoning",
    "analysis and conclusion",
    "Chinese headings with a colon",
    "brackets of reasoning",
    "brackets of thinking",
    "Thought",
    "Reasoning",
    "template, thoughts",
    "template, reasoning_content",
    "template, rationale",
    "nested",
    "two",
    "a preamble",
    "ollama",
    "opened by the template",
    "template of another family",
    # The end alone tells.
    "Thoughts with a picture",
    "Thought for a time",
    "numbered headings",
    "rules",
    "short rules",
    "step-by-step",
    "verdict",
    "Chinese parentheses",
    "Chinese aside",
    "Chinese corners",
    "Chinese title marks",
    "Chinese analysis",
    "a spoiler",
    "braces",
    "round brackets",
    "gpt-oss in small letters",
    "gpt-oss on lines",
    "gpt-oss opened by the template",
}
AT_THE_BEGINNING = {
    "gpt-oss without its marks",
    "granite",
    "code fence",
    "short code fence",
    "comment",
    "details",
    "backslashes",
}
AT_THE_BEGINNING |= {
    "bold headings",
    "bold lines",
    "final answer",
    "headings",
    "other headings",
    "Chinese bold headings",
    "Chinese headings",
    "fence of tildes",
    "gpt-oss commentary without its marks",
    "Thinking with an ellipsis",
    "Thinking with mixed dots",
    "Thinking with line ends of Windows",
    "Thinking with blanks",
    "Thinking and an answer",
    "Thinking with a picture",
    "Thinking in italics",
    "Thinking in bold with dots",
    "numbered bold headings",
    "quoted",
    "quoted in bold",
    "Chinese progress",
    "Chinese end of thinking",
}
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
    "**Thinking** of home, she is sad.",
    "## Emotion\nhappy",
    "**Answer:** happy",
    "### Analysis\nShe is happy.",
    "## Plan\nsad",
    "He is lost in [thought].",
    "<notes> sad",
    "a rationale: sad",
    "她在思考，很难过。",
    "【情绪】难过",
    "**Analysis:** The voice is tense. She is sad.",
    "<explanation>sad</explanation>",
    "<observation>sad</observation>",
    "Thought: he is sad.",
    "思考：他很难过。",
    "### Thinking of home\nsad",
    "**Reasoning:** harsh voice, so anger",
    "I think: he is happy",
    "Thinking of his mother, he smiles",
    "- thinking\n- sad",
    "* thinking\n* sad",
    "1. thinking\n2. sad",
    "thinking",
    "Thinking, he is sad... then happy",
    "He is lost in thought...",
    "Thought for a moment, then smiles.",
    "> he said so\n\nsad",
    "(sad) happy",
    "(thinking) she is happy",
    "（思考）她很难过",
    "思考中的他很难过",
    "{thinking} sad",
    "*thinking of home*, sad",
    "## Emotions\nhappy\n## Reasoning\nharsh",
    "## Analysis\nsad\n## Voice\nharsh",
    "Emotion: sad\nReasoning: harsh voice",
    '<p class="feeling">sad</p>',
    "the assistant finally smiles",
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


TAGS = [
    "think",
    "thinking",
    "thought",
    "thoughts",
    "reasoning",
    "reasoning_content",
    "planning",
    "rationale",
    "scratchpad",
]
TAGS += ["analysis", "inner_monologue", "chain_of_thought", "internal-reasoning", "self_reflection", "思考", "思考过程"]
TAG_FORMS = ["<{0}>{2}</{0}>", '<{0} lang="en">{2}</{0} >', "<|{0}|>{2}<|/{0}|>", "<|begin_of_{0}|>{2}<|end_of_{0}|>"]
TAG_FORMS += [
    "<｜begin▁of▁{0}｜>{2}<｜end▁of▁{0}｜>",
    "＜{0}＞{2}＜／{0}＞",
    "&lt;{0}&gt;{2}&lt;/{0}&gt;",
    "<a:{0}>{2}</a:{0}>",
]
TAG_FORMS += ["{2}</{0}>", "<{0}>x</{0}><{1}>{2}</{1}>", "<{0}><{1}>{2}</{1}>x</{0}>", "<{0}/><{1}>{2}</{1}>"]


@settings(deadline=None)
@given(
    st.sampled_from(TAGS),
    st.sampled_from(TAGS),
    st.sampled_from(TAG_FORMS),
    st.sampled_from([str, str.upper, str.title]),
)
def test_any_name_of_reasoning_in_any_form_of_a_tag(
    name: str, inner: str, form: str, case: Callable[[str], str]
) -> None:
    text = form.format(case(name), case(inner), REASONING)
    assert (final_answer(text + "happy") or "").strip() == "happy"
    if form.startswith(("<", "＜", "&")):
        assert final_answer(text[: text.index(REASONING) + 9]) is None


def test_a_block_behind_the_answer_is_left_out_too() -> None:
    assert final_answer("happy <reflection>or anger?</reflection>\n") == "happy "
    assert final_answer("<think>fear</think> happy <think>anger</think><think>fear") == " happy "
    assert final_answer("<think>fear</think>") == final_answer("fear</think> ") == ""


@pytest.mark.parametrize("text", CONTROLS)
def test_other_texts_are_left_as_they_are(text: str) -> None:
    assert final_answer(text) == text and open_mark(text) == ""


@settings(deadline=None)
@given(words, st.sampled_from(sorted(BLOCKS)), words.filter(str.strip))
def test_whatever_is_reasoned_changes_no_answer(reasoning: str, name: str, answer: str) -> None:
    assert (final_answer(BLOCKS[name].replace("{}", reasoning) + answer) or "").strip() == answer.strip()


@settings(deadline=None)
@given(words)
def test_text_without_marks_is_left_as_it_is(text: str) -> None:
    assert final_answer(text) == text


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("# Thoughts\nanger?\n\n# Emotions\nhappy", "# Emotions\nhappy"),
        ("# Thoughts\nanger?\n## Voice\nharsh\n# Description\nhappy", "# Description\nhappy"),
        ("## Reasoning\nanger?\n\n## Labels\nhappy", "## Labels\nhappy"),
        ("**Thinking**\n**Voice:** anger\n**Emotion:** happy", "**Emotion:** happy"),
        ("# Thoughts\nanger, <answer>happy</answer>", "happy"),
        ("# Thoughts\nanger\n", None),
        ("**Thinking**\n**Voice:** anger", None),
    ],
)
def test_a_section_of_reasoning_ends_at_the_next_of_its_level(text: str, answer: str | None) -> None:
    assert final_answer(text) == answer


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ('{"reasoning": "anger", "answer": "happy"}', "happy"),
        ('```json\n{"thoughts": "anger", "response": {"emotion": "happy"}}\n```', '{"emotion": "happy"}'),
        ('{"reasoning": {"emotion": "anger"}, "emotion": "happy"}', '{"emotion": "happy"}'),
        ('{"思考过程": "anger", "情绪": ["happy"]}', '{"情绪": ["happy"]}'),
        ('{"reasoning_content": "anger", "content": "happy"}', "happy"),
        ('[{"type": "thinking", "thinking": "anger"}, {"type": "text", "text": "happy"}]', "happy"),
        ('<think>x</think>{"reasoning": "anger", "answer": "happy"}', "happy"),
        ('{"reasoning": "anger, fe', None),
        ('{"reasoning": "anger \\"fear\\" ', None),
        ('{"reasoning": "anger", "emo', '{"reasoning": "anger", "emo'),
        ('{"reasoning": "anger"}', '{"reasoning": "anger"}'),
        ('{"emotion": "happy"}', '{"emotion": "happy"}'),
        ('{"analysis": {"anger": "no", "joy": "yes"}}', '{"analysis": {"anger": "no", "joy": "yes"}}'),
        ('["thinking", "happy"]', '["thinking", "happy"]'),
        ('[{"type": "happy"}]', '[{"type": "happy"}]'),
        ('{"thoughtful": 1, "sad": 0}', '{"thoughtful": 1, "sad": 0}'),
    ],
)
def test_fields_of_reasoning_are_left_out(text: str, answer: str | None) -> None:
    assert final_answer(text) == answer and bool(open_mark(text)) is (answer is None)


def test_what_is_left_out_and_what_nothing_closes_is_named() -> None:
    assert "'# Thoughts'" in unfinished("# Thoughts\nanger") and "'<think>'" in unfinished("<think>anger")
    assert left_out("<think>anger</think> happy").startswith("5 of 26 characters")
    assert left_out("She is happy.\n") == left_out("<think>anger") == ""


def test_which_tokens_are_marks() -> None:
    for token in ("<think>", "</think>", "[THINK]", "[/THINK]", "◁/think▷", "<|channel|>", "<|message|>", "<channel|>"):
        assert is_reasoning_token(token), token
    for token in ("<|im_end|>", "</s>", "<s>", "<|endoftext|>", "[INST]", "<|end|>", "<pad>", "think"):
        assert not is_reasoning_token(token), token


LONG = ["<", "< ", "<think>", "</think>", "<think></think>", "<answer>", "\\boxed{", "\n", "<|", "**Thinking**\n", " "]
LONG += ["> thinking\n", "# Thoughts\n", "(thinking:", "answer:\n", "<div x=think>", "<details><summary>", "```think\n"]
LONG += [
    "[quote=think]",
    "~~~think\n```think\n",
    "analysis\n",
    "assistantfinal",
    "Thinking…\n",
    "{",
    "[",
    '{"reasoning": "',
    '{"reasoning": "a", ',
]


@pytest.mark.parametrize("unit", LONG)
def test_a_long_text_does_not_hang(unit: str, stopped_after: Callable[[int], AbstractContextManager[None]]) -> None:
    # About a second; hours, if the time grew with the square of the length.
    with stopped_after(60):
        final_answer(unit * (400_000 // len(unit)))
