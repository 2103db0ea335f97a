"""What an override and a file that extends another keep, replace and note."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import MappingProxyType

import pytest
import yaml

from affectgpt.core.overrides import mapping_source, read_source
from affectgpt.core.yaml_source import Source
from affectgpt.registry.errors import ConfigError

BASE = """\
seed: 1
encoders:
  face: {plugin: clip-vision, model: openai/clip, layers: 3, frames: 4, input: frame}
fusers:
  multi: {plugin: cross-attention, inputs: [face], queries: 4, heads: 2}
llm: {plugin: causal-lm, model: some/model, tokenizer: ./words, layers: 2, frozen: false}
prompt: {order: [multi]}
"""
ARCHITECTURE = "llm: {plugin: causal-lm, architecture: {model_type: qwen2, hidden_size: 8, num_hidden_layers: 1}}\n"

Merge = Callable[..., Source]


@pytest.fixture(params=["set", "extends"])
def merge(request: pytest.FixtureRequest, tmp_path: Path) -> Merge:
    """Merges a change, such as `fusers.multi={...}`, into a base: as an override, or as a file that extends it."""

    def merged(change: str, base: str = BASE) -> Source:
        path = tmp_path / "base.yaml"
        path.write_text(base, encoding="utf-8")
        if request.param == "set":
            return read_source(path, [change])
        key, _, text = change.partition("=")
        value = yaml.safe_load(text)
        for part in reversed(key.split(".")):
            value = {part: value}
        child = tmp_path / "child.yaml"
        child.write_text(yaml.safe_dump({"extends": "base.yaml", **value}), encoding="utf-8")
        return read_source(child)

    return merged


@pytest.mark.parametrize("plugin", ["gated", "cross-attention"])
def test_a_node_that_names_its_plugin_starts_from_the_defaults_and_keeps_its_inputs(merge: Merge, plugin: str) -> None:
    source = merge(f"fusers.multi={{plugin: {plugin}, heads: 8}}")
    assert source.data["fusers"]["multi"] == {"plugin": plugin, "inputs": ["face"], "heads": 8}
    assert source.notes == [f"fusers.multi: {plugin!r} with its defaults; not kept: queries"]


def test_an_encoder_that_names_its_plugin_keeps_its_stream(merge: Merge) -> None:
    source = merge("encoders.face={plugin: timm}")
    assert source.data["encoders"]["face"] == {"plugin": "timm", "input": "frame"}


def test_a_node_without_plugin_is_merged_key_by_key(merge: Merge) -> None:
    source = merge("fusers.multi={heads: 8}")
    assert source.data["fusers"]["multi"] == {
        "plugin": "cross-attention",
        "inputs": ["face"],
        "queries": 4,
        "heads": 8,
    }
    assert source.notes == []


def test_another_model_drops_tokenizer_and_layers(merge: Merge) -> None:
    source = merge("llm.model=other/model")
    assert source.data["llm"] == {"plugin": "causal-lm", "model": "other/model", "frozen": False}
    assert source.notes == ["llm: another model; not kept: tokenizer, layers"]


def test_another_model_keeps_what_comes_with_it(merge: Merge) -> None:
    llm = merge("llm={model: other/model, layers: 5}").data["llm"]
    assert llm == {"plugin": "causal-lm", "model": "other/model", "layers": 5, "frozen": False}


def test_the_same_model_keeps_all(merge: Merge) -> None:
    source = merge("llm={model: some/model, frozen: true}")
    assert source.data["llm"]["tokenizer"].endswith("words") and source.notes == []


def test_a_model_drops_the_architecture(merge: Merge) -> None:
    source = merge("llm.model=some/model", ARCHITECTURE)
    assert source.data["llm"] == {"plugin": "causal-lm", "model": "some/model"}
    assert source.notes == ["llm: another model; not kept: architecture"]


def test_another_model_of_an_encoder_drops_its_layers(merge: Merge) -> None:
    source = merge("encoders.face.model=openai/other")
    assert "layers" not in source.data["encoders"]["face"] and source.data["encoders"]["face"]["frames"] == 4


def test_an_architecture_of_another_model_type_replaces(merge: Merge) -> None:
    source = merge("llm.architecture={model_type: llama, hidden_size: 16}", ARCHITECTURE)
    assert source.data["llm"]["architecture"] == {"model_type": "llama", "hidden_size": 16}
    assert source.notes == ["llm.architecture: model_type 'llama'; not kept: num_hidden_layers"]


@pytest.mark.parametrize("values", ["{hidden_size: 16}", "{model_type: qwen2, hidden_size: 16}"])
def test_an_architecture_of_the_same_model_type_is_merged(merge: Merge, values: str) -> None:
    source = merge(f"llm.architecture={values}", ARCHITECTURE)
    expected = {"model_type": "qwen2", "hidden_size": 16, "num_hidden_layers": 1}
    assert source.data["llm"]["architecture"] == expected and source.notes == []


def test_the_order_of_overrides_does_not_matter(tmp_path: Path) -> None:
    path = tmp_path / "base.yaml"
    path.write_text(BASE, encoding="utf-8")
    options = ["fusers.multi.heads=8", "llm.tokenizer=./mine", "llm.architecture.hidden_size=3"]
    models = ["llm.architecture.model_type=gpt2", "llm.model=null", "fusers.multi.plugin=gated"]
    before, after = read_source(path, [*options, *models]), read_source(path, [*models, *options])
    assert before.data == after.data
    assert before.data["fusers"]["multi"] == {"plugin": "gated", "inputs": ["face"], "heads": 8}
    assert before.data["llm"]["tokenizer"] == "./mine"
    assert before.data["llm"]["architecture"] == {"model_type": "gpt2", "hidden_size": 3}


def test_a_bundled_pipeline_can_be_extended_by_its_name(tmp_path: Path) -> None:
    child = tmp_path / "child.yaml"
    child.write_text("extends: tiny\nseed: 9\n", encoding="utf-8")
    source = read_source(child)
    assert source.data["seed"] == 9 and source.data["fusers"]["multi"]["plugin"] == "cross-attention"
    assert Path(source.data["llm"]["tokenizer"]).is_dir(), "its paths are meant from its own folder"


def test_a_file_of_the_name_comes_before_the_bundled_pipeline(tmp_path: Path) -> None:
    (tmp_path / "tiny").write_text("seed: 77\n", encoding="utf-8")
    child = tmp_path / "child.yaml"
    child.write_text("extends: tiny\n", encoding="utf-8")
    assert read_source(child).data == {"seed": 77}


def test_an_unknown_bundled_name_lists_the_bundled_pipelines(tmp_path: Path) -> None:
    child = tmp_path / "child.yaml"
    child.write_text("seed: 1\nextends: tniy\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"child\.yaml:2") as caught:
        read_source(child)
    assert "affectgpt, affectgpt-paper, tiny" in str(caught.value) and "did you mean 'tiny'" in str(caught.value)
    child.write_text("extends: ./tiny\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="no such file"):
        read_source(child)


def test_a_mapping_stays_as_it_is_and_is_meant_from_a_folder(tmp_path: Path) -> None:
    mapping = {"extends": "tiny", "seed": 3, "fusers": {"multi": {"heads": 2}}}
    source = mapping_source(mapping, ["seed=4", "fusers.multi.heads=1"], base_dir=tmp_path)
    assert source.data["seed"] == 4 and source.data["fusers"]["multi"]["heads"] == 1
    assert mapping == {"extends": "tiny", "seed": 3, "fusers": {"multi": {"heads": 2}}}
    assert source.base_dir == tmp_path and source.location(("prompt", "wrong")).endswith("(prompt.wrong)")


def test_a_mapping_may_hold_other_mappings_and_paths() -> None:
    inner = MappingProxyType({"plugin": "concat", "model": Path("weights")})
    source = mapping_source({"fusers": MappingProxyType({"multi": inner}), "plugins": ("a.py",)})
    assert source.data == {"fusers": {"multi": {"plugin": "concat", "model": "weights"}}, "plugins": ["a.py"]}


def test_values_of_a_mapping_are_located_in_it_not_in_what_it_extends() -> None:
    source = mapping_source({"extends": "tiny", "fusers": {"multi": {"inputs": 5}}})
    assert source.location(("fusers", "multi", "inputs")) == "config (fusers.multi.inputs)"
    assert "tiny.yaml" in source.location(("fusers", "multi", "plugin"))


def test_a_mapping_that_holds_itself_is_refused() -> None:
    config: dict[str, object] = {}
    config["fusers"] = config
    with pytest.raises(ConfigError, match="nested too deeply"):
        mapping_source(config)


def test_a_name_that_is_too_long_for_a_file_is_refused() -> None:
    with pytest.raises(ConfigError, match="there is neither a file nor a bundled pipeline"):
        mapping_source({"extends": "x" * 5000})


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("seed=" + "9" * 10_000, "a value cannot be read"),
        ("seed=0x" + "f" * 10_000, "a number cannot be read"),
        ("seed=010", "which YAML takes for 8"),
        ("training={steps: 1, steps: 2}", "the key 'steps' is given twice"),
        ("training={? [1] : 2}", "a key must be a word"),
        ("training=&a [*a]", "repeats itself too often|not valid"),
    ],
)
def test_an_override_is_read_like_a_value_of_a_file(tmp_path: Path, override: str, words: str) -> None:
    path = tmp_path / "pipeline.yaml"
    path.write_text("seed: 1\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=words):
        read_source(path, [override])
