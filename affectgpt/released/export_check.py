"""Whether a saved model still computes what the original computes from its tensors: a checkpoint holds no settings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from affectgpt.core.load_config import load_config, validate
from affectgpt.core.saved.model import CONFIG
from affectgpt.core.yaml_source import Source
from affectgpt.registry.catalog import Catalog
from affectgpt.registry.errors import CheckpointError, Problem
from affectgpt.registry.messages import shown
from affectgpt.released.checkpoint_config import Facts
from affectgpt.released.pipeline_file import Bert, Models, pipeline_tree
from affectgpt.released.wording import Wording

_FREE = {"model", "tokenizer", "dtype", "allow_pickle", "dropout"}
"""Options that do not change what is computed with the same weights, or that name where those are."""


def refuse_inexpressible(folder: Path, facts: Facts, bert: Bert, catalog: Catalog) -> None:
    """Raise CheckpointError naming each option of the saved model's nodes that is not as the original computes."""
    places = "".join(f"{{{node}}}" for node in facts.reads.nodes) + ("{subtitle}" if facts.reads.subtitle else "")
    models = Models("any", "any", "any")
    tree = pipeline_tree(facts, Wording(places + "{question}", "any"), models, bert, sample=False)
    expected = validate(Source(Path("the converted pipeline"), tree), catalog)
    config, source = load_config(folder / CONFIG, catalog, allow_plugins=False)
    problems = []
    for section in ("encoders", "fusers", "llm"):
        wanted, found = (each.model_dump(mode="json")[section] for each in (expected, config))
        for path, mine, theirs in _differences(found, wanted, (section,)):
            problems.append(
                Problem(
                    f"the original has no option for {'.'.join(path)}",
                    source.location(path),
                    shown(mine),
                    shown(theirs),
                    "only a model with the settings that it was converted with can be converted back",
                )
            )
    if problems:
        raise CheckpointError.of(problems)


def _differences(found: Any, wanted: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any, Any]]:
    if isinstance(found, Mapping) and isinstance(wanted, Mapping):
        for key in dict.fromkeys([*wanted, *found]):
            if key not in _FREE:
                yield from _differences(found.get(key), wanted.get(key), (*path, key))
    elif found != wanted:
        yield path, found, wanted
