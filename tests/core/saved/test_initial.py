"""A saved model as the beginning of another training: what may change in its config, and what may not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from affectgpt.core.assembly import assemble
from affectgpt.core.load_config import read_config
from affectgpt.core.pipeline import Pipeline
from affectgpt.core.plan import make_plan
from affectgpt.core.saved.initial import read_initial_model
from affectgpt.core.saved.model import load, save
from affectgpt.registry.catalog import Catalog
from affectgpt.registry.errors import CheckpointError

LORA = "llm.lora={r: 2, alpha: 4}"


def built(path: Path, catalog: Catalog, *changes: str) -> Pipeline:
    config = read_config(path, catalog, changes)
    return assemble(make_plan(config))


def begun(folder: Path, catalog: Catalog, *changes: str) -> Pipeline:
    beginning = read_initial_model(folder, catalog, changes)
    pipeline = assemble(beginning.plan)
    beginning.load_weights(pipeline)
    return pipeline


def shake(pipeline: Pipeline) -> None:
    """As training would: what is trained moves."""
    with torch.no_grad():
        for parameter in pipeline.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter) * 0.05)


@pytest.fixture
def on_folder(edited: Callable, catalog: Catalog, tmp_path: Path) -> Path:
    """A pipeline file whose frozen LLM is read from a model folder."""
    source = built(edited(), catalog)
    source.llm.model.save_pretrained(tmp_path / "llm")
    source.llm.tokenizer.save_pretrained(tmp_path / "llm")
    path: Path = edited(("  init: random\n  frozen: false\n", f"  model: {tmp_path / 'llm'}\n"))
    path.write_text("\n".join(line for line in path.read_text().splitlines() if "architecture" not in line))
    return path


@pytest.fixture
def first(on_folder: Path, catalog: Catalog, tmp_path: Path) -> Path:
    """What a first training gave, in which the LLM was frozen."""
    pipeline = built(on_folder, catalog)
    shake(pipeline)
    save(pipeline, tmp_path / "first")
    return tmp_path / "first"


def same(one: Any, second: Any) -> bool:
    mine, theirs = one.state_dict(), second.state_dict()
    return mine.keys() == theirs.keys() and all(torch.equal(mine[name], theirs[name]) for name in mine)


def test_without_changes_it_is_the_saved_model(first: Path, catalog: Catalog) -> None:
    assert same(begun(first, catalog), load(first, catalog))


def test_a_frozen_llm_may_be_trained_next(first: Path, catalog: Catalog, tmp_path: Path) -> None:
    second = begun(first, catalog, "llm.frozen=false")
    assert same(second, load(first, catalog))
    shake(second)
    save(second, tmp_path / "second")
    assert any(name.startswith("llm.") for name in load_file(tmp_path / "second" / "model.safetensors"))
    assert same(begun(tmp_path / "second", catalog), second) and same(load(tmp_path / "second", catalog), second)
    # Frozen again, its weights would not be saved, and be those of the model folder the next time.
    with pytest.raises(CheckpointError, match="do not belong to this pipeline"):
        begun(tmp_path / "second", catalog, "llm.frozen=true")


def test_an_adapter_may_be_added_and_is_kept(first: Path, catalog: Catalog, tmp_path: Path) -> None:
    second = begun(first, catalog, LORA)
    adapters = [parameter for name, parameter in second.named_parameters() if "lora_B" in name]
    assert adapters and not any(parameter.any() for parameter in adapters)
    assert torch.equal(second.fusers["multi"].mix.weight, load(first, catalog).fusers["multi"].mix.weight)
    shake(second)
    save(second, tmp_path / "second")
    third = begun(tmp_path / "second", catalog)
    adapter = [parameter for name, parameter in third.named_parameters() if "lora_B" in name]
    assert same(third, second) and any(parameter.any() for parameter in adapter)
    with pytest.raises(CheckpointError, match="no lora"):
        begun(tmp_path / "second", catalog, "llm.lora=null")
    with pytest.raises(CheckpointError, match="another r"):
        begun(tmp_path / "second", catalog, "llm.lora.r=3")


def test_an_adapter_may_be_added_to_weights_that_the_model_holds(small: Path, catalog: Catalog, tmp_path: Path) -> None:
    pipeline = built(small, catalog)
    shake(pipeline)
    save(pipeline, tmp_path / "first")
    second = begun(tmp_path / "first", catalog, LORA, "llm.frozen=true")
    layer = second.state_dict()["llm.model.model.layers.0.mlp.down_proj.base_layer.weight"]
    assert torch.equal(layer, pipeline.state_dict()["llm.model.model.layers.0.mlp.down_proj.weight"])
    shake(second)
    save(second, tmp_path / "second")
    assert same(begun(tmp_path / "second", catalog), second)
    with pytest.raises(CheckpointError, match="the config has no lora"):
        begun(tmp_path / "second", catalog, "llm.lora=null")


def test_an_encoder_that_was_trained_may_be_frozen_when_no_model_folder_has_it(
    first: Path, catalog: Catalog, tmp_path: Path
) -> None:
    second = begun(first, catalog, "encoders.face.frozen=true")
    assert same(second, load(first, catalog))
    save(second, tmp_path / "second")
    assert same(load(tmp_path / "second", catalog), second)


@pytest.mark.parametrize("changes", [(), ("llm.frozen=false",)])
@pytest.mark.parametrize("part", ["fusers.multi.", "encoders.face."])
def test_a_tensor_that_is_missing_is_told_with_changes_too(
    first: Path, catalog: Catalog, changes: tuple[str, ...], part: str
) -> None:
    tensors = load_file(first / "model.safetensors")
    key = next(name for name in tensors if name.startswith(part))
    tensors.pop(key)
    save_file(tensors, first / "model.safetensors")
    with pytest.raises(CheckpointError, match=key):
        begun(first, catalog, *changes)
