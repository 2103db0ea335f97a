from __future__ import annotations

import re
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from affectgpt.synthetic.script import (
    COMBINATIONS,
    FACES,
    PATTERNS,
    SUBTITLES,
    UNCLEAR,
    VOICES,
    Combination,
    describe_combination,
    emotions_in,
)

EVERY = [(combination, pattern) for combination in COMBINATIONS for pattern in range(PATTERNS)]


def test_each_face_meets_each_voice_once() -> None:
    assert [(c.face, c.voice) for c in COMBINATIONS] == [(face, voice) for face in FACES for voice in VOICES]


def test_every_label_belongs_to_one_combination() -> None:
    labels = [label for combination in COMBINATIONS for label in combination.labels]
    assert len(labels) == len(set(labels))
    assert all(2 <= len(combination.labels) <= 3 for combination in COMBINATIONS)


@pytest.mark.parametrize(("combination", "pattern"), EVERY)
def test_description_is_short_and_its_labels_read_back(combination: Combination, pattern: int) -> None:
    text = describe_combination(combination, pattern)
    assert text.endswith(f"Emotion: {', '.join(combination.labels)}.")
    assert emotions_in(text) == list(combination.labels)
    assert 15 <= len(text.split()) <= 30


@pytest.mark.parametrize(("face", "voice"), [(True, False), (False, True), (False, False)])
@pytest.mark.parametrize("pattern", range(PATTERNS))
def test_what_is_absent_changes_no_word_of_a_description(pattern: int, face: bool, voice: bool) -> None:
    texts: dict[tuple[str, ...], set[str]] = {}
    for combination in COMBINATIONS:
        text = describe_combination(combination, pattern, face=face, voice=voice)
        present = (combination.face,) * face + (combination.voice,) * voice
        texts.setdefault(present, set()).add(text)
        assert emotions_in(text) == [UNCLEAR]
        assert ("face" in text or "person" in text) if face else "face" not in text
        assert ("voice" in text) == voice
        if face or voice:
            assert combination.adjective in text
            assert re.search(r"\b(may|could) be\b", text)
    assert all(len(same) == 1 for same in texts.values())
    assert len(texts) == (4 if face or voice else 1)


def test_descriptions_use_few_words_and_are_distinct() -> None:
    texts = [describe_combination(*each) for each in EVERY]
    assert len(set(texts)) == len(texts)
    assert len({word for text in texts for word in re.findall(r"[a-z]+", text.lower())}) < 250


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("", []),
        ("The person smiles.", []),
        ("Emotion:", []),
        ("Emotion: joy", ["joy"]),
        ("Emotion: Joy, , joy , CALM. The end.", ["joy", "calm"]),
        ("Emotion: anger. No. Emotion: hurt, grievance.", ["hurt", "grievance"]),
        ("emotion: fear\nmore", ["fear"]),
    ],
)
def test_emotions_in_reads_what_a_model_may_print(text: str, labels: list[str]) -> None:
    assert emotions_in(text) == labels


@given(st.text(max_size=200))
def test_emotions_in_never_fails_and_gives_clean_words(text: str) -> None:
    labels = emotions_in("Emotion:" + text)
    assert len(labels) == len(set(labels))
    assert all(label and label == label.strip() and "," not in label for label in labels)


def test_subtitles_name_no_emotion() -> None:
    words = {word for english, _ in SUBTITLES for word in re.findall(r"[a-z]+", english.lower())}
    assert not words & {label for combination in COMBINATIONS for label in combination.labels}
    assert len(set(SUBTITLES)) == len(SUBTITLES) >= 25


def test_script_needs_neither_numpy_nor_torch() -> None:
    code = (
        "import sys, affectgpt.synthetic.script, affectgpt.synthetic.difficulty;"
        "sys.exit(bool({'numpy', 'torch'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
