"""Pipeline files: merging, places, and all problems in one pass."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from affectgpt.bundled import bundled_config
from affectgpt.core.load_config import read_config
from affectgpt.core.plan import make_plan
from affectgpt.registry.catalog import Catalog
from affectgpt.registry.errors import ConfigError

Edited = Callable[..., Path]


def problems(path: Path, catalog: Catalog, *overrides: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        read_config(path, catalog, overrides)
    return [str(problem) for problem in caught.value.problems]


def test_a_valid_file_loads_with_defaults_filled_in(small: Path, catalog: Catalog) -> None:
    config = read_config(small, catalog)
    assert config.encoders["audio"].config.input == "audio"
    assert config.fusers["multi"].config.inputs == ["face", "audio"]
    assert config.generation.sample is False


def test_the_dump_of_a_config_loads_as_the_same_config(small: Path, catalog: Catalog, tmp_path: Path) -> None:
    config = read_config(small, catalog)
    again = tmp_path / "again.yaml"
    again.write_text(yaml.safe_dump(config.model_dump(mode="json")), encoding="utf-8")
    assert read_config(again, catalog) == config


def test_six_mistakes_are_all_reported_each_with_its_line(edited: Edited, catalog: Catalog) -> None:
    path = edited(
        ("seed: 3", "sead: 3"),
        ("plugin: mel,", "plugin: mell,"),
        ("frames: 3", "frames: many"),
        ("temporal-attention, inputs: [audio]", "temporal-attention, inputs: []"),
        ("max_new_tokens: 12", "max_new_tokens: -1"),
        ("lr: 1.0e-3", "lr: 1.0e-3, epochs: 4"),
    )
    messages = problems(path, catalog)
    assert len(messages) == 6
    text = "\n".join(messages)
    for line, words in {
        1: "did you mean 'seed'",
        3: "did you mean 'mel'",
        4: "encoders.face.frames",
        6: "fusers.audio_tokens.inputs",
        14: "generation.max_new_tokens",
        15: "training.epochs",
    }.items():
        assert f"small.yaml:{line} " in text and words in text, (line, words, text)


def test_an_override_names_itself_as_the_place(small: Path, catalog: Catalog) -> None:
    (problem,) = problems(small, catalog, "fusers.multi.plugin=modality-atention")
    assert "changes: fusers.multi.plugin=modality-atention" in problem and "'modality-attention'" in problem


@pytest.mark.parametrize("override", ["fusers", "=3", "a..b=1", "seed.x=1", "seed=[1", "fusers.multi.inputs.0=x"])
def test_a_malformed_override_is_an_error(small: Path, catalog: Catalog, override: str) -> None:
    assert override in problems(small, catalog, override)[0]


def test_swapping_a_plugin_keeps_inputs_and_drops_the_old_options(edited: Edited, catalog: Catalog) -> None:
    path = edited(("modality-attention, inputs", "modality-attention, normalize: none, inputs"))
    config = read_config(path, catalog, ["fusers.multi.dim=24", "fusers.multi.plugin=concat"])
    assert config.fusers["multi"].config.inputs == ["face", "audio"]
    assert config.fusers["multi"].config.dim == 24
    assert config.source is not None and "normalize" in config.source.notes[0]


def test_null_removes_an_inherited_node(small: Path, catalog: Catalog) -> None:
    config = read_config(small, catalog, ["fusers.multi=null", "encoders.face=null", "prompt.order=[audio_tokens]"])
    assert list(config.fusers) == ["audio_tokens"] and list(config.encoders) == ["audio"]


def test_extends_merges_one_level_and_keeps_places(small: Path, catalog: Catalog) -> None:
    child = small.parent / "child.yaml"
    child.write_text("extends: small.yaml\nseed: 9\nfusers:\n  multi: {plugin: concat, widht: 3}\n", encoding="utf-8")
    (problem,) = problems(child, catalog)
    assert "child.yaml:4" in problem
    child.write_text("extends: small.yaml\nseed: 9\nfusers:\n  multi: {plugin: concat}\n", encoding="utf-8")
    config = read_config(child, catalog)
    assert config.seed == 9 and config.fusers["multi"].plugin == "concat" and "face" in config.encoders


def test_a_second_level_of_extends_is_refused(small: Path, catalog: Catalog) -> None:
    (small.parent / "a.yaml").write_text("extends: small.yaml\n", encoding="utf-8")
    (small.parent / "b.yaml").write_text("extends: a.yaml\n", encoding="utf-8")
    assert "one level" in problems(small.parent / "b.yaml", catalog)[0]


def test_relative_paths_are_meant_from_the_file_that_holds_them(
    edited: Edited, catalog: Catalog, tmp_path: Path
) -> None:
    path = edited(("  frozen: false\n  architecture", "  frozen: false\n  tokenizer: ./words\n  architecture"))
    (tmp_path / "below").mkdir()
    child = tmp_path / "below" / "child.yaml"
    child.write_text(f"extends: ../{path.name}\n", encoding="utf-8")
    config = read_config(child, catalog)
    assert config.llm.config.tokenizer == str(tmp_path / "words")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "must be a mapping"),
        ("- 1\n- 2\n", "must be a mapping"),
        ("a: [1\n", "not valid YAML"),
        ("a: 1\na: 2\n", "given twice"),
        ("? [1, 2]\n: 3\n", "a key must be a word"),
        ("seed: 0x" + "f" * 10_000, "a number cannot be read"),
        ("seed: " + "9" * 10_000, "a value cannot be read"),
        ("seed: " + ":".join(["59"] * 3000), "a number cannot be read"),
        ("seed: 010", "010, which YAML takes for 8"),
        ("seed: -1:30", "-1:30, which YAML takes for -90"),
        ("\x00", "not valid YAML"),
        ("[" * 50_000, "nested too deeply"),
        ("a: &a [*a]\n", "nested too deeply|not valid"),
        (
            "a: &a [1,1,1,1,1,1,1,1,1]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b]\n"
            "d: &d [*c,*c,*c,*c,*c,*c,*c,*c]\ne: [*d,*d,*d,*d,*d,*d,*d,*d]\n",
            "repeats itself too often",
        ),
        ("encoders: 3\n", "mapping"),
        ("encoders: {face: 3}\nllm: x\n", "must name its plugin"),
        ("date: 2020-99-99\n", "cannot be read"),
    ],
)
def test_what_is_no_pipeline_is_an_error_not_a_traceback(
    tmp_path: Path, catalog: Catalog, text: str, words: str
) -> None:
    import re

    path = tmp_path / "bad.yaml"
    path.write_text(text, encoding="utf-8")
    assert re.search(words, "\n".join(problems(path, catalog)))


def test_missing_folder_and_binary_files_are_errors(tmp_path: Path, catalog: Catalog) -> None:
    assert "no such file" in problems(tmp_path / "absent.yaml", catalog)[0]
    assert "folder" in problems(tmp_path, catalog)[0]
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00\x81")
    assert problems(tmp_path / "binary.yaml", catalog)
    (tmp_path / "large.yaml").write_text("a: 1\n" * 300_000, encoding="utf-8")
    assert "too large" in problems(tmp_path / "large.yaml", catalog)[0]


def test_plugins_named_in_the_file_are_loaded_from_beside_it(edited: Edited, catalog: Catalog, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "from affectgpt.core.kinds import fuser\nfrom affectgpt.plugins.fusers.mean_config import MeanConfig\n"
        "class Config(MeanConfig): ...\n@fuser('mine', config=Config)\nclass Mine:\n    '''Mine.'''\n",
        encoding="utf-8",
    )
    path = edited(("seed: 3", "seed: 3\nplugins: [./mine.py]"), ("temporal-attention", "mine"))
    config = read_config(path, catalog)
    assert config.fusers["audio_tokens"].plugin == "mine"
    with pytest.raises(ConfigError, match="plugins="):
        read_config(path, catalog, allow_plugins=False)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("{max_new_tokens: 12}", "{max_new_tokens: 12, temperature: 0.5}", "no effect without"),
        ("order: [multi, audio_tokens, subtitle]", "order: []", "must name what the prompt holds"),
        ("template: affectgpt", "template: '{multi} {question}'", "leave `order` out"),
        ("steps: 5", "steps: 5, warmup_steps: 5", "must be below steps"),
        ("  face: {plugin: timm", "  subtitle: {plugin: timm, input: face", "cannot be called"),
        ("  audio: {plugin: mel", "  audio: {plugin: mel, input: face", "cannot read this stream"),
        ("  audio: {plugin: mel", "  heard: {plugin: mel", "'input' is missing"),
        ("  architecture: {model_type: qwen2, ", "  architecture: {", "model_type"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(
    edited: Edited, catalog: Catalog, old: str, new: str, words: str
) -> None:
    assert words in "\n".join(problems(edited((old, new)), catalog))


@pytest.mark.parametrize("override", ["training.max_grad_norm=null", "training.max_grad_norm=0.5"])
def test_null_is_a_value_of_a_setting_not_its_removal(edited: Edited, catalog: Catalog, override: str) -> None:
    path = edited(("lr: 1.0e-3", "lr: 1.0e-3, max_grad_norm: null"))
    assert read_config(path, catalog).training.max_grad_norm is None
    config = read_config(path, catalog, [override])
    assert config.training.max_grad_norm == (None if "null" in override else 0.5)


def test_a_deep_override_is_an_error(small: Path, catalog: Catalog) -> None:
    assert "nested too deeply" in problems(small, catalog, "seed=" + "[" * 50_000)[0]


def test_a_rate_can_be_taken_away(edited: Callable[..., Path], catalog: Catalog) -> None:
    path = edited(("training: {steps: 5,", "training: {rates: {llm: 0.1, fusers.multi: 0.2}, steps: 5,"))
    assert read_config(path, catalog, ["training.rates.llm=null"]).training.rates == {"fusers.multi": 0.2}
    with pytest.raises(ConfigError, match=r"training\.lr"):
        read_config(path, catalog, ["training.lr=null"])


@pytest.mark.parametrize(
    ("override", "setting"),
    [
        ("training.batch_size=on", "training.batch_size"),
        ("training.warmup_steps=off", "training.warmup_steps"),
        ("generation.max_new_tokens=yes", "generation.max_new_tokens"),
        ("training.betas=[yes, 0.9]", "training.betas"),
        ("training.rates={llm: on}", "training.rates"),
        ("encoders.face.frames=on", "encoders.face.frames"),
        ("fusers.multi.queries=yes", "fusers.multi.queries"),
        ("llm.lora={r: yes}", "llm.lora.r"),
        ("llm.architecture.num_hidden_layers=on", "llm.architecture.num_hidden_layers"),
    ],
)
def test_a_boolean_is_no_number(override: str, setting: str, catalog: Catalog) -> None:
    with pytest.raises(ConfigError) as caught:
        make_plan(read_config(bundled_config("tiny"), catalog, [override]))
    assert any(setting in problem.where for problem in caught.value.problems), caught.value


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["extend=tiny.yaml"], "did you mean 'extends'"),
        (["encoders={}"], "an empty 'encoders' changes nothing"),
        (["llm.lora={r: 2}", "llm.lora={}"], "beside 1 setting that it"),
        (["fusers.multi={}"], "an empty 'fusers.multi' changes nothing"),
        (["llm.tokenizer=data/\udcff"], "no UTF-8 text"),
        (["fusers.multi=null", "fusers.multi={plugn: mean}"], "did you mean 'plugin'"),
    ],
)
def test_what_would_mean_nothing_is_told(overrides: list[str], words: str, catalog: Catalog) -> None:
    with pytest.raises(ConfigError, match=words):
        read_config(bundled_config("tiny"), catalog, overrides)


def test_a_misspelt_extends_is_the_first_thing_said(catalog: Catalog, tmp_path: Path) -> None:
    path = tmp_path / "small.yaml"
    path.write_text("extend: tiny\n")
    with pytest.raises(ConfigError) as caught:
        read_config(path, catalog)
    assert "'extends'" in caught.value.problems[0].hint


def test_a_long_value_is_shortened(catalog: Catalog) -> None:
    with pytest.raises(ConfigError, match=r"100,00\d characters") as caught:
        read_config(bundled_config("tiny"), catalog, [f"prompt.question=[{'a' * 100_000}]"])
    assert len(str(caught.value)) < 2000


def test_the_rate_of_a_part_is_given_by_its_name(catalog: Catalog) -> None:
    config = read_config(bundled_config("tiny"), catalog, ["training.rates.fusers.multi=0.1"])
    assert config.training.rates == {"llm": 0.001, "fusers.multi": 0.1}
