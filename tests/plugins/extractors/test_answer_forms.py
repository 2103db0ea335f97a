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
from affectgpt.unibench.label_extraction import extract_labels

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


@pytest.mark.parametrize("unit", ["anger: no. ", "a: no ", "and ", "[x] a", "anger 0 "])
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
