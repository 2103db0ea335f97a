"""Saved models that somebody made to do harm: each is refused, runs no code, and takes little time and memory."""

from __future__ import annotations

import io
import json
import random
import re
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
import yaml

from affectgpt.bundled import TINY
from affectgpt.core.pipeline import Pipeline
from affectgpt.core.saved.model import load, read_saved
from affectgpt.core.saved.tensors import read_shapes, read_tensors
from affectgpt.registry.discovery import discover
from affectgpt.registry.errors import AffectGPTError, CheckpointError, ConfigError

CODE_KEYS = (
    "auto_map",
    "quantization_config",
    "attn_implementation",
    "_attn_implementation",
    "experts_implementation",
    "_attn_implementation_internal",
    "trust_remote_code",
    "custom_pipelines",
    "name_or_path",
    "_name_or_path",
    "use_kernels",
    "base_model_name_or_path",
)
SIZES = ("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers")
Stop = Callable[[int], AbstractContextManager[None]]


def hostile_code(folder: Path) -> Path:
    """A folder with code that leaves a file `RAN` where it runs."""
    code = folder / "code"
    code.mkdir()
    text = f"open({str(folder / 'RAN')!r}, 'w').write('x')\nfrom transformers import *\n"
    text += "class M(PreTrainedModel):\n    pass\n"
    (code / "own.py").write_text(text, encoding="utf-8")
    classes = {name: "own.M" for name in ("AutoConfig", "AutoModel", "AutoModelForCausalLM", "AutoTokenizer")}
    (code / "config.json").write_text(json.dumps({"model_type": "own", "auto_map": classes, "hidden_size": 128}))
    return code


