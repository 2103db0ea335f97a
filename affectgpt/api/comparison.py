"""Compare plugins and settings: the same pipeline with changes, on the same clips, over several seeds."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from affectgpt.api.data_sets import Data, read_data
from affectgpt.api.resolve import Plugins, Progress, catalog_for, check_workers, optional_path, progress_callback
from affectgpt.api.start import ConfigLike, plan_config
from affectgpt.core.plan import Plan
from affectgpt.registry.catalog import Catalog
from affectgpt.registry.errors import ConfigError

if TYPE_CHECKING:
    from affectgpt.ablation.comparison import Comparison as Comparison
    from affectgpt.data.samples import Sample
else:

    def __getattr__(name: str) -> object:
        if name != "Comparison":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return import_module("affectgpt.ablation.comparison").Comparison


_NODE = re.compile(r"(encoders|fusers)\.[^.=\s]+|llm")


def compare(
    base: ConfigLike,
    data: Data,
    test: Data,
    vary: Mapping[str, Sequence[str]],
    *,
    seeds: Sequence[int] = (0, 1, 2),
    metric: Callable[[Sequence[str], Sequence[Sample]], Mapping[str, float]] | None = None,
    out: str | Path | None = None,
    resume: bool = True,
    workers: int = 0,
    plugins: Plugins = (),
    progress: Progress = None,
) -> Comparison:
    """Train variants of `base` on `data` with each of `seeds`, and compare their answers to the clips of `test`.

    - `base`: a config as [plan][affectgpt.plan] takes it.
    - `vary`: `{row name: changes}`, or `{node: plugins}` such as `{"fusers.multi": ["concat", "gated"]}`: one row per
      plugin, each with its own defaults. A fuser that takes another number of inputs is left out, with a note.
    - `metric`: figures of one model's texts and the test samples, by name; None: `exact`, the share of clips whose
      first label is right, and `f1` of the labels that a text ends with.
    - `out`: a folder where each finished (row, seed) is stored; with `resume` it is not run again.
    - `workers`: processes of one thread each, which read clips and train; 0: this process.

    Clips are read once for all variants whose encoders prepare them alike. A change of `seed` is without effect.

    Raises ConfigError with every problem of a variant, and when `out` holds results of other settings; DataError when a
    clip cannot be read; and what [train][affectgpt.train] raises.
    """
    _check_rows(vary)
    _check_seeds(seeds)
    check_workers(workers)
    out = optional_path(out, "out")
    catalog = catalog_for(plugins)
    catalog.load_deferred()
    rows, notes = _variants(base, vary, catalog)
    plans = {name: plan_config(base, changes, catalog) for name, changes in rows.items()}
    if not plans:
        raise ConfigError("there is nothing to compare", where="vary", found="; ".join(notes) or "no row")
    train_clips, test_clips = read_data(data, "data"), read_data(test, "test")
    from affectgpt.ablation.metrics import label_scores
    from affectgpt.ablation.run import compare_plans

    with progress_callback(progress) as on_progress:
        return compare_plans(
            plans,
            train_clips,
            test_clips,
            catalog,
            seeds=seeds,
            metric=metric or label_scores,
            out=out,
            resume=resume,
            workers=workers,
            notes=notes,
            progress=on_progress,
        )


def _check_rows(vary: object) -> None:
    """Raise ConfigError unless `vary` has a list under each name."""
    if not isinstance(vary, Mapping):
        raise ConfigError(
            "the rows have no names",
            where="vary",
            found=type(vary).__name__,
            expected='{"row name": [changes]} or {"fusers.multi": [plugins]}',
        )
    for key, values in vary.items():
        if not isinstance(key, str):
            raise ConfigError("the name of a row must be a text", where="vary", found=repr(key))
        if isinstance(values, str) or not isinstance(values, Sequence):
            raise ConfigError("a row needs a list of changes", where=f"vary[{key!r}]", found=repr(values))


def _check_seeds(seeds: object) -> None:
    """Raise ConfigError unless `seeds` are integers that a config takes as its seed, each once."""
    if not isinstance(seeds, Sequence) or not seeds or len(set(seeds)) != len(seeds):
        raise ConfigError("each seed is needed once", where="seeds", found=repr(seeds), expected="such as (0, 1)")
    for seed in seeds:
        if not isinstance(seed, int) or not 0 <= seed < 2**32:
            raise ConfigError(
                "this is not a seed", where="seeds", found=repr(seed), expected="an integer from 0 to 2**32 - 1"
            )


def _variants(
    base: ConfigLike, vary: Mapping[str, Sequence[str]], catalog: Catalog
) -> tuple[dict[str, list[str]], list[str]]:
    """The changes of each row by its name, and notes on what was left out."""
    rows: dict[str, list[str]] = {}
    notes: list[str] = []
    by_plugin = {key: names for key, names in vary.items() if _names_plugins(key, names)}
    plan = plan_config(base, [], catalog) if by_plugin else None
    for key, values in vary.items():
        if key not in by_plugin:
            _add_row(rows, key, list(values))
            continue
        assert plan is not None
        for plugin in values:
            note = _arity_note(plan, key, plugin, catalog)
            if note:
                notes.append(note)
            else:
                _add_row(rows, plugin if len(vary) == 1 else f"{key}={plugin}", [f"{key}.plugin={plugin}"])
    return rows, notes


def _names_plugins(key: str, values: Iterable[str]) -> bool:
    values = [str(value) for value in values]
    return bool(_NODE.fullmatch(key)) and bool(values) and not any("=" in value for value in values)


def _add_row(rows: dict[str, list[str]], name: str, changes: list[str]) -> None:
    if name in rows:
        raise ConfigError(f"two rows are named {name!r}", where="vary", hint="name each plugin once")
    rows[name] = changes


def _arity_note(plan: Plan, key: str, plugin: str, catalog: Catalog) -> str:
    """Why the fuser `plugin` cannot stand at a node; "" when it can. Raises PluginError for an unknown plugin."""
    section, _, node = key.partition(".")
    if section != "fusers" or node not in plan.fusers:
        return ""
    config: Any = catalog.config_class(catalog.get("fuser", plugin))
    least, most = config.arity
    count = len(plan.fusers[node].inputs)
    if count >= least and (most is None or count <= most):
        return ""
    bounds = f"{least}" if least == most else f"{least} or more" if most is None else f"{least} to {most}"
    return f"{plugin} was left out: it takes {bounds} input{'' if most == 1 else 's'}, and {key} has {count}"
