"""Whether a saved model still computes what the original computes from its tensors: a checkpoint holds no settings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from affectgpt.core.load_config import validate
from affectgpt.core.saved.config import load_saved_config
from affectgpt.core.yaml_source import Source
from affectgpt.registry.catalog import Catalog
from affectgpt.registry.errors import CheckpointError, Problem
from affectgpt.registry.messages import short_repr
from affectgpt.released.checkpoint_config import CheckpointConfig
from affectgpt.released.pipeline_file import BertSizes, ModelPaths, pipeline_tree
from affectgpt.released.wording import Wording

_FREE = {"model", "tokenizer", "dtype", "allow_pickle", "dropout"}
"""Options that do not change the computation with the same weights, or that say where the weights are."""


def check_exportable(folder: Path, facts: CheckpointConfig, bert: BertSizes, catalog: Catalog) -> None:
    """Raise CheckpointError naming each option of the saved model's nodes that the original does not have."""
    places = "".join(f"{{{node}}}" for node in facts.reads.nodes) + ("{subtitle}" if facts.reads.subtitle else "")
    models = ModelPaths("any", "any", "any")
    tree = pipeline_tree(facts, Wording(places + "{question}", "any"), models, bert, sample=False)
    original = validate(Source(Path("the converted pipeline"), tree), catalog)
    config = load_saved_config(folder, catalog)
    problems = []
    for section in ("encoders", "fusers", "llm"):
        expected, actual = (side.model_dump(mode="json")[section] for side in (original, config))
        for path, actual_value, expected_value in _differences(actual, expected, (section,)):
            problems.append(
                Problem(
                    f"the original has no option for {'.'.join(path)}",
                    config.location(path),
                    short_repr(actual_value),
                    short_repr(expected_value),
                    "only a model with the settings that it was converted with can be converted back",
                )
            )
    if problems:
        raise CheckpointError.from_problems(problems)


def _differences(actual: Any, expected: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any, Any]]:
    if isinstance(actual, Mapping) and isinstance(expected, Mapping):
        for key in dict.fromkeys([*expected, *actual]):
            if key not in _FREE:
                yield from _differences(actual.get(key), expected.get(key), (*path, key))
    elif actual != expected:
        yield path, actual, expected
