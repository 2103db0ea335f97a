"""Every reader of labels reads the answer alone: behind reasoning, as a checklist, in traditional Chinese."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from affectgpt import Extraction, build_extractor, discover
from affectgpt.plugins.extractors.llm_answers import LLMAnswer, read_emotions, read_sentiment
from affectgpt.synthetic.score import score_texts
from affectgpt.unibench.clip_values import guess_content, open_clip_values
from affectgpt.unibench.label_extraction import extract_labels, extract_labels_cached

LEXICON = build_extractor("lexicon", {}, discover())
Read = Callable[[str], tuple[str, ...] | str]


def by_lexicon(text: str) -> tuple[str, ...] | str:
    (result,) = LEXICON.emotions([text])
    return result.error or result.labels


def by_llm(text: str) -> tuple[str, ...] | str:
    result = read_emotions(LLMAnswer(text))
    return result.error or result.labels


READERS = {"lexicon": by_lexicon, "llm": by_llm}
BEFORE = [
    "<think>It may be anger, fear.</think>",
    "anger, fear</think>\n",
    "[THINK]anger[/THINK]",
    "◁think▷fear◁/think▷",
]
ANSWERS = ["[happy, sad]", "happy, sad", "Emotions: happy, sad.", '["happy", "sad"]', "happy: yes, sad: yes, angry: no"]
marks = st.sampled_from(
    [("<think>", "</think>"), ("", "</think>"), ("<Thought>", "</Thought>"), ("[THINK]", "[/THINK]")]
)
reasoning = st.lists(
    st.sampled_from(
        ["anger", "She is sad.", "not", "Emotion: fear", "joy: no", "[disgust]", "\n", "他很生气", "{", '"']
    )
).map(" ".join)


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("before", BEFORE)
@pytest.mark.parametrize("answer", ANSWERS)
def test_reasoning_before_an_answer_changes_nothing(reader: str, before: str, answer: str) -> None:
    assert READERS[reader](before + answer) == READERS[reader](answer) == ("happy", "sad")


@settings(deadline=None)
@given(reasoning, marks, st.sampled_from(ANSWERS), st.sampled_from(sorted(READERS)))
def test_whatever_is_reasoned_changes_nothing(text: str, mark: tuple[str, str], answer: str, reader: str) -> None:
    assert READERS[reader](f"{mark[0]}{text}{mark[1]}\n{answer}") == ("happy", "sad")


@pytest.mark.parametrize("reader", READERS)
def test_reasoning_without_an_end_is_an_error(reader: str) -> None:
    result = READERS[reader]("<think>The voice is harsh: anger.")
    assert isinstance(result, str) and "reasoning" in result


def test_a_sentiment_is_that_of_the_answer() -> None:
    texts = ["<think>anger, fear, rage</think>She is happy.", "<think>anger", "anger</think> glad"]
    results = LEXICON.sentiments(texts)
    assert [result.labels for result in results] == [("positive",), (), ("positive",)] and results[1].error
    assert read_sentiment(LLMAnswer("<think>negative</think> Positive.")) == Extraction(("positive",))
    assert read_sentiment(LLMAnswer("positive: no, negative: yes, neutral: no")) == Extraction(("negative",))
    assert read_sentiment(LLMAnswer("<think>negative")).error and read_sentiment(LLMAnswer("<think>", cut=True)).error


def test_any_extractor_is_given_the_answer_alone(tmp_path: Path) -> None:
    (tmp_path / "spy.py").write_text(
        "from affectgpt import Extraction, ExtractorConfig, extractor\n"
        "class SpyConfig(ExtractorConfig):\n    pass\n"
        "@extractor('spy', config=SpyConfig)\n"
        "class Spy:\n"
        "    def __init__(self, config, llm):\n        pass\n"
        "    def emotions(self, texts):\n        return [Extraction((text.strip(),)) for text in texts]\n"
        "    sentiments = emotions\n"
    )
    catalog = discover([str(tmp_path / "spy.py")])
    results = build_extractor("spy", {}, catalog).emotions(["<think>a</think> b", "<think>c", "d"])
    assert [result.labels for result in results] == [("b",), (), ("d",)]
    assert [bool(result.error) for result in results] == [False, True, False]


def test_scores_of_synthetic_clips_read_the_answer_alone() -> None:
    true = ["Emotion: joy."]
    assert score_texts(["Emotion: joy. <think>Emotion: anger.</think>"], true).exact == 1
    assert score_texts(["<think>Emotion: joy."], true).exact == 0


def test_values_with_reasoning_are_text_and_given_labels_lose_it(tmp_path: Path) -> None:
    values = ["<think>anger</think>[happy]", "[sad]"]
    assert guess_content(((str(row), value) for row, value in enumerate(values)), "here") == "text"
    path = tmp_path / "x.jsonl"
    path.write_text(
        "".join(
            json.dumps({"id": str(row), "labels": text}) + "\n" for row, text in enumerate([*values, "<think>anger"])
        )
    )
    predictions = list(extract_labels(open_clip_values(path), "fine-grained", LEXICON))
    assert [prediction.value for prediction in predictions][:2] == ["[happy]", "[sad]"] and predictions[2].error


CHECKLISTS = {
    "Anger: no. Joy: yes.": ("joyful",),
    "anger - 0, joy - 1": ("joyful",),
    "anger=false; joy=true": ("joyful",),
    "- anger: no\n- joy: yes": ("joyful",),
    "1. **Anger:** No\n2. **Joy:** Yes": ("joyful",),
    "| Emotion | Present |\n|---|---|\n| anger | no |\n| joy | yes |": ("joyful",),
    "- [ ] anger\n- [x] joy": ("joyful",),
    "✗ anger\n✓ joy": ("joyful",),
    "anger:✗ joy:✓": ("joyful",),
    "anger (no), joy (yes)": ("joyful",),
    "Anger? No. Joy? Yes.": ("joyful",),
    "anger=0.0 joy=1.0": ("joyful",),
    "Anger: none; fear: absent; disgust: not present; joy: present": ("joyful",),
    "anger -> N, joy -> Y": ("joyful",),
    "anger no, joy yes": ("joyful",),
    "Emotions: anger: no, joy: yes": ("joyful",),
    '{"anger": 0, "joy": 1}': ("joyful",),
    '{"emotions": {"anger": false, "joy": true}}': ("joyful",),
    "{'anger': False, 'joy': True}": ("joyful",),
    '```json\n{"anger": "no", "joy": "yes"}\n```': ("joyful",),
    "| anger | joy |\n|---|---|\n| 0 | 1 |": ("joyful",),
    "anger, fear, joy\n0, 0, 1": ("joyful",),
    "anger ❌, joy ✔️": ("joyful",),
    "愤怒：否，快乐：是": ("happy",),
    "憤怒：無。快樂：有": ("happy",),
    "愤怒=0，快乐=1": ("happy",),
    "愤怒（否）、快乐（是）": ("happy",),
    "Anger: no. Fear: no.": (),
    "Anger: no": (),
}
BY_LEXICON_ONLY = {
    "anger: 0.8": ("angry",),
    "anger: 7/10, joy: 0/10": ("angry",),
    "anger: 10%, joy: 90%": ("joyful",),
    "anger (0.05), joy (0.9)": ("joyful",),
    "Anger: not expressed. Joy: 👍": ("joyful",),
    "Level of anger: 0. Level of joy: high.": ("joyful",),
    "Signs of anger: none. She seems happy.": ("happy",),
    "anger/fear: no, joy: yes, but she also seems sad.": ("sad", "joyful"),
    '[{"emotion": "anger", "present": false}, {"emotion": "joy", "present": true}]': ("joyful",),
    '{"anger": 0.1, "joy": 0.9}': ("joyful",),
    '{"isAngry": false, "is_happy": true}': ("happy",),
    '{"emotion": "happy", "anger": 0, "pride": 1}': ("happy",),
    '{"confidence": 0.9, "worried": true}': (),
    "Emotion: happy\nConfidence: 0.9": ("happy",),
    "Emotion: happy\nSurprise: low\nAnger: no\nPride: yes": ("happy", "proud"),
    "Anger: no one listens to him, he shouts.": ("angry",),
    "Emotion: none": (),
    "Anger: 0-3": ("angry",),
    "She is happy, no doubt.": ("happy",),
    "Is he angry? No. He is calm.": ("calm",),
}


@pytest.mark.parametrize("text", CHECKLISTS)
@pytest.mark.parametrize("reader", READERS)
def test_a_checklist_names_what_is_there(reader: str, text: str) -> None:
    words = {"joyful": "joy", "happy": "快乐"}
    expected = CHECKLISTS[text] if reader == "lexicon" else tuple(words[label] for label in CHECKLISTS[text])
    assert READERS[reader](text) == expected


@pytest.mark.parametrize("text", BY_LEXICON_ONLY)
def test_scores_and_prose_around_a_checklist(text: str) -> None:
    assert by_lexicon(text) == BY_LEXICON_ONLY[text]


@pytest.mark.parametrize(
    "text",
    [
        "anger: 0.8, joy: 0.1",
        "anger: low, joy: high",
        "anger: no, because she smiles",
        "Is anger present? No. Is joy present? Yes.",
        "He denies anger: no.",
    ],
)
def test_a_language_models_checklist_that_leaves_doubt_is_an_error(text: str) -> None:
    assert isinstance(by_llm(text), str)


NOTATIONS = [
    "anger: never, joy: yes",
    "Anger: not really. Joy: yes.",
    "anger - none\njoy - yes",
    "anger = absent, joy = present",
    "anger: negative, joy: positive",
    "anger: 10%, joy: 0.9",
    "anger: [ ], joy: [x]",
    "- [ ] anger\n- [x] joy",
    "anger: - [ ]\njoy: - [x]",
    "anger [ ]\njoy [x]",
    "anger: [ ]\njoy: [X]",
    "[x] joy [ ] anger",
    "[ ] anger, [x] joy",
    "( ) anger\n(x) joy",
    "<anger>0</anger><joy>1</joy>",
    "<emotions><anger>0</anger><joy>1</joy></emotions>",
    "<anger>no</anger>\n<joy>yes</joy>",
    "<anger> false </anger> <joy> true </joy>",
    '<emotion name="anger">no</emotion><emotion name="joy">yes</emotion>',
    '<emotion name="anger" present="false"/><emotion name="joy" present="true"/>',
    '<anger present="no"/><joy present="yes"/>',
    '{"emotions": {"anger": 0, "joy": 1}}',
    '{"anger": {"present": false}, "joy": {"present": true}}',
    '{"emotions": {"anger": {"present": false}, "joy": {"present": true}}}',
    '[{"emotion": "anger", "present": false}, {"emotion": "joy", "present": true}]',
    '{"emotions": [{"name": "anger", "present": false}, {"name": "joy", "present": true}]}',
    '[{"label": "anger", "value": 0}, {"label": "joy", "value": 1}]',
    '[{"anger": false}, {"joy": true}]',
    '{"anger": "No", "joy": "Yes"}',
    '{"anger": "no", "joy": "yes", "explanation": "she smiles"}',
    '{"present": ["joy"], "absent": ["anger"]}',
    '{"emotions": {"present": ["joy"], "absent": ["anger", "fear"]}}',
    '{"joy": 1}',
    '{"joy": true}',
    '{"anger": null, "joy": true}',
    '{"anger": [], "joy": ["smile"]}',
    '{"anger": {"score": 0.0}, "joy": {"score": 0.9}}',
    '{"anger": {"present": "no", "reason": "calm"}, "joy": {"present": "yes", "reason": "smile"}}',
    '{"emotion": "joy", "anger": 0}',
    '{"emotions": [["anger", 0], ["joy", 1]]}',
    '[["anger", false], ["joy", true]]',
    '[("anger", 0), ("joy", 1)]',
    '[{"emotion": "anger", "is_present": false}, {"emotion": "joy", "is_present": true}]',
    '{"anger_present": false, "joy_present": true}',
    '{"has_anger": 0, "has_joy": 1}',
    '{"is_angry": false, "is_joyful": true}',
    "emotion,present\nanger,0\njoy,1",
    "anger,0\njoy,1",
    "anger,no\njoy,yes",
    "emotion;present\nanger;no\njoy;yes",
    "emotion\tpresent\nanger\t0\njoy\t1",
    "id,emotion,present\n1,anger,0\n2,joy,1",
    "emotion,score,present\nanger,0.1,no\njoy,0.9,yes",
    "| Emotion | Present |\n|---|---|\n| Anger | No |\n| Joy | Yes |",
    "| Emotion | Evidence | Present |\n|---|---|---|\n| Anger | calm voice | No |\n| Joy | smile | Yes |",
    "| # | Emotion | Present? |\n|:-:|---|---|\n| 1 | Anger | ✗ |\n| 2 | Joy | ✓ |",
    "Emotion | Present\n--- | ---\nAnger | No\nJoy | Yes",
    "| Emotion | Yes | No |\n|---|---|---|\n| Anger |  | x |\n| Joy | x |  |",
    "Present: joy. Absent: anger.",
    "Not present: anger, fear. Present: joy",
    "No signs of: anger\nSigns of: joy",
    "Absent: anger, fear\nPresent: joy",
    "Absent - anger\nPresent - joy",
    "Present emotions: joy\nAbsent emotions: anger, fear",
    "Emotions present: joy\nEmotions not present: anger, fear",
    "Emotions detected: joy. Emotions not detected: anger",
    "Detected: joy; not detected: anger and fear",
    "Yes: joy. No: anger, fear.",
    "Yes: joy\nNo: anger",
    "True: joy\nFalse: anger",
    "**Present:**\n- joy\n\n**Absent:**\n- anger\n- fear",
    "## Present\n- joy\n## Absent\n- anger\n- fear",
    "Not detected: anger\nDetected: joy",
    "Missing: anger. Found: joy.",
    "❌: anger, fear\n✅: joy",
    "❌ anger, fear\n✅ joy",
    "No evidence of: anger, fear. Evidence of: joy",
    "Excluded: anger. Included: joy.",
    "Ruled out: anger; identified: joy",
    "None of: anger, fear. But: joy",
    "Without: anger. With: joy",
    "anger:\n  present: false\njoy:\n  present: true",
    "emotions:\n  anger: false\n  joy: true",
    "emotions:\n  - anger: false\n  - joy: true",
    "- emotion: anger\n  present: false\n- emotion: joy\n  present: true",
    "- name: anger\n  present: no\n- name: joy\n  present: yes",
    "Emotion: anger, Present: no\nEmotion: joy, Present: yes",
    "Emotion: anger | Present: no\nEmotion: joy | Present: yes",
    "Anger:\nNo\nJoy:\nYes",
    "### Anger\nNo\n### Joy\nYes",
    "**Anger**\nNo\n\n**Joy**\nYes",
    "Anger: **No**\nJoy: **Yes**",
    "Anger .... no\nJoy .... yes",
    "Anger: none detected. Joy: detected",
    "Anger: no anger. Joy: yes",
    "Anger is: no. Joy is: yes",
    "Anger present: no; joy present: yes",
    "Anger: 0 (absent), Joy: 1 (present)",
    "Anger: no evidence of it. Joy: clear.",
    "Anger: not evident in the clip. Joy: evident",
    "Anger: nothing. Joy: smile",
    "Anger: ✗ no\nJoy: ✓ yes",
    "Anger: No ❌\nJoy: Yes ✅",
    "anger:0,joy:1",
    "anger:no;joy:yes",
    "anger=no&joy=yes",
    "anger→no, joy→yes",
    "(anger, no), (joy, yes)",
    "Anger: absent.\nFear: absent.\nJoy: present.",
    "Anger? Never. Joy? Yes.",
    "Is anger present? No. Is joy present? Yes.",
    "Anger (absent), joy (present)",
    "Anger [no], Joy [yes]",
    "Anger {0}, Joy {1}",
    "anger (0%) joy (100%)",
    "anger 0% joy 95%",
    "Anger: 0/5; Joy: 4/5",
    "anger: nope\njoy: yep",
    "Anger: nah\nJoy: sure",
    "Anger: nil\nJoy: present",
    "Anger: .0, Joy: .9",
    "Anger: 0,0; Joy: 0,9",
    "Anger: 0e0, joy: 1",
    "anger: -1\njoy: 1",
    "anger: -\njoy: +",
    "anger: —\njoy: ✓",
    "Anger: 0 out of 5. Joy: 5 out of 5.",
    "Anger: 0 points, joy: 5 points",
]
IN_CHINESE = [
    "愤怒：没有；喜悦：有",
    "愤怒：无\n喜悦：有",
    "愤怒：否 喜悦：是",
    "愤怒：不存在，喜悦：存在",
    "愤怒：0，喜悦：1",
    "愤怒：没有表现出来。喜悦：有。",
    "愤怒：未出现；喜悦：出现",
    "愤怒：未检测到。喜悦：检测到。",
    "愤怒：无明显迹象。喜悦：明显。",
    "愤怒：没有迹象；喜悦：有",
    "没有：愤怒、恐惧。有：喜悦。",
    "不存在的情绪：愤怒、恐惧。存在的情绪：喜悦。",
    "存在：喜悦；不存在：愤怒",
    "未检测到：愤怒、恐惧\n检测到：喜悦",
    "愤怒 否，喜悦 是",
    "愤怒：不是，喜悦：是",
    "愤怒：不明显，喜悦：明显",
    "愤怒：零，喜悦：一",
    "愤怒：0分，喜悦：5分",
    "愤怒：0％，喜悦：90％",
    "愤怒：０，喜悦：１",
    "憤怒：沒有；喜悅：有",
    "| 情绪 | 是否存在 |\n|---|---|\n| 愤怒 | 否 |\n| 喜悦 | 是 |",
    "【愤怒】无【喜悦】有",
    "愤怒（无）喜悦（有）",
    "是否愤怒：否。是否喜悦：是。",
    "有没有愤怒：没有。有没有喜悦：有。",
    "愤怒:✗;喜悦:✓",
    '{"愤怒": 0, "喜悦": 1}',
    '{"情绪": {"愤怒": "无", "喜悦": "有"}}',
    '[{"情绪": "愤怒", "存在": false}, {"情绪": "喜悦", "存在": true}]',
    "愤怒：从不；喜悦：有",
    "愤怒：根本没有。喜悦：有。",
    "愤怒：完全没有；喜悦：有",
    "愤怒：几乎没有；喜悦：有",
]
NO_CHECKLISTS = {
    "He seems sad, I think.": ("sad",),
    "No: he is angry": ("angry",),
    "anger, no doubt": ("angry",),
    "joy: the smile shows no anger": ("joyful",),
    "anger: no doubt": ("angry",),
    "Anger: no one listens to him, he shouts.": ("angry",),
    "anger: not absent": ("angry",),
    "Anger: undeniable.": ("angry",),
    "anger: low": ("angry",),
    "anger: 0.2": ("angry",),
    "anger: not only in the voice": ("angry",),
    "Is he happy? No: angry.": ("angry",),
    "anger: 0-3": ("angry",),
    "Anger: 10:30 he shouts": ("angry",),
    "Emotions: anger": ("angry",),
    "1. anger\n2. joy": ("angry", "joyful"),
    "1: anger, 2: joy": ("angry", "joyful"),
    "anger - not joy": ("angry",),
    "There is no fear. She is angry.": ("angry",),
    "anger: X marks it": ("angry",),
    "Yes: he is angry": ("angry",),
    "He says no: angry, then leaves.": ("angry",),
    "Present: he is angry.": ("angry",),
    "Missing you: sad.": ("sad",),
    "Found: a happy man": ("happy",),
    "Anger: minimal": ("angry",),
    "Anger: not high": ("angry",),
    "愤怒：没有人听他说话，他大喊。": ("angry",),
    "愤怒，没有疑问": ("angry",),
    "愤怒：无疑": ("angry",),
    "Sadness: nothing consoles her.": ("sad",),
    "Joy, never seen before": ("joyful",),
    "Anger: no less than fury.": ("angry", "furious"),
}


@pytest.mark.parametrize("text", [*NOTATIONS, *IN_CHINESE])
def test_every_notation_of_a_checklist_names_what_is_there(text: str) -> None:
    expected = ("happy", "joyful") if text in IN_CHINESE else ("joyful",)
    labels = by_lexicon(text)
    assert len(labels) == 1 and labels[0] in expected
    by_a_model = by_llm(text)
    assert isinstance(by_a_model, str) or len(by_a_model) == 1, "an error or the same"


@pytest.mark.parametrize("text", NO_CHECKLISTS)
def test_prose_with_colons_is_no_checklist(text: str) -> None:
    assert by_lexicon(text) == NO_CHECKLISTS[text]


DENIALS = [
    *("no", "never", "none", "not really", "nope", "nah", "absent", "negative", "unlikely", "N/A", "nil", "false"),
    *("0", "0.0", "0%", "0/10", "0 out of 5", "-1", "✗", "❌", "☐", "[ ]", "-", "not at all", "hardly any", "barely"),
    *("not present", "not detected in the clip", "no evidence of it", "no signs", "none detected", "definitely not"),
    *("undetected", "missing", "unclear", "negligible", "is not visible here", "isn't there", "无", "没有", "不明显"),
]
ASSERTIONS = ["yes", "1", "true", "present", "✓", "[x]", "100%", "10/10", "clearly visible", "有", "存在"]
DEGREES = ["low", "very low", "mild", "0.2", "20%", "2/10", "moderate", "a little", "minimal", "maybe"]
LAYOUTS: dict[str, Callable[[list[tuple[str, str]]], str]] = {
    "lines": lambda rows: "\n".join(f"{name}: {value}" for name, value in rows),
    "bullets": lambda rows: "\n".join(f"- **{name.title()}**: {value}" for name, value in rows),
    "numbered": lambda rows: "\n".join(f"{n}. {name} - {value}" for n, (name, value) in enumerate(rows, 1)),
    "sentence": lambda rows: "; ".join(f"{name} = {value}" for name, value in rows),
    "table": lambda rows: "| Emotion | Present |\n|---|---|\n" + "\n".join(f"| {n} | {v} |" for n, v in rows),
    "wide table": lambda rows: (
        "| # | Emotion | Why | Present |\n|---|---|---|---|\n"
        + "\n".join(f"| 1 | {n} | the face | {v} |" for n, v in rows)
    ),
    "csv": lambda rows: "emotion;present\n" + "\n".join(f"{name};{value}" for name, value in rows),
    "tags": lambda rows: "".join(f"<{name}>{value}</{name}>" for name, value in rows),
    "attributes": lambda rows: "".join(f'<emotion name="{name}">{value}</emotion>' for name, value in rows),
    "json": lambda rows: json.dumps({"emotions": {name: {"present": value} for name, value in rows}}),
    "json records": lambda rows: json.dumps([{"emotion": name, "present": value} for name, value in rows]),
    "yaml": lambda rows: "\n".join(f"{name}:\n  present: {value}" for name, value in rows),
    "yaml records": lambda rows: "\n".join(f"- emotion: {name}\n  present: {value}" for name, value in rows),
    "headings": lambda rows: "\n".join(f"### {name}\n{value}" for name, value in rows),
    "pairs": lambda rows: repr(rows),
}
names = st.permutations(["happy", "sad", "angry", "scared", "proud", "disgusted"])


@settings(deadline=None, max_examples=300)
@given(
    names,
    st.lists(st.tuples(st.sampled_from(DENIALS), st.booleans()), min_size=2, max_size=4),
    st.sampled_from(ASSERTIONS),
    st.sampled_from(sorted(LAYOUTS)),
)
def test_any_denial_in_any_layout_takes_the_word_out(
    emotions: list[str], denials: list[tuple[str, bool]], assertion: str, layout: str
) -> None:
    if layout == "pairs" and any(value == "negative" for value, _ in denials):
        return
    rows = [(name, value.upper() if upper else value) for name, (value, upper) in zip(emotions, denials, strict=False)]
    text = LAYOUTS[layout]([*rows, (emotions[-1], assertion)])
    assert by_lexicon(text) == (emotions[-1],)
    by_a_model = by_llm(text)
    assert isinstance(by_a_model, str) or by_a_model == (emotions[-1],)


@pytest.mark.parametrize("degree", DEGREES)
def test_a_weak_word_stays_and_a_score_of_less_than_a_twentieth_does_not(degree: str) -> None:
    assert by_lexicon(f"anger: {degree}") == ("angry",)
    assert by_lexicon("anger: 0.04") == by_lexicon("anger: 4%") == by_lexicon("anger: 1/100") == ()


@pytest.mark.parametrize("head", ["Absent", "Not present", "No signs of", "Emotions not detected", "❌", "不存在"])
@pytest.mark.parametrize("layout", ["{}: {}", "{} - {}", "**{}:** {}", "- {}: {}"])
def test_names_behind_a_denial_are_taken_out(head: str, layout: str) -> None:
    denied = layout.format(head, "anger, fear and sadness")
    assert by_lexicon(denied) == ()
    assert by_lexicon(f"Present: joy\n{denied}") == by_lexicon(f"{denied}\nPresent: joy") == ("joyful",)


def test_a_heading_whose_text_denies_it_names_nothing() -> None:
    assert by_lexicon("Anger: there is no anger in her voice. Joy: she laughs, full of joy.") == ("joyful",)
    assert by_lexicon("Anger: she is not angry, yet her anger shows.") == ("angry",)


@given(
    st.lists(
        st.tuples(st.sampled_from(["happy", "sad", "angry", "scared", "proud", "calm"]), st.booleans()),
        min_size=2,
        unique_by=lambda row: row[0],
    ),
    st.sampled_from([("no", "yes"), ("0", "1"), ("False", "True"), ("✗", "✓"), ("absent", "present")]),
    st.sampled_from([": ", "=", " - ", " | ", " -> "]),
    st.sampled_from([", ", "; ", "\n", ". "]),
)
def test_any_checklist_is_read_alike(
    rows: list[tuple[str, bool]], values: tuple[str, str], joint: str, between: str
) -> None:
    text = between.join(f"{name}{joint}{values[is_true]}" for name, is_true in rows)
    expected = tuple(name for name, is_true in rows if is_true)
    assert by_llm(text) == expected
    assert by_lexicon(text) == expected


@pytest.mark.parametrize("unit", ["anger: no. ", "a: no ", "[x] a", "anger:\n", "a,b\n", "<a b='c' ", "\t"])
def test_a_long_checklist_does_not_hang(unit: str, stopped_after: Any) -> None:
    with stopped_after(90):
        LEXICON.emotions([unit * (100_000 // len(unit))])


@pytest.mark.parametrize(
    ("traditional", "simplified"),
    [
        ("他很高興", "他很高兴"),
        ("高興、難過", "高兴、难过"),
        ("她沒有生氣，只是驚訝", "她没有生气，只是惊讶"),
        ("他並不開心", "他并不开心"),
        ("情緒：高興、憂慮", "情绪：高兴、忧虑"),
        ("雖然他在笑，但是他很難過", "虽然他在笑，但是他很难过"),
        ("對方很憤怒", "对方很愤怒"),
        ("掩飾不住的喜悅", "掩饰不住的喜悦"),
        ('{"情緒": "\\u9ad8\\u8208"}', '{"情绪": "高兴"}'),
        ("沒有情緒", "没有情绪"),
        ("謝謝", "谢谢"),
    ],
)
@pytest.mark.parametrize("reader", READERS)
def test_traditional_chinese_is_read_as_simplified(reader: str, traditional: str, simplified: str) -> None:
    result, expected = READERS[reader](traditional), READERS[reader](simplified)
    assert isinstance(result, str) if isinstance(expected, str) else result == expected


def test_a_label_may_end_with_a_full_stop() -> None:
    assert by_llm('["happy.", "sad。"]') == ("happy", "sad")


def test_rows_say_what_of_a_text_was_left_out(tmp_path: Path) -> None:
    texts = ["<think>anger</think> happy", "# Thoughts\nanger\n# Emotions\nhappy", "happy", "# Thoughts\nanger"]
    path = tmp_path / "texts.jsonl"
    path.write_text("".join(json.dumps({"id": str(row), "text": text}) + "\n" for row, text in enumerate(texts)))
    values = open_clip_values(path)
    direct = list(extract_labels(values, "fine-grained", LEXICON))
    for _ in range(2):
        cached = list(extract_labels_cached(values, "fine-grained", LEXICON, tmp_path / "labels.jsonl", {}))
        assert cached == direct
    assert [bool(row.note) for row in direct] == [True, True, False, False] and "'# Thoughts'" in direct[3].error
    rows = [json.loads(line) for line in (tmp_path / "labels.jsonl").read_text().splitlines()]
    assert [row["notes"] for row in rows if "notes" in row] == [[row.note] for row in direct[:2]]
