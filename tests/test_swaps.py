"""Every plugin that is found can take its place in `configs/tiny.yaml` by a change of one node, and works there."""

from __future__ import annotations

import math
import re
import shutil
from pathlib import Path

import pytest
import torch
import yaml

from affectgpt.core.assembly import assemble
from affectgpt.core.batch import collate
from affectgpt.core.load_config import read_config
from affectgpt.core.plan import make_plan
from affectgpt.data.samples import Sample
from affectgpt.registry.catalog import Catalog
from affectgpt.registry.discovery import discover
from affectgpt.registry.spec import Kind
from affectgpt.testing import NoiseClip, verify
from affectgpt.training.loop import train

CONFIGS = Path(__file__).resolve().parents[1] / "configs"

# Options that make a plugin small and need no weights. Every plugin has its line, be it an empty one.
OPTIONS: dict[tuple[Kind, str], str] = {
    ("encoder", "clip-vision"): "init: random, frames: 2, architecture: {hidden_size: 16, intermediate_size: 16,"
    " num_hidden_layers: 1, num_attention_heads: 2, image_size: 32, patch_size: 16, projection_dim: 12}",
    ("encoder", "timm"): "init: random, model: test_vit, frames: 2, size: 32, model_args: {img_size: 32}, features: 64",
    ("encoder", "open-clip"): "model: ViT-S-32-alt, frames: 1",
    ("encoder", "speech"): "init: random, clips: 2, seconds: 0.5, layers: 1, architecture: {hidden_size: 16,"
    " intermediate_size: 16, num_hidden_layers: 1, num_attention_heads: 2, conv_dim: [8, 8, 8, 8, 8, 8, 8],"
    " num_conv_pos_embeddings: 4, num_conv_pos_embedding_groups: 2}",
    ("encoder", "mel"): "n_mels: 16, max_seconds: 2",
    ("encoder", "timm-mel"): "init: random, model: resnet10t, windows: 2, n_mels: 32, seconds: 0.5, features: 24,"
    " model_args: {channels: [8, 8, 16, 24], stem_width: 8}",
    ("fuser", "temporal-attention"): "",
    ("fuser", "modality-attention"): "",
    ("fuser", "mean"): "",
    ("fuser", "perceiver"): "queries: 2, dim: 16, layers: 1",
    ("fuser", "mbt"): "queries: 2, dim: 16, layers: 1",
    ("fuser", "mult"): "dim: 16, layers: 1",
    ("fuser", "tfn"): "reduced: 4, dim: 8",
    ("fuser", "lmf"): "rank: 2, dim: 8",
    ("fuser", "gated"): "dim: 8",
    ("fuser", "film"): "hidden: 8",
    ("fuser", "moe"): "experts: 2, top: 1, dim: 8",
    ("fuser", "qformer"): "queries: 2, dim: 16, layers: 1",
    ("fuser", "cross-attention"): "queries: 2, dim: 16",
    ("fuser", "concat"): "",
    ("llm", "causal-lm"): "init: random, frozen: false, tokenizer: ./tiny-tokenizer, architecture: {model_type: llama,"
    " vocab_size: 640, hidden_size: 32, intermediate_size: 48, num_hidden_layers: 1, num_attention_heads: 2,"
    " num_key_value_heads: 1, max_position_embeddings: 512}",
}

# An extractor reads finished text and is no part of a pipeline.
FOUND = sorted(key for key in discover().entries if key[0] != "extractor")
QUICK = ["training.steps=1", "training.warmup_steps=0", "training.batch_size=2", "generation.max_new_tokens=4"]


def with_node(text: str, name: str, flow: str) -> str:
    """The pipeline file `text` with the node `name` (of a section, or `llm`) written as the flow mapping `flow`."""
    if name == "llm":
        pattern, line = r"^llm:.*\n(?:[ #].*\n|\n)*", f"llm: {flow}\n"
    else:
        pattern, line = rf"^  {name}:.*\n(?:    .*\n)*", f"  {name}: {flow}\n"
    changed, count = re.subn(pattern, lambda _: line, text, flags=re.MULTILINE)
    assert count == 1, f"{name} is written {count} times"
    return changed


def place_of(catalog: Catalog, kind: Kind, name: str) -> tuple[str, str]:
    """The node of `configs/tiny.yaml` that a plugin can stand for, and what the node is given."""
    config = catalog.config_class(catalog.get(kind, name))
    if kind == "llm":
        return "llm", ""
    if kind == "encoder":
        return ("audio", "") if "audio" in config.streams and "face" not in config.streams else ("face", "")
    return ("face_tokens", "inputs: [face]") if config.arity == (1, 1) else ("multi", "inputs: [face, audio]")


