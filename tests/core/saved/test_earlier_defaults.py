"""A setting that did not exist when a model, a run or a cache was written means the behaviour of that time."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel, Field

from affectgpt.core.config import GenerationConfig, PipelineConfig, PromptConfig, TrainingConfig
from affectgpt.core.plan import make_plan
from affectgpt.core.saved import earlier_defaults
from affectgpt.core.saved.config import load_saved_config
from affectgpt.registry.catalog import Catalog
from affectgpt.registry.discovery import discover
from affectgpt.registry.errors import ConfigError
from affectgpt.training.run_settings import check_same_settings, result_settings

EARLIER = Path(__file__).resolve().parents[2] / "earlier" / "0.1.0"
SECTIONS = {"prompt": PromptConfig, "generation": GenerationConfig, "training": TrainingConfig}


def add_field(model: type[BaseModel], name: str, default: Any) -> None:
    annotation = type(default)
    model.model_fields[name] = Field(default=default)  # type: ignore[assignment]
    model.model_fields[name].annotation = annotation
    model.__annotations__[name] = annotation
    model.model_rebuild(force=True)


@pytest.fixture
def younger(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Two settings that version 0.1.0 did not have, one of a section and one of a plugin, both with other defaults."""
    mel = discover().config_class(discover().get("encoder", "mel"))
    add_field(TrainingConfig, "younger", 5)
    PipelineConfig.model_rebuild(force=True)
    add_field(mel, "younger", "today")
    monkeypatch.setitem(earlier_defaults.SETTINGS, "training.younger", 0)
    monkeypatch.setitem(earlier_defaults.OPTIONS, ("encoder", "mel"), {"younger": "before"})
    yield
    for model in (TrainingConfig, mel):
        del model.model_fields["younger"], model.__annotations__["younger"]
        model.model_rebuild(force=True)
    PipelineConfig.model_rebuild(force=True)


@pytest.mark.usefixtures("younger")
def test_a_saved_model_takes_the_value_of_its_time(catalog: Catalog) -> None:
    config = load_saved_config(EARLIER / "model", catalog)
    assert config.training.younger == 0 and config.encoders["audio"].config.younger == "before"  # type: ignore[attr-defined]
    changed = load_saved_config(EARLIER / "model", catalog, ["training.younger=7", "encoders.audio.plugin=mel"])
    assert changed.training.younger == 7, "a change by hand is taken"  # type: ignore[attr-defined]
    assert changed.encoders["audio"].config.younger == "today", "a node that names its plugin has today's defaults"  # type: ignore[attr-defined]


@pytest.mark.usefixtures("younger")
def test_a_run_is_the_same_as_before(catalog: Catalog) -> None:
    config = load_saved_config(EARLIER / "model", catalog)
    stored = json.loads((EARLIER / "finished" / "finished.json").read_text(encoding="utf-8"))["settings"]
    current = {**stored, **result_settings(config), "llm.tokenizer": stored.get("llm.tokenizer")}
    assert current["training.younger"] == 0 and current["encoders.audio.younger"] == "before"
    check_same_settings(stored, current, "run")
    for key, value in (("training.younger", 5), ("encoders.audio.younger", "today")):
        with pytest.raises(ConfigError, match=key):
            check_same_settings(stored, {**current, key: value}, "run")
        check_same_settings({**stored, key: value}, {**current, key: value}, "run")


@pytest.mark.usefixtures("younger")
def test_a_feature_cache_is_the_same_as_before(catalog: Catalog) -> None:
    from affectgpt.data.feature_cache.reader import FeatureCache

    cache = FeatureCache.open(EARLIER / "features")

    def check(*changes: str) -> None:
        config = load_saved_config(EARLIER / "model", catalog, changes)
        cache.check_plan(make_plan(config))

    check()
    with pytest.raises(ConfigError, match="younger"):
        check("encoders.audio.younger=today")


def test_every_setting_that_version_0_1_0_did_not_have_is_in_the_table() -> None:
    data = yaml.safe_load((EARLIER / "model" / "pipeline.yaml").read_text(encoding="utf-8"))
    for section, model in SECTIONS.items():
        younger = set(model.model_fields) - set(data[section])
        assert {f"{section}.{key}" for key in younger} <= set(earlier_defaults.SETTINGS), section
    younger = set(PipelineConfig.model_fields) - set(data) - {"plugins"}
    assert younger <= set(earlier_defaults.SETTINGS)


def test_every_option_that_version_0_1_0_did_not_have_is_in_the_table(catalog: Catalog) -> None:
    data = yaml.safe_load((EARLIER / "model" / "pipeline.yaml").read_text(encoding="utf-8"))
    nodes = [("encoder", node) for node in data["encoders"].values()]
    nodes += [("fuser", node) for node in data["fusers"].values()] + [("llm", data["llm"])]
    for kind, node in nodes:
        fields = catalog.config_class(catalog.get(kind, node["plugin"])).model_fields
        # An option without a value is not written.
        younger = {name for name, field in fields.items() if name not in node and field.default is not None}
        assert younger <= set(earlier_defaults.OPTIONS.get((kind, node["plugin"]), {})), node["plugin"]


def test_a_run_of_today_goes_on_as_it_is() -> None:
    from affectgpt.bundled import bundled_config
    from affectgpt.core.load_config import read_config
    from affectgpt.core.overrides import read_source

    for overrides in ([], ["training.gradient_accumulation=2"], ["presence=off"]):
        former = result_settings(read_config(bundled_config("tiny"), discover(), overrides))
        source = read_source(bundled_config("tiny"))
        assert earlier_defaults.changes_to_go_on(source.data, former) == []
        del former["training.step_loss"]
        assert earlier_defaults.changes_to_go_on(source.data, former) == ['training.step_loss="micro-batches"']
        assert earlier_defaults.changes_to_go_on({**source.data, "training": {"step_loss": "tokens"}}, former) == []
