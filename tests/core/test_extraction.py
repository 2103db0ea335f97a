"""Building an extractor by name, and what its results are held to."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from affectgpt import Extraction, ExtractorConfig, build_extractor, extractor
from affectgpt.core.config import ExtractorNode
from affectgpt.core.contracts import ModelPath
from affectgpt.registry.catalog import Catalog
from affectgpt.registry.errors import ConfigError, PluginError, RunError
from affectgpt.registry.spec import Origin, PluginSpec

TINY_LLM = {
    "plugin": "causal-lm",
    "init": "random",
    "architecture": {
        "model_type": "qwen2",
        "vocab_size": 300,
        "hidden_size": 16,
        "intermediate_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "max_position_embeddings": 128,
    },
}


class WordsConfig(ExtractorConfig):
    words: tuple[str, ...] = ("happy", "sad")
    least: int = 1
    folder: ModelPath = "none"
    llm: dict[str, Any] | None = None

    def llm_options(self) -> Any:
        if self.least == 99:
            raise KeyError("plugin")
        return self.llm


@extractor("words", config=WordsConfig)
class Words:
    """Finds words; `result` is what it gives instead."""

    result: Any = None

    def __init__(self, config: WordsConfig, llm: Any) -> None:
        if config.least == 42:
            raise IndexError("no 42")
        self.config, self.llm = config, llm

    def emotions(self, texts: Sequence[str]) -> Any:
        if isinstance(self.result, BaseException):
            raise self.result
        if self.result is not None:
            return self.result
        return [Extraction(tuple(word for word in self.config.words if word in text)) for text in texts]

    sentiments = emotions


@pytest.fixture
def words(catalog: Catalog) -> Catalog:
    """The installed plugins and `words`."""
    catalog.add(Words, Origin("a test"))
    return catalog


def test_it_reads_and_can_be_written_down(words: Catalog) -> None:
    built = build_extractor("words", {"words": ["happy"]}, words)
    assert built.emotions(("a happy one", "a sad one")) == [Extraction(("happy",)), Extraction()]
    assert built.emotions([]) == []
    assert isinstance(built.node, ExtractorNode)
    assert built.node.model_dump(mode="json") == {
        "plugin": "words",
        "words": ["happy"],
        "least": 1,
        "folder": "none",
    }


def test_all_wrong_options_are_reported_at_once(words: Catalog) -> None:
    with pytest.raises(ConfigError) as caught:
        build_extractor("words", {"leest": 3, "words": 5, "least": "many"}, words)
    problems = [str(problem) for problem in caught.value.problems]
    assert len(problems) == 3 and all("extractor 'words'" in problem for problem in problems)
    assert any("there is no setting 'leest'" in problem and "did you mean 'least'" in problem for problem in problems)


def test_a_setting_called_plugin_does_not_change_the_plugin(words: Catalog) -> None:
    with pytest.raises(ConfigError, match="there is no setting 'plugin'"):
        build_extractor("words", {"plugin": "other"}, words)


def test_an_unknown_name_is_met_with_the_nearest(words: Catalog) -> None:
    with pytest.raises(PluginError, match="did you mean 'words'"):
        build_extractor("wrds", {}, words)
    with pytest.raises(PluginError, match="'mean' is a plugin of kind fuser"):
        build_extractor("mean", {}, words)


def test_a_config_that_is_no_extractors_is_refused(words: Catalog) -> None:
    spec = PluginSpec(
        name="odd",
        kind="extractor",
        config="affectgpt.core.contracts:FuserConfig",
        target="affectgpt.core.contracts:Extraction",
        summary="odd",
    )
    words.add(spec, Origin("a test"))
    with pytest.raises(ConfigError, match="is not a ExtractorConfig"):
        build_extractor("odd", {}, words)


def test_paths_are_meant_from_the_base_folder(words: Catalog, tmp_path: Path) -> None:
    from affectgpt.core.extraction import build_extractor as build

    built = build("words", {"folder": "./here"}, words, base_dir=tmp_path)
    assert built.node.config.folder == str(tmp_path.resolve() / "here")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"least": 42}, "a plugin failed while it was built"),
        ({"least": 99}, r"llm_options\(\) of a plugin failed"),
    ],
)
def test_a_plugin_that_fails_is_named(words: Catalog, options: dict[str, int], message: str) -> None:
    with pytest.raises(PluginError, match=message) as caught:
        build_extractor("words", options, words)
    assert "extractor 'words' from a test" in str(caught.value)


# -- the LLM


def test_an_llm_is_built_when_it_is_asked_for(words: Catalog) -> None:
    torch = pytest.importorskip("torch")
    first = build_extractor("words", {"llm": TINY_LLM}, words).plugin.llm
    torch.manual_seed(5)
    before = torch.get_rng_state()
    second = build_extractor("words", {"llm": TINY_LLM}, words).plugin.llm
    assert not first.training and first.encode("a", special=False)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
    assert torch.equal(torch.get_rng_state(), before), "the caller's random numbers are another's"
    assert build_extractor("words", {}, words).plugin.llm is None


@pytest.mark.parametrize(
    ("llm", "message"),
    [
        ({"plugin": "causal-lmm"}, "did you mean 'causal-lm'"),
        ({**TINY_LLM, "archtecture": {}}, "did you mean 'architecture'"),
        ({**TINY_LLM, "architecture": {"model_type": "qwen2"}}, "hidden_size"),
        ({"model": "gpt2"}, "an llm must name its plugin"),
    ],
)
def test_what_is_wrong_with_the_llm_is_said_with_its_place(words: Catalog, llm: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        build_extractor("words", {"llm": llm}, words)
    assert "extractor 'words' (llm" in str(caught.value)


def test_without_an_llm_it_costs_no_torch(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "from affectgpt import Extraction, ExtractorConfig, extractor\n"
        "class Config(ExtractorConfig):\n    pass\n"
        "@extractor('mine', config=Config)\n"
        "class Mine:\n"
        "    'Nothing.'\n"
        "    def __init__(self, config, llm):\n        pass\n"
        "    def emotions(self, texts):\n        return [Extraction() for _ in texts]\n"
        "    sentiments = emotions\n"
    )
    script = (
        "import sys\nfrom affectgpt import build_extractor, discover\n"
        "assert build_extractor('mine', {}, discover(['./mine.py'])).emotions(['a'])\n"
        "assert 'torch' not in sys.modules and 'numpy' not in sys.modules"
    )
    outcome = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert outcome.returncode == 0, outcome.stderr


# -- wrong results

WRONG = {
    "too few": ([], "0 results"),
    "too many": ([Extraction()] * 2, "2 results"),
    "no list": (Extraction(), "Extraction"),
    "none": ({}, "dict"),
    "a plain list of labels": ([["happy"]], "list instead of an Extraction"),
    "a list in it": ([Extraction(["happy"])], "no tuple of texts"),  # type: ignore[arg-type]
    "a number": ([Extraction((1,))], "no tuple of texts"),  # type: ignore[arg-type]
    "upper case": ([Extraction(("Happy",))], "'Happy' is not a lower-case word"),
    "blanks": ([Extraction(("happy ",))], "without blanks around it"),
    "nothing": ([Extraction(("",))], "'' is not"),
    "twice": ([Extraction(("sad", "sad"))], "is there twice"),
    "both": ([Extraction(("sad",), "unclear")], "both an error and labels"),
    "an error that is no text": ([Extraction(error=3)], "is no text"),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("case", WRONG)
@pytest.mark.parametrize("method", ["emotions", "sentiments"])
def test_a_wrong_result_is_an_error_that_names_the_plugin(
    words: Catalog, case: str, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    result, message = WRONG[case]
    monkeypatch.setattr(Words, "result", result)
    with pytest.raises(PluginError, match=rf"extractor 'words' from a test: {method}\(\)") as caught:
        getattr(build_extractor("words", {}, words), method)(["one"])
    assert message in str(caught.value)


@pytest.mark.parametrize("labels", [("happy",), (), ("positive", "negative"), ("mixed",)])
def test_a_sentiment_is_one_of_three(words: Catalog, labels: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    built = build_extractor("words", {}, words)
    monkeypatch.setattr(Words, "result", [Extraction(labels)])
    with pytest.raises(PluginError, match="instead of one of positive, negative, neutral"):
        built.sentiments(["one"])
    for good in (Extraction(("neutral",)), Extraction(error="unclear")):
        monkeypatch.setattr(Words, "result", [good])
        assert built.sentiments(["one"]) == [good]


def test_what_fails_at_work_is_named_and_what_is_meant_passes(words: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    built = build_extractor("words", {}, words)
    monkeypatch.setattr(Words, "result", ZeroDivisionError("division"))
    with pytest.raises(PluginError, match="failed while it read texts") as caught:
        built.emotions(["one"])
    assert "ZeroDivisionError" in str(caught.value)
    monkeypatch.setattr(Words, "result", RunError("the server is gone"))
    with pytest.raises(RunError, match="the server is gone"):
        built.emotions(["one"])
    monkeypatch.setattr(Words, "result", KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        built.emotions(["one"])


# -- pipelines


def test_a_pipeline_node_that_names_an_extractor_is_told_its_kind(small: Path, words: Catalog) -> None:
    from affectgpt.core.load_config import read_config

    with pytest.raises(ConfigError, match="'words' is a plugin of kind extractor"):
        read_config(small, words, ["fusers.multi={plugin: words, inputs: [face, audio]}"])


def test_the_schema_of_pipelines_knows_no_extractor(words: Catalog) -> None:
    import json

    from affectgpt.core.json_schema import pipeline_schema

    assert not [name for name in pipeline_schema(words)["$defs"] if name.startswith("extractor")]
    assert "WordsConfig" not in json.dumps(pipeline_schema(words))
