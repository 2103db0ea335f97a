"""Reading a model folder: what is in it is used, what is wrong with it is said."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from affectgpt.plugins.llms.causal_lm import CausalLM
from affectgpt.plugins.llms.causal_lm_config import CausalLMConfig
from affectgpt.registry.errors import CheckpointError, InterfaceError

Build = Callable[[CausalLMConfig], CausalLM]


def refused(build: Build, folder: Path, kind: type[Exception] = CheckpointError, **options: Any) -> str:
    with pytest.raises(kind) as caught:
        build(CausalLMConfig(model=str(folder), **options))
    return str(caught.value)


def test_a_folders_weights_and_tokenizer_are_used(
    build: Build, configured: Callable[..., CausalLMConfig], folder: Path
) -> None:
    built_model, read = build(configured()), build(CausalLMConfig(model=str(folder)))
    assert read.pretrained and not built_model.pretrained
    expected, result = built_model.model.state_dict(), read.model.state_dict()
    assert expected.keys() == result.keys()
    assert all(torch.equal(value, result[key]) for key, value in expected.items())
    assert read.encode("hé!", special=False) == built_model.encode("hé!", special=False)
    assert read.end_ids() == built_model.end_ids()
    embeds, mask = torch.randn(1, 5, 32), torch.ones(1, 5, dtype=torch.bool)
    assert torch.equal(read.logits(embeds, mask), built_model.logits(embeds, mask))


def test_init_random_reads_the_sizes_of_a_folder_and_not_its_weights(build: Build, folder: Path) -> None:
    stored = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    config = CausalLMConfig(model=str(folder), init="random")
    llm = build(config)
    assert not llm.pretrained and config.infer().dim == 32 and config.infer().tokens == 256
    torch.manual_seed(9)
    second = CausalLM(config, config.infer())
    assert not torch.equal(second.model.model.embed_tokens.weight, stored["model.embed_tokens.weight"])
    assert not torch.equal(second.model.model.embed_tokens.weight, llm.model.model.embed_tokens.weight)


def test_dtype_is_the_weights(build: Build, folder: Path) -> None:
    llm = build(CausalLMConfig(model=str(folder), dtype="bfloat16"))
    assert {each.dtype for each in llm.parameters()} == {torch.bfloat16}
    assert llm.embed(torch.tensor([1])).dtype is torch.bfloat16


def test_a_folder_that_is_not_there(build: Build, folder: Path) -> None:
    gone = folder / "nowhere"
    with pytest.raises(InterfaceError, match="nowhere"):
        CausalLMConfig(model=str(gone)).infer()
    with pytest.raises(CheckpointError, match="nowhere"):
        CausalLM(CausalLMConfig(model=str(gone)), CausalLMConfig(model=str(folder)).infer())


def test_no_weights(build: Build, folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    assert "cannot be read" in refused(build, folder)


def test_pickled_weights_are_not_read(build: Build, folder: Path) -> None:
    state = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    torch.save(state, folder / "pytorch_model.bin")
    assert "cannot be read" in refused(build, folder)


def test_a_missing_weight_is_named(build: Build, folder: Path) -> None:
    state = load_file(folder / "model.safetensors")
    del state["model.layers.1.mlp.up_proj.weight"], state["model.norm.weight"]
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    message = refused(build, folder)
    assert "2 weights" in message and str(folder) in message
    assert "model.layers.1.mlp.up_proj.weight" in message and "model.norm.weight" in message


def test_weights_of_another_shape(build: Build, folder: Path, rewrite: Callable[..., None]) -> None:
    rewrite(folder / "config.json", intermediate_size=64)
    assert "cannot be read" in refused(build, folder)


@pytest.mark.parametrize("keep", [0, 8, 5000])
def test_weights_that_are_cut_off(build: Build, folder: Path, keep: int) -> None:
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:keep])
    assert str(folder) in refused(build, folder)


def test_an_architecture_that_transformers_does_not_know(
    build: Build, folder: Path, rewrite: Callable[..., None]
) -> None:
    rewrite(folder / "config.json", model_type="nosuch")
    assert "nosuch" in refused(build, folder)
    with pytest.raises(InterfaceError, match="cannot be built"):
        build(CausalLMConfig(model=str(folder), init="random"))


def test_code_that_an_architecture_names_is_not_run(
    build: Build, configured: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a class of its own for a model type, transformers would ask whether to run the one of `auto_map`."""
    questions: list[object] = []
    monkeypatch.setattr("builtins.input", lambda *prompt: questions.append(prompt) or "n")
    trap = {"auto_map": {"AutoModelForCausalLM": "somebody/elsewhere--code.Model"}}
    with pytest.raises(InterfaceError):
        build(configured("hubert", sizes=trap))
    assert not questions