def swapped(folder: Path, catalog: Catalog, kind: Kind, name: str) -> tuple[Path, str]:
    """A copy of `configs/tiny.yaml` in which one node was changed to the plugin, and the node's name."""
    node, inputs = place_of(catalog, kind, name)
    text = (CONFIGS / "tiny.yaml").read_text(encoding="utf-8")
    flow = "{" + ", ".join(filter(None, [f"plugin: {name}", inputs, OPTIONS[kind, name]])) + "}"
    path = folder / "tiny.yaml"
    path.write_text(with_node(text, node, flow), encoding="utf-8")
    shutil.copytree(CONFIGS / "tiny-tokenizer", folder / "tiny-tokenizer")
    return path, node


def test_every_plugin_has_its_line() -> None:
    missing, gone = sorted(set(FOUND) - set(OPTIONS)), sorted(set(OPTIONS) - set(FOUND))
    assert not missing, f"add a line to OPTIONS of {Path(__file__).name} for {missing}"
    assert not gone, f"OPTIONS has a line for {gone}, which discovery does not find"


def test_one_node_is_changed_and_nothing_else() -> None:
    text = (CONFIGS / "tiny.yaml").read_text(encoding="utf-8")
    before = yaml.safe_load(text)
    for section, name in (("encoders", "face"), ("encoders", "audio"), ("fusers", "face_tokens"), ("fusers", "multi")):
        after = yaml.safe_load(with_node(text, name, "{plugin: other}"))
        assert after[section].pop(name) == {"plugin": "other"}
        assert after == {**before, section: {key: node for key, node in before[section].items() if key != name}}
    assert yaml.safe_load(with_node(text, "llm", "{plugin: other}")) == {**before, "llm": {"plugin": "other"}}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("kind", "name"), FOUND, ids=[f"{kind}-{name}" for kind, name in FOUND])
def test_a_swap_of_one_node_checks_trains_and_writes(kind: Kind, name: str, tmp_path: Path, catalog: Catalog) -> None:
    assert (kind, name) in OPTIONS, f"add a line to OPTIONS of {Path(__file__).name} for the {kind} {name!r}"
    torch.set_num_threads(1)
    path, node = swapped(tmp_path, catalog, kind, name)
    config = read_config(path, catalog, QUICK)
    plan = make_plan(config)
    planned = {**plan.encoders, **plan.fusers, "llm": plan.llm}[node]
    assert planned.entry.spec.name == name
    pipeline = assemble(plan)
    module = pipeline.llm if kind == "llm" else (pipeline.encoders if kind == "encoder" else pipeline.fusers)[node]
    assert isinstance(module, catalog.target_class(planned.entry))
    assert planned.parameters in (None, sum(weight.numel() for weight in module.parameters()))

    clips = [NoiseClip(1, seconds=1.2), NoiseClip(2, seconds=0.0), NoiseClip(3, seconds=0.7)]
    samples = [Sample(str(clip.seed), pipeline.prepare(clip), "well", "Angry.") for clip in clips]
    before = {key: value.detach().clone() for key, value in pipeline.named_parameters()}
    history = train(pipeline, samples)
    assert len(history.losses) == 1 and math.isfinite(history.losses[0])
    changed = {key for key, value in pipeline.named_parameters() if not torch.equal(before[key], value)}
    assert changed and changed <= {key for key, value in pipeline.named_parameters() if value.requires_grad}
    names = {id(value) for value in module.parameters() if value.requires_grad}
    assert not names or names & {id(value) for key, value in pipeline.named_parameters() if key in changed}
    answers = pipeline.generate(collate([sample.media for sample in samples], [sample.subtitle for sample in samples]))
    assert len(answers) == len(samples)
    assert all(isinstance(answer.text, str) and answer.tokens <= 4 for answer in answers)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("kind", "name"), [plugin for plugin in FOUND if plugin[0] != "fuser"], ids=lambda part: part)
def test_every_encoder_and_language_model_keeps_its_contract(
    kind: Kind, name: str, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.set_num_threads(1)
    monkeypatch.chdir(CONFIGS)
    options = yaml.safe_load("{" + OPTIONS[kind, name] + "}")
    assert [f"{item.check}: {item.failure}" for item in verify(catalog, kind, name, options) if item.failure] == []
