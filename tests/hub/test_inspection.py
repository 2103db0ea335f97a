"""A folder is checked before it is uploaded: what is damaged is found without building the large parts."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

from affectgpt.core.assembly import assemble
from affectgpt.core.load_config import read_config
from affectgpt.core.plan import make_plan
from affectgpt.core.saved.model import save
from affectgpt.hub.inspection import check_saved
from affectgpt.registry.catalog import Catalog
from affectgpt.registry.errors import AffectGPTError, CheckpointError, ConfigError

PAPER = Path(__file__).resolve().parents[2] / "configs" / "affectgpt-paper.yaml"


def test_a_whole_model_passes_and_draws_no_random_number(saved: Path, catalog: Catalog) -> None:
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    check_saved(saved, catalog)
    assert torch.equal(torch.rand(1), expected)


def tensors(change: Callable[[dict[str, torch.Tensor]], object]) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        result = load_file(folder / "model.safetensors")
        change(result)
        save_file(result, folder / "model.safetensors")

    return apply


def config(change: Callable[[dict], object]) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        content = yaml.safe_load((folder / "pipeline.yaml").read_text())
        change(content)
        (folder / "pipeline.yaml").write_text(yaml.safe_dump(content))

    return apply


def truncated(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-8])


def without(prefix: str) -> Callable[[Path], None]:
    return tensors(lambda t: [t.pop(name) for name in list(t) if name.startswith(prefix)])


FUSED = "fusers.multi.queries"
DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "no config": (lambda f: (f / "pipeline.yaml").unlink(), "no pipeline.yaml"),
    "no weights": (lambda f: (f / "model.safetensors").unlink(), "no model.safetensors"),
    "no plugins": (lambda f: (f / "plugins.json").unlink(), "no plugins.json"),
    "truncated": (truncated, "cannot be read"),
    "a pickle": (lambda f: (f / "model.safetensors").write_bytes(b"\x80\x04cos\nsystem\n."), "cannot be read"),
    "a missing tensor": (tensors(lambda t: t.pop("projectors.multi.bias")), "projectors.multi.bias"),
    "another shape": (tensors(lambda t: t.update({"projectors.multi.bias": torch.zeros(3)})), "wrong form"),
    "a strange tensor": (tensors(lambda t: t.update({"fusers.other.w": torch.zeros(3)})), "fusers.other.w"),
    "a strange part": (tensors(lambda t: t.update({"optimizer.w": torch.zeros(3)})), "optimizer.w"),
    "a tensor of a strange encoder": (tensors(lambda t: t.update({"encoders.x.w": torch.zeros(1)})), "encoders.x.w"),
    "NaN": (tensors(lambda t: t["projectors.multi.bias"].__setitem__(0, float("nan"))), "not finite"),
    "NaN in the LLM": (tensors(lambda t: t["llm.model.model.norm.weight"].fill_(float("inf"))), "not finite"),
    "no encoder": (without("encoders.face."), "encoders.face"),
    "no LLM": (without("llm."), "no tensor of llm"),
    "another width": (config(lambda c: c["llm"]["architecture"].update(hidden_size=64)), "wrong form"),
    "another fuser": (
        config(lambda c: c["fusers"].update(multi={"plugin": "modality-attention", "inputs": ["face", "audio"]})),
        "do not belong",
    ),
    "plugin code": (config(lambda c: c.update(plugins=["evil.py"])), "wants to run plugin code"),
    "an unknown plugin": (config(lambda c: c["llm"].update(plugin="nothing")), "nothing"),
    "an adapter too many": (lambda f: (f / "adapter").mkdir(), "no lora"),
}


@pytest.mark.parametrize("case", DAMAGE)
def test_damage_is_one_error_that_names_it(case: str, saved: Path, catalog: Catalog) -> None:
    damage, words = DAMAGE[case]
    damage(saved)
    with pytest.raises(AffectGPTError) as caught:
        check_saved(saved, catalog)
    assert words in str(caught.value), str(caught.value)
    assert isinstance(caught.value, CheckpointError | ConfigError)


def test_links_to_other_places_are_not_uploaded(saved: Path, catalog: Catalog, tmp_path: Path) -> None:
    (tmp_path / "secret.json").write_text("{}")
    (saved / "tokenizer" / "vocab.json").symlink_to(tmp_path / "secret.json")
    with pytest.raises(CheckpointError, match="links to other places") as caught:
        check_saved(saved, catalog)
    assert "tokenizer/vocab.json" in str(caught.value)


@pytest.mark.parametrize("linked_path", ["tokenizer", "notes/deep"])
def test_a_link_in_the_place_of_a_folder_is_refused_too(
    linked_path: str, saved: Path, catalog: Catalog, tmp_path: Path
) -> None:
    if linked_path == "tokenizer":
        (saved / linked_path).rename(tmp_path / "elsewhere")
    else:
        (tmp_path / "elsewhere").mkdir()
    (saved / linked_path).parent.mkdir(exist_ok=True)
    (saved / linked_path).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(CheckpointError, match="links to other places") as caught:
        check_saved(saved, catalog)
    assert linked_path in str(caught.value)


@pytest.mark.parametrize("remaining", [[], ["private/tokenizer.json"]])
def test_what_the_config_names_in_the_folder_must_be_there(remaining: list[str], saved: Path, catalog: Catalog) -> None:
    shutil.rmtree(saved / "tokenizer")
    for name in remaining:
        (saved / "tokenizer" / name).parent.mkdir(parents=True)
        (saved / "tokenizer" / name).write_text("{}")
    with pytest.raises(CheckpointError, match="names a part of the saved model that is not there") as caught:
        check_saved(saved, catalog)
    assert "./tokenizer" in str(caught.value)


@pytest.fixture
def adapted(tmp_path: Path, catalog: Catalog) -> Path:
    path = tmp_path / "adapted.yaml"
    path.write_text(
        "encoders: {audio: {plugin: mel, n_mels: 16, stack: 10, max_seconds: 2}}\n"
        "fusers: {mean: {plugin: mean, inputs: [audio]}}\n"
        "llm: {plugin: causal-lm, init: random, lora: {r: 3, alpha: 6, targets: [q_proj, down_proj]}, architecture:"
        " {model_type: qwen2, hidden_size: 32, intermediate_size: 48, num_hidden_layers: 1, num_attention_heads: 2,"
        " num_key_value_heads: 1, max_position_embeddings: 1024, vocab_size: 300}}\n"
        "prompt: {template: affectgpt, order: [mean, subtitle]}\ngeneration: {max_new_tokens: 12}\n"
    )
    parsed = read_config(path, catalog)
    save(assemble(make_plan(parsed)), tmp_path / "adapted")
    return tmp_path / "adapted"


def halves(folder: Path, keep: Callable[[str], bool], change: Callable = lambda name, tensor: tensor) -> None:
    path = folder / "adapter" / "adapter_model.safetensors"
    save_file({n: change(n, t).contiguous() for n, t in load_file(path).items() if keep(n)}, path)


def settings(folder: Path, **values: object) -> None:
    path = folder / "adapter" / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


ADAPTER: dict[str, tuple[Callable[[Path], object], str]] = {
    "no weights": (lambda f: (f / "adapter" / "adapter_model.safetensors").unlink(), "missing"),
    "no settings": (lambda f: (f / "adapter" / "adapter_config.json").unlink(), "settings cannot be read"),
    "settings that are none": (lambda f: (f / "adapter" / "adapter_config.json").write_text("[]"), "settings cannot"),
    "another alpha": (lambda f: settings(f, lora_alpha=99), "other settings"),
    "one half": (lambda f: halves(f, lambda n: ".lora_A." in n), "other half"),
    "another rank": (lambda f: halves(f, lambda n: True, lambda n, t: t[:2] if "lora_A" in n else t), "another rank"),
    "a module too few": (lambda f: halves(f, lambda n: "down_proj" not in n), "down_proj"),
    "NaN": (lambda f: halves(f, lambda n: True, lambda n, t: t * float("nan")), "not finite"),
}


@pytest.mark.parametrize("case", ADAPTER)
def test_a_damaged_adapter_is_one_error(case: str, adapted: Path, catalog: Catalog) -> None:
    check_saved(adapted, catalog)
    damage, words = ADAPTER[case]
    damage(adapted)
    with pytest.raises(CheckpointError, match=words):
        check_saved(adapted, catalog)


def test_the_paper_s_pipeline_is_checked_without_its_seven_billion_weights(tmp_path: Path, catalog: Catalog) -> None:
    parsed = read_config(PAPER, catalog)
    plan = make_plan(parsed)
    from affectgpt.hub.inspection import _built_tensors

    folder = tmp_path / "paper"
    (folder / "adapter").mkdir(parents=True)
    lora = plan.llm.config.lora
    (folder / "pipeline.yaml").write_text(PAPER.read_text())
    (folder / "plugins.json").write_text("{}")
    shapes = _built_tensors(plan, catalog)
    save_file({name: torch.zeros(shape) for name, shape in shapes.items()}, folder / "model.safetensors")
    (folder / "adapter" / "adapter_config.json").write_text(json.dumps({"r": lora.r, "lora_alpha": lora.alpha}))
    pairs = {
        f"base_model.model.model.layers.0.x.{target}.lora_{side}.weight": torch.zeros(shape)
        for target in lora.targets
        for side, shape in (("A", (lora.r, 8)), ("B", (8, lora.r)))
    }
    save_file(pairs, folder / "adapter" / "adapter_model.safetensors")
    assert check_saved(folder, catalog).llm.output.dim == 3584
    save_file(
        {name: torch.zeros(shape) for name, shape in shapes.items()} | {"llm.model.x": torch.zeros(1)},
        folder / "model.safetensors",
    )
    with pytest.raises(CheckpointError, match="read from a model folder and frozen"):
        check_saved(folder, catalog)