def change_config(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    path = folder / "pipeline.yaml"
    values = yaml.safe_load(path.read_text(encoding="utf-8"))
    change(values)
    path.write_text(yaml.safe_dump(values, sort_keys=False), encoding="utf-8")


def change_json(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    values = json.loads(path.read_text(encoding="utf-8"))
    change(values)
    path.write_text(json.dumps(values), encoding="utf-8")


def code_in_architecture(model: Path, code: Path, chance: random.Random) -> str:
    key = chance.choice(CODE_KEYS)
    value = chance.choice(
        [{"AutoModelForCausalLM": f"{code}--own.M"}, f"{code}--own.M", str(code), {"quant_method": "awq"}]
    )
    kind = chance.choice(["qwen2", "clip_vision_model", "gemma3", "own"])

    def change(values: dict[str, Any]) -> None:
        architecture = values["llm"]["architecture"]
        architecture["model_type"] = kind
        section = chance.choice(["text_config", "vision_config"])
        target = architecture.setdefault(section, {}) if kind == "gemma3" else architecture
        if section == "vision_config" and kind == "gemma3":
            # A class outside the mapping of models, whose code transformers would ask for.
            target["model_type"] = "align_text_model"
        target[key] = value

    change_config(model, change)
    return f"{kind}, {key}"


def size(model: Path, code: Path, chance: random.Random) -> str:
    key, factor = chance.choice(SIZES), chance.choice([16, 256, 4096, 10**8])

    def change(values: dict[str, Any]) -> None:
        values["llm"]["architecture"][key] *= factor

    change_config(model, change)
    return f"{key} x {factor}"


def option(model: Path, code: Path, chance: random.Random) -> str:
    node, key, value = chance.choice(
        [("fusers.multi", "queries", 4096), ("encoders.face", "model_args", {"channels": [16, 32, 48, 8192 * 4]})]
    )

    def change(values: dict[str, Any]) -> None:
        section, name = node.split(".")
        values[section][name][key] = value

    change_config(model, change)
    return f"{node}.{key}"


def folder_with_code(model: Path, code: Path, chance: random.Random) -> str:
    shutil.copytree(code, model / "evil")
    init = chance.choice(["random", "pretrained"])
    node = chance.choice(["llm", "audio", "face", "tokenizer"])

    def change(values: dict[str, Any]) -> None:
        if node == "llm":
            values["llm"] = {"plugin": "causal-lm", "init": init, "model": "./evil"}
        elif node == "tokenizer":
            values["llm"]["tokenizer"] = "./evil"
        else:
            plugin = {"audio": "speech", "face": "clip-vision"}[node]
            values["encoders"][node] = {"plugin": plugin, "init": init, "model": "./evil", "input": node}

    change_config(model, change)
    return f"{node} from a folder, {init}"


def plugin_file(model: Path, code: Path, chance: random.Random) -> str:
    change_config(model, lambda values: values.update(plugins=[str(code / "own.py")]))
    return "plugins"


def growing_tokenizer(model: Path, code: Path, chance: random.Random) -> str:
    part, inner = chance.choice([("normalizer", "normalizers"), ("decoder", "decoders")])
    step = {"type": "Replace", "pattern": {"String": "a"}, "content": "a" * 10}
    steps = {"type": "Sequence", inner: [step] * chance.randrange(3, 12)}
    change_json(model / "tokenizer/tokenizer.json", lambda values: values.update({part: steps}))
    return f"{part} that grows"


def damaged_tokenizer(model: Path, code: Path, chance: random.Random) -> str:
    part = chance.choice(["model", "normalizer", "pre_tokenizer", "decoder", "post_processor"])
    value = chance.choice([{"type": "Own"}, {"type": "Sequence"}, [1], "x"])
    change_json(model / "tokenizer/tokenizer.json", lambda values: values.update({part: value}))
    return f"{part}: {value}"


TRAPS = (code_in_architecture, size, option, folder_with_code, plugin_file, growing_tokenizer, damaged_tokenizer)


def peak() -> int:
    """The most memory of this process since the last [restarted_peak][], in bytes."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(re.findall(r"VmHWM:\s+(\d+) kB", status)[0]) * 1024


def restarted_peak() -> int:
    """The memory of this process now, in bytes, from which its peak is counted again."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    return peak()


def test_the_peak_is_counted_anew() -> None:
    bytearray(b"1" * 2**27)
    before = restarted_peak()
    bytearray(b"1" * 2**26)
    assert 2**26 <= peak() - before < 2**27 + 2**26


# Each kind of trap once with each answer is quick.
@pytest.mark.parametrize(
    ("seed", "answers"),
    [
        pytest.param(
            seed,
            "yes\n" * 100 * agrees,
            marks=() if seed < 14 and agrees == (seed >= 7) else pytest.mark.slow,
            id=f"{seed}-{'yes' if agrees else 'closed'}",
        )
        for seed in range(48)
        for agrees in (False, True)
    ],
)
def test_a_trap_is_refused_without_running_code(
    seed: int, answers: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stopped_after: Stop
) -> None:
    chance, catalog = random.Random(seed), discover()
    model, code = Path(shutil.copytree(TINY, tmp_path / "model")), hostile_code(tmp_path)
    what = TRAPS[seed % len(TRAPS)](model, code, chance)
    monkeypatch.setattr("sys.stdin", io.StringIO(answers))
    stored = (model / "model.safetensors").stat().st_size
    load(TINY, catalog)
    before = restarted_peak()
    with stopped_after(30), pytest.raises(AffectGPTError):
        load(model, catalog)
        pytest.fail(f"accepted: {what}")
    growth = peak() - before
    assert growth <= 64 * 2**20 + 2 * stored, what
    assert not (tmp_path / "RAN").exists(), what


@pytest.mark.parametrize(
    "sizes",
    [
        {"hidden_size": 2048, "intermediate_size": 2**15, "num_hidden_layers": 4},
        {"num_hidden_layers": 3000},
        {"intermediate_size": 2**22},
    ],
)
def test_sizes_are_refused_before_memory_is_taken(sizes: dict[str, int], tmp_path: Path) -> None:
    model = Path(shutil.copytree(TINY, tmp_path / "model"))
    change_config(model, lambda values: values["llm"]["architecture"].update(sizes))
    with pytest.raises(CheckpointError, match="far larger than what is stored of it"):
        load(model, discover())


@pytest.mark.parametrize(("trap", "seed"), [(size, 0), (size, 1), (option, 0), (option, 1)])
def test_sizes_are_judged_beside_changes_too(
    trap: Callable[..., str], seed: int, tmp_path: Path, stopped_after: Stop
) -> None:
    model = Path(shutil.copytree(TINY, tmp_path / "model"))
    trap(model, model, random.Random(seed))
    for change in ("training.steps=3", "llm.lora={r: 2, alpha: 4}"):
        with stopped_after(30), pytest.raises(AffectGPTError):
            read_saved(model, discover(), [change])


def test_a_tokenizer_that_fails_on_a_text_is_the_error_of_one_clip(tmp_path: Path, stopped_after: Stop) -> None:
    model = Path(shutil.copytree(TINY, tmp_path / "model"))
    split = {"type": "Split", "pattern": {"Regex": "(a+)+$"}, "behavior": "Isolated", "invert": False}
    change_json(model / "tokenizer/tokenizer.json", lambda values: values.update(pre_tokenizer=split))
    pipeline: Pipeline = load(model, discover())
    with stopped_after(60), pytest.raises(CheckpointError, match="the tokenizer fails on a text"):
        pipeline.check_subtitle("a" * 64 + "!")
    pipeline.check_subtitle("happy")


def test_a_header_that_takes_minutes_is_refused(tmp_path: Path, stopped_after: Stop) -> None:
    path = tmp_path / "many.safetensors"
    for count in (60_000, 400_000):
        entry = {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}
        header = json.dumps({f"n{index}": entry for index in range(count)}).encode()
        path.write_bytes(len(header).to_bytes(8, "little") + header)
        for read in (read_shapes, read_tensors):
            with stopped_after(10), pytest.raises(CheckpointError, match="more than"):
                read(path)


def test_a_list_of_plugins_that_cannot_be_read_hides_no_other_error(tmp_path: Path) -> None:
    for number, text in enumerate(["[" * 100_000, "[1]", '{"a": 1}', "5"]):
        model = Path(shutil.copytree(TINY, tmp_path / str(number)))
        change_config(model, lambda values: values["llm"].update(plugin="zz"))
        (model / "plugins.json").write_text(text, encoding="utf-8")
        with pytest.raises(ConfigError, match="there is no llm plugin 'zz'"):
            load(model, discover())
