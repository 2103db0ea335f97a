"""What `check` accepts is built, takes two training steps and describes: over mutations of small pipelines."""

from __future__ import annotations

import copy
import random
import re
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml

from affectgpt.core.assembly import assemble
from affectgpt.core.batch import collate
from affectgpt.core.load_config import read_config, validate
from affectgpt.core.overrides import mapping_source
from affectgpt.core.plan import make_plan
from affectgpt.data.samples import Sample
from affectgpt.registry.discovery import discover
from affectgpt.registry.errors import AffectGPTError, ConfigError, DataError, InterfaceError, RunError
from affectgpt.testing import NoiseClip
from affectgpt.training.loop import train

CONFIGS = Path(__file__).resolve().parents[1] / "configs"
TWO_STEPS = {"steps": 2, "batch_size": 2, "warmup_steps": 1, "lr": 1e-3, "min_lr": 1e-4, "rates": {"llm": 1e-3}}
# Every shipped config at small sizes: its own graph, prompt and training, with parts that take no time.
FACE = {
    "plugin": "clip-vision",
    "init": "random",
    "frames": 2,
    "tokens": "all",
    "architecture": {
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "image_size": 32,
        "patch_size": 16,
        "projection_dim": 12,
        "hidden_act": "quick_gelu",
    },
}
AUDIO = {
    "plugin": "speech",
    "init": "random",
    "clips": 2,
    "seconds": 0.5,
    "layers": 1,
    "tokens": "all",
    "architecture": {
        "model_type": "hubert",
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "conv_dim": [8, 8],
        "conv_kernel": [10, 8],
        "conv_stride": [5, 16],
        "num_conv_pos_embeddings": 4,
        "num_conv_pos_embedding_groups": 2,
    },
}
LLM = {
    "plugin": "causal-lm",
    "init": "random",
    "frozen": True,
    "lora": {"r": 2, "alpha": 4, "dropout": 0.1, "targets": ["q_proj", "v_proj"]},
    "architecture": {
        "model_type": "llama",
        "vocab_size": 320,
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "max_position_embeddings": 4096,
    },
}
VALUES: list[Any] = [True, False, None, -1, 0, 1, 2, 3, 5, 0.5, -0.5, 1.0, "", "no", "yes", "3", [], [1], {}, {"a": 1}]


def shipped(name: str) -> dict[str, Any]:
    data: dict[str, Any] = yaml.safe_load((CONFIGS / name).read_text(encoding="utf-8"))
    if name != "tiny.yaml":
        small = {"face": FACE, "frame": {**FACE, "input": "frame"}, "audio": AUDIO}
        data["encoders"] = {node: copy.deepcopy(small[node]) for node in data["encoders"]}
        data["llm"] = copy.deepcopy(LLM)
    data["training"] = {**data.get("training", {}), **TWO_STEPS}
    data["generation"] = {**data.get("generation", {}), "max_new_tokens": 4}
    return data


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, child in inner for place in places(child, (*path, key)))]


def mutated(data: dict[str, Any], chance: random.Random) -> tuple[dict[str, Any], str]:
    """One value replaced, scaled or left out, or one key misspelt; and what was done."""
    data, path, action = mutation(data, chance)
    parent: Any = data
    for key in path[:-1]:
        parent = parent[key]
    now = parent[path[-1]] if isinstance(parent, dict) and path[-1] in parent else "gone"
    return data, f"{'.'.join(map(str, path))}: {action}, {now!r}"


def mutation(data: dict[str, Any], chance: random.Random) -> tuple[dict[str, Any], tuple[Any, ...], str]:
    """`data` with one mutation, the place of it (of a misspelt key: its new name), and its kind."""
    data = copy.deepcopy(data)
    path = chance.choice(places(data)[1:])
    parent: Any = data
    for key in path[:-1]:
        parent = parent[key]
    key = path[-1]
    action = chance.choice(("replace", "replace", "scale", "remove", "rename"))
    if action == "rename" and isinstance(key, str):
        at = chance.randrange(len(key))
        path = (*path[:-1], key[:at] + key[at + 1 :])
        parent[path[-1]] = parent.pop(key)
    elif action == "remove":
        del parent[key]
    elif action == "scale" and isinstance(parent[key], int | float):
        parent[key] = chance.choice((parent[key] * 2, parent[key] + 1, parent[key] - 1, -parent[key]))
    else:
        parent[key] = chance.choice(VALUES)
    return data, path, action


