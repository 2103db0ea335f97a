"""Write the model card of a saved model from its files and its scores; it also lists what they do not say.

Texts from those files are not trusted: each is put on one line, cut and escaped.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from affectgpt.core.config import PipelineConfig
from affectgpt.core.prompt import prompt_nodes
from affectgpt.core.saved.config import ADAPTER, ADAPTER_WEIGHTS, CONFIG, PLUGINS, WEIGHTS, load_saved_config
from affectgpt.core.saved.extras import add_mark, is_generated
from affectgpt.files.atomic import write_atomic
from affectgpt.files.json_object import read_json_object
from affectgpt.hub.card_data import card_data, is_local, local_models, models_read
from affectgpt.hub.headers import weights_per_part
from affectgpt.hub.names import is_named
from affectgpt.registry.catalog import Catalog
from affectgpt.registry.errors import CheckpointError
from affectgpt.unibench.report import summary
from affectgpt.unibench.report.markdown import escape
from affectgpt.unibench.report.plain_text import label, safe_text
from affectgpt.unibench.report.scores_file import read_result
from affectgpt.unibench.result import BenchmarkResult

CARD = "README.md"
_SHOWN_ELSEWHERE = ("model", "inputs", "input", "tokenizer")  # in columns of their own, or a part of the folder
_NAMED = {"adapter": "adapter (LoRA)"}


def write_card(folder: Path, catalog: Catalog, scores: str | Path | None = None, *, name: str = "") -> Path:
    """Write the card of the saved model in `folder` as its README.md. Returns the path of the file.

    Raises CheckpointError when there is a README.md that this function did not write or that was edited since, and
    otherwise as [render_card][].
    """
    path = folder / CARD
    text = render_card(folder, catalog, scores, name=name)
    if path.exists() and not is_generated(path):
        raise CheckpointError(
            f"there is a {CARD} here that was written or changed by somebody",
            where=str(path),
            hint="move it away, then write the card again",
        )
    try:
        write_atomic(path, text)
    except OSError as error:
        raise CheckpointError("the card cannot be written", where=str(path), found=error.strerror or "") from error
    return path


def render_card(folder: Path, catalog: Catalog, scores: str | Path | None = None, *, name: str = "") -> str:
    """Return the card of the saved model in `folder` as Markdown.

    `scores` is a scores file of `affectgpt score` or `unibench`. `name` is the model's name, on the Hub with its
    owner; the default is the name of the folder. Raises CheckpointError
    when the folder is not a saved model, ConfigError when its config is wrong or needs a plugin that is not in
    `catalog`, DataError when `scores` is no scores file.
    """
    if not (folder / CONFIG).is_file():
        raise CheckpointError("this is not a saved model", where=str(folder), found=f"no {CONFIG}")
    config = load_saved_config(folder, catalog)
    result = None if scores is None else read_result(scores)
    called = label(name or folder.resolve().name)
    parts = [
        f"# {escape(called)}",
        *_pipeline(config),
        *_weights(folder, config),
        *_training(config),
        *_scores(result),
        *_plugins(folder),
        *_unknowns(config, result),
        *_use(config, name),
    ]
    data = card_data(config, called, result).to_yaml()
    return add_mark(f"---\n{data}\n---\n\n" + "\n\n".join(parts) + "\n\n")


def _pipeline(config: PipelineConfig) -> Iterator[str]:
    yield "A pipeline of [affectgpt](#use): encoders read a clip, fusers join what they give, a language model answers."
    yield "## Pipeline"
    rows: list[tuple[str, str, str, str, Any]] = [
        (name, "encoder", node.plugin, node.config.input, node.config) for name, node in config.encoders.items()
    ]
    rows += [(n, "fuser", node.plugin, ", ".join(node.config.inputs), node.config) for n, node in config.fusers.items()]
    rows.append(("llm", "language model", config.llm.plugin, "the prompt", config.llm.config))
    yield _table(
        ["node", "kind", "plugin", "reads", "model", "other options"],
        [
            (label(n), kind, label(plugin), safe_text(reads), _model(c), _options(c))
            for n, kind, plugin, reads, c in rows
        ],
    )
    prompt = config.prompt
    order = prompt_nodes(prompt) if prompt.inline else prompt.order
    yield _table(
        ["prompt", ""],
        [
            ("order", safe_text(", ".join(order))),
            ("template", safe_text(prompt.template)),
            ("question", safe_text(prompt.question)),
        ],
    )
    yield _table(["generation", ""], _settings(config.generation.model_dump(mode="json")))


def _model(config: Any) -> str:
    model = getattr(config, "model", None)
    if model is None:
        return "none"
    note = ", weights drawn at random before training" if getattr(config, "init", "") == "random" else ""
    return safe_text((f"a local folder, {Path(model).name}" if is_local(model) else str(model)) + note)


def _options(config: Any) -> str:
    options = config.model_dump(mode="json", exclude_defaults=True, exclude=set(_SHOWN_ELSEWHERE))
    return safe_text("; ".join(f"{key}: {_value(value)}" for key, value in options.items())) or "defaults"


def _value(value: Any) -> str:
    if isinstance(value, str):
        return f"a local folder, {Path(value).name}" if is_local(value) and not value.startswith(".") else value
    return json.dumps(value, ensure_ascii=False, default=str)


def _weights(folder: Path, config: PipelineConfig) -> Iterator[str]:
    counts = weights_per_part(folder / WEIGHTS)
    if (folder / ADAPTER / ADAPTER_WEIGHTS).is_file():
        counts["adapter"] = sum(weights_per_part(folder / ADAPTER / ADAPTER_WEIGHTS).values())
    frozen = {f"encoders.{name}" for name, node in config.encoders.items() if node.config.frozen}
    frozen |= {"llm"} if getattr(config.llm.config, "frozen", False) else set()
    rows = [(label(_NAMED.get(part, part)), f"{n:,}", "no" if part in frozen else "yes") for part, n in counts.items()]
    trained = sum(number for part, number in counts.items() if part not in frozen)
    yield "## Weights"
    yield f"Trained weights: {trained:,}. Weights in this repository: {sum(counts.values()):,}."
    yield _table(["part", "weights stored", "trained"], rows, "lrl")


def _training(config: PipelineConfig) -> Iterator[str]:
    yield "## Training"
    yield f"The settings in {CONFIG}. Which clips it was trained on, and whether all steps were taken, is not recorded."
    settings = _settings(config.training.model_dump(mode="json"))
    yield _table(["setting", "value"], [("seed", str(config.seed)), *settings])


def _settings(values: dict[str, Any]) -> list[tuple[str, str]]:
    return [(label(key.replace("_", " ")), safe_text(_value(value))) for key, value in values.items()]


def _scores(result: BenchmarkResult | None) -> Iterator[str]:
    yield "## Scores"
    if result is None:
        yield "No scores were given."
        return
    if warning := summary.warning(result):
        yield f"**Note.** {warning}"
    yield f"{summary.CAPTION}, as {escape(label(result.system))}."
    rows = [
        (
            row.title,
            row.task,
            row.metric,
            row.score,
            row.interval,
            "; ".join(row.other_lines()),
            f"{row.clips:,}",
            f"{row.excluded:,}",
        )
        for row in summary.rows(result)
    ]
    if summary.in_benchmark(result):
        score, interval = summary.mean(result)
        rows.append(("mean", "", "", score, interval, "", "", ""))
    heads = ["data set", "task", "metric", "score", "95 % interval", "other figures", "clips", "excluded"]
    yield _table(heads, rows, "lllrllrr")
    if notes := summary.notes(result):
        yield "\n".join(f"- {escape(note)}" for note in notes)
    if provenance := summary.provenance(result):
        yield _table(["scored with", "value"], provenance)


def _plugins(folder: Path) -> Iterator[str]:
    yield "## Plugins"
    used = _plugins_used(folder / PLUGINS)
    if not used:
        yield f"{PLUGINS} does not say which plugins and versions made this model."
        return
    rows = [
        [label(name), *(label(str(row.get(key) or "unknown")) for key in ("kind", "plugin", "from", "version"))]
        for name, row in used.items()
    ]
    yield _table(["node", "kind", "plugin", "from", "version"], rows)


def _plugins_used(path: Path) -> dict[str, dict[str, Any]]:
    try:
        content = read_json_object(path)
    except (OSError, ValueError):
        return {}
    return content if all(isinstance(row, dict) for row in content.values()) else {}


def _unknowns(config: PipelineConfig, result: BenchmarkResult | None) -> Iterator[str]:
    yield "## What is not known"
    lines = ["The licence of these weights is not stated.", "The clips it was trained on are not stated."]
    if base := [model for model in models_read(config).values() if not is_local(model)]:
        lines.append(
            f"It needs {', '.join(escape(safe_text(model)) for model in dict.fromkeys(base))}: not a part of this"
            " repository, with licences of their own that are not stated here."
        )
    for name in local_models(config):
        lines.append(
            f"The model of {escape(label(name))} is a folder of the machine that it was saved on: it is not a"
            " part of this repository, and where it came from is not stated."
        )
    if result is None:
        lines.append("How well it does is not stated.")
    yield "\n".join(f"- {model}" for model in lines)


def _use(config: PipelineConfig, name: str) -> Iterator[str]:
    yield "## Use"
    pickled = any(getattr(node.config, "allow_pickle", False) for node in config.encoders.values())
    flag = " --allow-pickle" if pickled else ""
    # A name of the Hub has only letters, digits and a few signs: it needs no escape.
    yield f"    affectgpt describe clip.mp4 --model {name if is_named(name) else 'FOLDER'}{flag}"
    if pickled:
        yield "An encoder of it reads weights from a pickle, with weights only, and only when that flag is given."


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]], align: str = "") -> str:
    rule = ["---:" if side == "r" else "---" for side in (align or "l" * len(heads))]
    lines = [heads, rule, *([escape(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
