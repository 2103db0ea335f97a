"""The tokenizer of the small model, learned from what the synthetic clips can say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerFast

from affectgpt.synthetic.script import COMBINATIONS, PATTERNS, SUBTITLES, describe_combination
from affectgpt.synthetic.tokenizer import END, learn_tokenizer, script_texts

QUESTION = "What does this person feel, and what shows it?"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder_path = tmp_path_factory.mktemp("learned") / "deep" / "tokenizer"
    learn_tokenizer(script_texts([QUESTION]), folder_path)
    return folder_path


@pytest.fixture(scope="module")
def tokenizer(folder: Path) -> Any:
    return PreTrainedTokenizerFast.from_pretrained(str(folder))


def ids(tokenizer: Any, text: str, split: bool = True) -> list[int]:
    token_ids: list[int] = tokenizer(text, add_special_tokens=False, split_special_tokens=split)["input_ids"]
    return token_ids


@given(st.text())
def test_any_text_can_be_written(tokenizer: Any, text: str) -> None:
    token_ids = ids(tokenizer, text)
    assert len(token_ids) <= len(text.encode()) and tokenizer.eos_token_id not in token_ids
    assert tokenizer.decode(token_ids, skip_special_tokens=True, clean_up_tokenization_spaces=False) == text


def test_every_byte_is_a_token(tokenizer: Any) -> None:
    vocabulary = json.loads(tokenizer.backend_tokenizer.to_str())["model"]["vocab"]
    assert sum(len(symbol) == 1 for symbol in vocabulary) == 256


def test_the_end_marker_is_one_token(tokenizer: Any) -> None:
    assert tokenizer.eos_token == tokenizer.pad_token == END
    assert ids(tokenizer, END, split=False) == [tokenizer.eos_token_id]
    assert len(ids(tokenizer, END, split=True)) > 1


@pytest.mark.parametrize("size", [257, 300, 640])
def test_the_size_is_a_bound_and_is_returned(tmp_path: Path, size: int) -> None:
    count = learn_tokenizer(script_texts([QUESTION]), tmp_path, size=size)
    loaded = PreTrainedTokenizerFast.from_pretrained(str(tmp_path))
    assert count == len(loaded) == max(loaded.get_vocab().values()) + 1 == size
    assert learn_tokenizer(["a"], tmp_path, size=size) == 257


def test_what_the_clips_say_is_shorter_than_its_bytes(tokenizer: Any) -> None:
    texts = [describe_combination(each, pattern) for each in COMBINATIONS for pattern in range(PATTERNS)]
    written = sum(len(ids(tokenizer, text)) for text in texts)
    assert written * 4 < sum(len(text.encode()) for text in texts)
    # The question's words are learned whole.
    assert len(ids(tokenizer, QUESTION)) < 2 * len(QUESTION.split())


def test_every_sentence_is_among_the_texts() -> None:
    texts = script_texts([QUESTION])
    assert {describe_combination(each, 1) for each in COMBINATIONS} <= set(texts)
    assert {english for english, _ in SUBTITLES} <= set(texts) and QUESTION in texts


def test_learning_again_gives_the_same_file(folder: Path, tmp_path: Path) -> None:
    learn_tokenizer(script_texts([QUESTION]), tmp_path)
    assert (tmp_path / "tokenizer.json").read_bytes() == (folder / "tokenizer.json").read_bytes()
