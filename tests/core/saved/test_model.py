"""Saving and strict loading: round trips, what is replaced and kept, adapters."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

from affectgpt.core.assembly import assemble
from affectgpt.core.batch import collate
from affectgpt.core.load_config import read_config
from affectgpt.core.pipeline import Pipeline
from affectgpt.core.plan import make_plan
from affectgpt.core.saved.destination import check_destination
from affectgpt.core.saved.extras import add_mark
from affectgpt.core.saved.model import load, save, tensors_to_save, untrained_tensors
from affectgpt.registry.catalog import Catalog
from affectgpt.registry.discovery import discover
from affectgpt.registry.errors import CheckpointError, RunError


def built(path: Path, catalog: Catalog, *overrides: str) -> Pipeline:
    config = read_config(path, catalog, overrides)
    return assemble(make_plan(config))


def test_a_saved_model_writes_the_same_text_when_loaded(
    small: Path, catalog: Catalog, tmp_path: Path, clip: Callable
) -> None:
    pipeline = built(small, catalog)
    with torch.no_grad():
        pipeline.fusers["audio_tokens"].score.weight.mul_(3)
    save(pipeline, tmp_path / "model")
    again = load(tmp_path / "model", discover())
    for name, tensor in pipeline.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[name]), name
    batch = collate([pipeline.prepare(clip(1))], ["hi"])
    assert pipeline.generate(batch) == again.generate(batch)


def test_half_precision_storage_loads_into_full_precision_modules(
    small: Path, catalog: Catalog, tmp_path: Path
) -> None:
    pipeline = built(small, catalog)
    save(pipeline, tmp_path / "model", dtype="float16")
    again = load(tmp_path / "model", discover())
    for name, tensor in again.state_dict().items():
        assert tensor.dtype == pipeline.state_dict()[name].dtype
        torch.testing.assert_close(tensor, pipeline.state_dict()[name], rtol=1e-3, atol=1e-4)


def test_the_config_and_the_plugins_are_recorded(saved: Path) -> None:
    config = yaml.safe_load((saved / "pipeline.yaml").read_text())
    plugins = json.loads((saved / "plugins.json").read_text())
    assert config["llm"]["tokenizer"] == "./tokenizer" and "plugins" not in config
    origin = {"from": "affectgpt", "version": version("affectgpt")}
    assert plugins["multi"] == {"kind": "fuser", "plugin": "modality-attention", **origin}


def test_a_saved_model_can_be_moved(saved: Path, tmp_path: Path, catalog: Catalog) -> None:
    moved = tmp_path / "elsewhere" / "model"
    shutil.move(saved, moved)
    load(moved, catalog)


def test_saving_over_a_saved_model_replaces_it_and_nothing_else_is_touched(
    small: Path, saved: Path, catalog: Catalog, tmp_path: Path
) -> None:
    before = load_file(saved / "model.safetensors")
    save(built(small, catalog, "seed=8"), saved)
    after = load_file(saved / "model.safetensors")
    assert any(not torch.equal(before[name], after[name]) for name in before)
    neighbour = tmp_path / "other"
    neighbour.mkdir()
    (neighbour / "thesis.txt").write_text("years of work")
    with pytest.raises(CheckpointError, match="something else"):
        save(built(small, catalog), neighbour)
    assert [path.name for path in neighbour.iterdir()] == ["thesis.txt"]


def test_saving_over_a_saved_model_keeps_what_stands_beside_it(small: Path, saved: Path, catalog: Catalog) -> None:
    (saved / "released").mkdir()
    (saved / "released" / "checkpoint.json").write_text("{}")
    (saved / "README.md").write_text("# My own words\n")
    save(built(small, catalog, "seed=8"), saved)
    assert (saved / "released" / "checkpoint.json").read_text() == "{}"
    assert (saved / "README.md").read_text() == "# My own words\n"
    # A generated card tells of the weights that are gone.
    (saved / "README.md").write_text(add_mark("# Made\n"))
    save(built(small, catalog, "seed=9"), saved, write_extras=lambda made: (made / "released").mkdir())
    assert not (saved / "README.md").exists() and list((saved / "released").iterdir()) == []


def test_what_training_leaves_as_it_is(small: Path, catalog: Catalog) -> None:
    pipeline = built(small, catalog, "encoders.face.frozen=true")
    fixed = untrained_tensors(pipeline)
    assert fixed.keys() == {name for name in tensors_to_save(pipeline) if name.startswith("encoders.face.")} != set()
    tied = "llm.architecture.tie_word_embeddings=true"
    assert untrained_tensors(built(small, catalog, "encoders.face.frozen=false", tied)) == {}


def test_a_save_that_fails_leaves_the_old_model_and_no_litter(
    small: Path, saved: Path, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*arguments: object) -> None:
        raise OSError("disk full")

    pipeline = built(small, catalog)
    monkeypatch.setattr(pipeline.llm, "save_assets", fails)
    with pytest.raises(RunError, match="disk full"):
        save(pipeline, saved)
    load(saved, catalog)
    assert sorted(path.name for path in saved.parent.iterdir()) == ["model", "small.yaml"]


def test_everybody_may_read_a_saved_model(saved: Path) -> None:
    for path in (saved, *saved.rglob("*")):
        assert path.stat().st_mode & 0o777 == (0o755 if path.is_dir() else 0o644), path


@pytest.mark.parametrize(("value", "dtype"), [(float("nan"), "float32"), (float("inf"), "float32"), (1e30, "float16")])
def test_values_that_are_not_finite_are_not_saved(
    small: Path, catalog: Catalog, tmp_path: Path, value: float, dtype: str
) -> None:
    pipeline = built(small, catalog)
    with torch.no_grad():
        pipeline.fusers["multi"].mix.weight[0, 0] = value
    with pytest.raises(RunError, match=re.escape("fusers.multi.mix.weight")):
        save(pipeline, tmp_path / "deep" / "model", dtype=dtype)
    assert [path.name for path in tmp_path.iterdir()] == ["small.yaml"]


def test_an_adapter_that_is_not_finite_is_not_saved(edited: Callable, catalog: Catalog, tmp_path: Path) -> None:
    pipeline = built(edited(LORA), catalog)
    next(each for name, each in pipeline.named_parameters() if "lora_B" in name).data.fill_(float("nan"))
    with pytest.raises(RunError, match="lora_B"):
        save(pipeline, tmp_path / "model")


@pytest.mark.parametrize("link", [False, True])
def test_a_readme_that_is_no_file_keeps_the_model_from_being_replaced(
    small: Path, saved: Path, catalog: Catalog, tmp_path: Path, link: bool
) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "mine").write_text("years of work")
    (saved / "README.md").symlink_to(tmp_path / "notes" / "mine") if link else shutil.copytree(
        tmp_path / "notes", saved / "README.md"
    )
    before = (saved / "model.safetensors").read_bytes()
    with pytest.raises(CheckpointError, match="not a model card"):
        save(built(small, catalog, "seed=8"), saved)
    assert (saved / "model.safetensors").read_bytes() == before and (saved / "README.md").is_symlink() == link


def test_a_place_whose_path_is_no_text_is_refused_before_the_work(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="not UTF-8"):
        check_destination(tmp_path / os.fsdecode(b"m\xff"))


@pytest.mark.parametrize("location", ["small.yaml/model", "small.yaml/deep/model", "n" * 300])
def test_a_place_that_cannot_be_written_is_an_error(
    small: Path, catalog: Catalog, tmp_path: Path, location: str
) -> None:
    with pytest.raises(CheckpointError, match="cannot be saved at this place"):
        save(built(small, catalog), tmp_path / location)
    with pytest.raises(CheckpointError, match="cannot be saved at this place"):
        check_destination(tmp_path / location)
    assert [path.name for path in tmp_path.iterdir()] == ["small.yaml"]


def test_a_place_that_can_be_written_is_left_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in ("model", "deep/er/model", tmp_path / "model", ".", "/"):
        check_destination(Path(folder))
    assert list(tmp_path.iterdir()) == []


LORA = ("  frozen: false\n  architecture", "  lora: {r: 4, alpha: 8, dropout: 0.0}\n  architecture")


def test_an_adapter_is_saved_in_pefts_format_and_loads_strictly(
    edited: Callable, catalog: Catalog, tmp_path: Path, clip: Callable
) -> None:
    pipeline = built(edited(LORA), catalog)
    for name, parameter in pipeline.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.3)
    save(pipeline, tmp_path / "model")
    assert (tmp_path / "model" / "adapter" / "adapter_config.json").exists()
    again = load(tmp_path / "model", discover())
    batch = collate([pipeline.prepare(clip(1))], ["hi"])
    assert pipeline.generate(batch) == again.generate(batch)
    path = tmp_path / "model" / "adapter" / "adapter_model.safetensors"
    tensors = load_file(path)
    tensors.pop(next(iter(tensors)))
    save_file(tensors, path)
    with pytest.raises(CheckpointError, match="missing"):
        load(tmp_path / "model", discover())


SETTINGS = {
    "use_rslora": True,
    "use_dora": True,
    "alpha_pattern": {"q_proj": 400},
    "rank_pattern": {"q_proj": 1},
    "bias": "all",
    "lora_bias": True,
    "fan_in_fan_out": True,
    "layers_to_transform": [0],
    "modules_to_save": ["lm_head"],
    "peft_type": "IA3",
    "lora_alpha": 16,
    "target_modules": 5,
    "setting_of_another_peft": 1,
}
NO_SETTINGS = ["[" * 100_000, "[1]", "null", "5", "", "{}", "\x00", "a link to a device"]


@pytest.fixture
def saved_adapter(edited: Callable, catalog: Catalog, tmp_path: Path) -> Path:
    save(built(edited(LORA), catalog), tmp_path / "model")
    return tmp_path / "model"


def test_every_setting_of_an_adapter_is_that_of_the_pipeline(saved_adapter: Path, catalog: Catalog) -> None:
    path = saved_adapter / "adapter" / "adapter_config.json"
    stored = json.loads(path.read_text(encoding="utf-8"))
    for name, value in SETTINGS.items():
        path.write_text(json.dumps({**stored, name: value}), encoding="utf-8")
        with pytest.raises(CheckpointError, match=f"made with another {name}"):
            load(saved_adapter, catalog)
    # What an older PEFT wrote, and what says nothing of the adapter's numbers.
    path.write_text(json.dumps({**stored, "gone": None, "peft_version": "0.1", "layers_to_transform": []}))
    load(saved_adapter, catalog)


def test_settings_of_an_adapter_that_cannot_be_read_are_one_error(saved_adapter: Path, catalog: Catalog) -> None:
    path = saved_adapter / "adapter" / "adapter_config.json"
    for text in NO_SETTINGS:
        path.unlink()
        if text == "a link to a device":
            path.symlink_to("/dev/zero")
        else:
            path.write_text(text, encoding="utf-8")
        with pytest.raises(CheckpointError, match="the adapter's settings"):
            load(saved_adapter, catalog)


def test_weights_read_from_a_model_folder_are_not_saved_again(
    edited: Callable, catalog: Catalog, tmp_path: Path
) -> None:
    source = built(edited(), catalog)
    source.llm.model.save_pretrained(tmp_path / "llm")
    source.llm.tokenizer.save_pretrained(tmp_path / "llm")
    path = edited(("  init: random\n  frozen: false\n", f"  model: {tmp_path / 'llm'}\n"))
    text = path.read_text()
    path.write_text("\n".join(line for line in text.splitlines() if "architecture" not in line))
    pipeline = built(path, catalog)
    assert not [name for name in tensors_to_save(pipeline) if name.startswith("llm.")]
    save(pipeline, tmp_path / "model")
    again = load(tmp_path / "model", discover())
    assert torch.equal(again.llm.model.model.norm.weight, source.llm.model.model.norm.weight)


@pytest.mark.parametrize("names", [("values", "type"), ("train", "training"), ("keys", "pop")])
def test_a_node_may_be_called_anything(
    edited: Callable, catalog: Catalog, tmp_path: Path, clip: Callable, names: tuple[str, str]
) -> None:
    encoder, fuser = names
    path = edited(
        ("  audio: {plugin: mel,", f"  {encoder}: {{plugin: mel, input: audio,"),
        ("inputs: [audio]", f"inputs: [{encoder}]"),
        ("multi: {plugin: modality-attention", f"{fuser}: {{plugin: concat, dim: 24"),
        ("inputs: [face, audio]", f"inputs: [face, {encoder}]"),
        ("order: [multi,", f"order: [{fuser},"),
    )
    pipeline = built(path, catalog)
    assert f"projectors.{fuser}.weight" in pipeline.state_dict()
    assert f"fusers.{fuser}.widen.{encoder}.weight" in pipeline.state_dict()
    batch = collate([pipeline.prepare(clip(1))], ["hi"])
    pipeline.train()
    pipeline(batch, ["well"]).backward()
    pipeline.eval()
    save(pipeline, tmp_path / "model")
    assert load(tmp_path / "model", discover()).generate(batch) == pipeline.generate(batch)


def test_a_folder_with_other_files_is_never_replaced(small: Path, saved: Path, catalog: Catalog) -> None:
    (saved / "thesis.txt").write_text("years of work")
    with pytest.raises(CheckpointError, match="something else"):
        save(built(small, catalog), saved)
    assert (saved / "thesis.txt").exists()


def test_a_changed_adapter_setting_is_refused(edited: Callable, catalog: Catalog, tmp_path: Path) -> None:
    save(built(edited(LORA), catalog), tmp_path / "model")
    config = tmp_path / "model" / "pipeline.yaml"
    config.write_text(config.read_text().replace("alpha: 8", "alpha: 800"))
    with pytest.raises(CheckpointError, match="another lora_alpha"):
        load(tmp_path / "model", discover())


def test_an_adapter_on_random_weights_is_stored_once(edited: Callable, catalog: Catalog) -> None:
    names = tensors_to_save(built(edited(LORA), catalog))
    assert not [name for name in names if "_peft" in name or ".lora_" in name]
    assert [name for name in names if name.startswith("llm.model.")]


def test_a_node_whose_weights_are_called_lora_is_saved(edited: Callable, catalog: Catalog, tmp_path: Path) -> None:
    path = edited(("audio_tokens: {", "lora_a: {"), ("multi, audio_tokens", "multi, lora_a"))
    assert "fusers.lora_a.score.weight" in tensors_to_save(built(path, catalog))