@pytest.mark.parametrize("also", [(), ("tokenizer_config.json",)])
def test_no_tokenizer(build: Build, folder: Path, also: tuple[str, ...]) -> None:
    for name in ("tokenizer.json", *also):
        (folder / name).unlink()
    assert "no vocabulary" in refused(build, folder)


@pytest.mark.parametrize("content", ["", "nonsense", "{}", "[]", '{"model": {"type": "BPE"}}'])
def test_a_tokenizer_that_is_none(build: Build, folder: Path, content: str) -> None:
    (folder / "tokenizer.json").write_text(content)
    assert "tokenizer" in refused(build, folder)


def test_a_tokenizer_without_an_end(build: Build, folder: Path) -> None:
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "PreTrainedTokenizerFast"}))
    assert "end-of-text" in refused(build, folder)


def test_another_tokenizer_can_be_named(build: Build, folder: Path, tmp_path: Path) -> None:
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).rename(moved / name)
    llm = build(CausalLMConfig(model=str(folder), tokenizer=str(moved)))
    assert llm.decode(llm.encode("moved", special=False)) == "moved"
    assert str(tmp_path / "gone") in refused(build, folder, tokenizer=str(tmp_path / "gone"))


def test_more_token_ids_than_embeddings(
    build: Build, configured: Callable[..., CausalLMConfig], folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(InterfaceError, match=r"257 token ids"):
        build(configured(sizes={"vocab_size": 256}))
    small = build(configured(sizes={"vocab_size": 257}))
    small.model.resize_token_embeddings(100)
    small.model.save_pretrained(tmp_path / "small")
    llm = build(CausalLMConfig(model=str(tmp_path / "small"), tokenizer=str(folder)))
    inside = llm.tokenizer.convert_ids_to_tokens(64)
    assert llm.encode(inside, special=False) == [64]
    with pytest.raises(InterfaceError, match="no embedding"):
        llm.encode("é", special=False)


def test_the_released_tokenizer_gives_its_ids(build: Build, shared: Path) -> None:
    path = shared / "oracle" / "hf_models" / "tiny-qwen2"
    record = shared / "oracle" / "inputs" / "tokenization.json"
    if not path.is_dir() or not record.is_file():
        pytest.skip(f"no reference model in {path}")
    config = CausalLMConfig(model=str(path))
    llm = build(config)
    assert config.parameters() == sum(parameter.numel() for parameter in llm.parameters())
    assert llm.pretrained and config.infer().dim == 96 and llm.end_ids() == [702, 700]
    # Ids above 702 are placeholders that the released code adds to the tokenizer.
    cases = [
        parameter for parameter in json.loads(record.read_text())["cases"] if max(parameter["ids"], default=0) <= 702
    ]
    assert len(cases) > 15
    for case in cases:
        assert llm.encode(case["text"], special=True) == case["ids"], case["text"]
        plain = llm.encode(case["text"], special=False)
        assert not {700, 701, 702} & set(plain) and llm.decode(plain) == case["text"]
