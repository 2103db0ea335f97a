"""Text to ids and back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from affectgpt.plugins.llms.causal_lm import CausalLM, _ids_to_remove
from affectgpt.plugins.llms.causal_lm_config import CausalLMConfig
from affectgpt.plugins.llms.tokenizer import END, byte_tokenizer, read_tokenizer

TINY = Path(__file__).resolve().parents[3] / "configs" / "tiny-tokenizer"
MARKED = [END, f"a{END}b", f"{END}{END}", f" {END} {END}\n", f"<|im_end{END}|>"]


@pytest.fixture(scope="module", params=["bytes", "tiny"])
def llm(request: pytest.FixtureRequest, build: Callable, configured: Callable) -> CausalLM:
    """A model with the byte tokenizer, and one with the tokenizer of the small pipeline."""
    config: CausalLMConfig = configured(
        sizes={"vocab_size": 640}, tokenizer=None if request.param == "bytes" else str(TINY)
    )
    causal_l_m: CausalLM = build(config)
    return causal_l_m


@given(st.text())
def test_bytes_round_trip_any_text(text: str) -> None:
    tokenizer = byte_tokenizer()
    ids = tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]
    assert len(ids) == len(text.encode()) and all(index < 256 for index in ids)
    assert tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False) == text


@given(text=st.text(st.one_of(st.characters(codec="utf-8"), st.sampled_from(list(" .,!?'\n<|>")))))
def test_text_round_trips(llm: CausalLM, text: str) -> None:
    assert llm.decode(llm.encode(text, special=False)) == text


@pytest.mark.parametrize("text", MARKED)
def test_markers_in_somebodys_words_are_text(llm: CausalLM, text: str) -> None:
    ids = llm.encode(text, special=False)
    assert not set(ids) & set(llm.tokenizer.all_special_ids) and not set(ids) & set(llm.end_ids())
    assert llm.decode(ids) == text


@pytest.mark.parametrize("text", MARKED)
def test_markers_in_a_template_are_markers(llm: CausalLM, text: str) -> None:
    ids = llm.encode(text, special=True)
    assert ids.count(llm.end_ids()[0]) == text.count(END)
    assert llm.decode(ids) == text.replace(END, "")


def test_nothing_is_put_around_a_text(llm: CausalLM) -> None:
    assert llm.encode("", special=True) == llm.encode("", special=False) == []
    assert llm.end_ids() == [llm.tokenizer.convert_tokens_to_ids(END)]


def test_the_saved_tokenizer_is_the_same(llm: CausalLM, tmp_path: Path) -> None:
    assert llm.save_assets(tmp_path) == {"tokenizer": "./tokenizer"}
    again = read_tokenizer(str(tmp_path / "tokenizer"))
    text = f"The person smiles. é 高兴 {END}"
    for split in (True, False):
        values = {"add_special_tokens": False, "split_special_tokens": split}
        assert again(text, **values)["input_ids"] == llm.tokenizer(text, **values)["input_ids"]
    assert again.get_vocab() == llm.tokenizer.get_vocab() and again.eos_token_id == llm.tokenizer.eos_token_id


def test_bytes_that_are_no_text_are_replaced(llm: CausalLM) -> None:
    assert "a" in llm.decode(llm.encode("a\udcff", special=False))


def test_markers_of_reasoning_stay_in_the_text(build: Callable, configured: Callable) -> None:
    from tokenizers import AddedToken

    causal_l_m: CausalLM = build(configured(sizes={"vocab_size": 640}, tokenizer=None))
    tokenizer = causal_l_m.tokenizer
    tokenizer.add_special_tokens(
        {"additional_special_tokens": [AddedToken(name, special=True) for name in ("[THINK]", "[/THINK]", "[INST]")]}
    )
    read = "[INST][THINK]fear[/THINK]joy" + END
    ids = tokenizer(read, add_special_tokens=False)["input_ids"]
    assert causal_l_m.decode(ids) == "fearjoy", "the tokenizer had no such markers when the model was built"
    causal_l_m._removed_ids = _ids_to_remove(tokenizer)
    assert causal_l_m.decode(ids) == "[THINK]fear[/THINK]joy"