def line_of(text: str, path: tuple[Any, ...]) -> int | None:
    """The line of a key in YAML, of an item of a list the item's; None for what is not there."""
    node: Any = yaml.compose(text)
    mark = node
    for key in path:
        if isinstance(node, yaml.MappingNode):
            pairs = [pair for pair in node.value if pair[0].value == str(key)]
            if not pairs:
                return None
            mark, node = pairs[0]
        elif isinstance(node, yaml.SequenceNode) and key < len(node.value):
            mark = node = node.value[key]
        else:
            return None
    return int(mark.start_mark.line) + 1


@pytest.mark.parametrize("count", [40, pytest.param(1500, marks=pytest.mark.slow)])
def test_a_refusal_names_the_line(count: int, tmp_path: Path) -> None:
    """No error but planned ones, and at least 95% of them name the line of the key that was changed.

    Of sizes that do not go together another one may be named.
    """
    chance, catalog = random.Random(count), discover()
    names = sorted(path.name for path in CONFIGS.glob("*.yaml"))
    shutil.copytree(CONFIGS / "tiny-tokenizer", tmp_path / "tiny-tokenizer")
    refused, elsewhere = 0, []
    for index in range(count):
        data, path, action = mutation(shipped(names[index % len(names)]), chance)
        file = tmp_path / "pipeline.yaml"
        file.write_text(yaml.safe_dump(data, sort_keys=False), encoding="utf-8")
        try:
            make_plan(read_config(file, catalog))
        except AffectGPTError as error:
            refused += 1
            line = line_of(file.read_text(encoding="utf-8"), path)
            # What was left out has no line of its own.
            if line is not None and not re.search(rf"pipeline\.yaml:{line}\b", str(error)):
                elsewhere.append(f"{path}, {action}, line {line}: {error}")
    assert refused > count / 3
    assert len(elsewhere) <= 0.05 * refused, "\n".join(elsewhere)


def use(plan: Any) -> None:
    """Build, train for as many steps as the config says (at most 2 here), and describe one clip."""
    pipeline = assemble(plan)
    samples = [
        Sample(f"clip {seed}", pipeline.prepare(NoiseClip(seed)), "I see.", "happy", ("happy",)) for seed in range(2)
    ]
    # Clips that are missing or do not fit, a loss that is not finite, a package that is not installed.
    with suppress(DataError, RunError):
        train(pipeline, samples)
    batch = collate([samples[0].media], [samples[0].subtitle])
    pipeline.eval()
    pipeline.check_question(plan.config.prompt.question)
    assert len(pipeline.generate(batch)) == 1


def quick_or_slow(count: int, quick: int) -> list[Any]:
    return [pytest.param(seed, marks=() if seed < quick else pytest.mark.slow) for seed in range(count)]


@pytest.mark.parametrize("seed", quick_or_slow(40, 2))
def test_what_is_accepted_works(seed: int) -> None:
    chance, catalog = random.Random(seed), discover()
    names = sorted(path.name for path in CONFIGS.glob("*.yaml"))
    failures, accepted = [], 0
    while accepted < 5:
        name = names[(seed + accepted) % len(names)]
        data, change = mutated(shipped(name), chance)
        try:
            plan = make_plan(validate(mapping_source(data, base_dir=CONFIGS), catalog))
        except AffectGPTError as error:
            if "fault of the plugin" in str(error):
                failures.append(f"{name}, {change}: {error}")
            continue
        accepted += 1
        if plan.config.training.steps > 4 or plan.config.generation.max_new_tokens > 16:
            continue
        try:
            use(plan)
        except ConfigError as error:
            # A pipeline that describes, and of which `check` says that it cannot be trained so.
            if isinstance(error, InterfaceError):
                # Without torch, timm cannot be asked for the sizes of its models; the setting is named.
                is_told = re.match(
                    r"config \(encoders\.\w+\.(model|model_args|features|positions|size)\): ", str(error)
                )
            else:
                is_told = any(note.partition(":")[0] in str(error) for note in plan.notes)
            if not is_told:
                failures.append(f"{name}, {change}: {error}")
        except Exception as error:
            failures.append(f"{name}, {change}: {type(error).__name__}: {error}")
    assert not failures, "\n".join(failures)
