"""Name and options -> an extractor of labels from texts, whose results are checked. No torch unless it wants an LLM."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from affectgpt.core.config import ExtractorNode
from affectgpt.core.contracts import SENTIMENTS, Extraction
from affectgpt.core.final_answer import final_answer, unfinished
from affectgpt.core.load_config import validate_node
from affectgpt.core.plan import plan_llm
from affectgpt.core.yaml_source import Source
from affectgpt.registry.catalog import Catalog
from affectgpt.registry.entry import PluginEntry
from affectgpt.registry.errors import AffectGPTError, ConfigError, PluginError
from affectgpt.registry.messages import one_line


def build_extractor(
    name: str, options: Mapping[str, Any], catalog: Catalog, *, base_dir: Path | None = None
) -> CheckedExtractor:
    """The extractor plugin `name` with `options`, and with the LLM that it asks for, in evaluation mode.

    Options that are paths (`./folder`) are meant from `base_dir`, by default the working folder. Raises PluginError
    for an unknown or broken plugin, ConfigError holding every problem of the options, and what the LLM raises.
    """
    entry = catalog.get("extractor", name)
    node, source = read_extractor(name, options, catalog, base_dir=base_dir)
    llm = _language_model(node, entry, catalog, source)
    return CheckedExtractor(entry.build(node.config, llm), node, entry)


def read_extractor(
    name: str, options: Mapping[str, Any], catalog: Catalog, *, base_dir: Path | None = None
) -> tuple[ExtractorNode, Source]:
    """The validated options of an extractor, before anything is built. Raises as [build_extractor][]."""
    source = Source((base_dir or Path()) / "extractor", {}, {(): f"extractor {name!r}"})
    if "plugin" in options:
        raise ConfigError("there is no setting 'plugin'", where=source.location(("plugin",)), hint="leave it out")
    node: ExtractorNode = validate_node("extractor", {"plugin": name, **options}, catalog, source)
    return node, source


def _language_model(node: ExtractorNode, entry: PluginEntry, catalog: Catalog, source: Source) -> Any:
    try:
        options = node.config.llm_options()
    except AffectGPTError:
        raise
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise PluginError("llm_options() of a plugin failed", where=entry.location(), found=one_line(error)) from error
    if options is None:
        return None
    raw = dict(options) if isinstance(options, Mapping) else options
    planned = plan_llm(validate_node("llm", raw, catalog, source, ("llm",)), source)
    import torch

    from affectgpt.core.assembly import build_module

    with torch.random.fork_rng():
        torch.manual_seed(0)
        return build_module(planned, planned.config, planned.output).eval()


class CheckedExtractor:
    """An extractor whose results are what [Extractor][] promises; one that breaks it raises PluginError by its name.

    It gives the plugin the answer in each text ([final_answer][]); a text that ends within its reasoning has an error.

    `plugin` is the extractor itself, `node` its name and options as they can be written down, `entry` its origin.
    """

    def __init__(self, plugin: Any, node: ExtractorNode, entry: PluginEntry) -> None:
        self.plugin, self.node, self.entry = plugin, node, entry

    def emotions(self, texts: Sequence[str]) -> list[Extraction]:
        """The emotion words of each text. Raises PluginError for a wrong result, and what the plugin raises."""
        return self._read("emotions", texts, labels_problem)

    def sentiments(self, texts: Sequence[str]) -> list[Extraction]:
        """The sentiment of each text. Raises PluginError for a wrong result, and what the plugin raises."""
        return self._read("sentiments", texts, sentiment_problem)

    def _read(self, method: str, texts: Sequence[str], fault: Callable[[Any], str]) -> list[Extraction]:
        where = f"{self.entry.location()}: {method}()"
        answers = {index: answer for index, text in enumerate(texts) if (answer := final_answer(text)) is not None}
        try:
            extractions = getattr(self.plugin, method)(list(answers.values()))
        except AffectGPTError:
            raise
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            raise PluginError("a plugin failed while it read texts", where=where, found=one_line(error)) from error
        if not isinstance(extractions, list) or len(extractions) != len(answers):
            amount = f"{len(extractions)} results" if isinstance(extractions, list) else type(extractions).__name__
            raise PluginError(
                "a plugin must give one result per text",
                where=where,
                found=amount,
                expected=f"a list of {len(answers)}",
            )
        results = [
            Extraction() if index in answers else Extraction(error=unfinished(text)) for index, text in enumerate(texts)
        ]
        for index, extraction in zip(answers, extractions, strict=True):
            wrong = fault(extraction)
            if wrong:
                raise PluginError("a plugin gave a wrong result", where=where, found=f"text {index + 1}: {wrong}")
            results[index] = extraction
        return results


def labels_problem(extraction: Any) -> str:
    """What is wrong with the [Extraction][] of emotions `found`, or ""."""
    if not isinstance(extraction, Extraction):
        return f"{type(extraction).__name__} instead of an Extraction"
    if not isinstance(extraction.error, str):
        return f"the error {extraction.error!r} is no text"
    if not isinstance(extraction.labels, tuple) or not all(isinstance(each, str) for each in extraction.labels):
        return f"the labels {extraction.labels!r:.80} are no tuple of texts"
    if extraction.error and extraction.labels:
        return f"both an error and labels: {extraction.labels!r:.80}"
    for label in extraction.labels:
        if not label or label != label.strip().lower():
            return f"the label {label!r:.80} is not a lower-case word without blanks around it"
        if extraction.labels.count(label) > 1:
            return f"the label {label!r:.80} is there twice"
    return ""


def sentiment_problem(extraction: Any) -> str:
    """What is wrong with the [Extraction][] of a sentiment `found`, or ""."""
    wrong = labels_problem(extraction)
    if wrong or extraction.error:
        return wrong
    is_sentiment = len(extraction.labels) == 1 and extraction.labels[0] in SENTIMENTS
    return "" if is_sentiment else f"{extraction.labels!r:.80} instead of one of {', '.join(SENTIMENTS)}"
