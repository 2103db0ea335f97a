"""Training, encoding and writing clips through the public functions."""

from __future__ import annotations

import random
import shutil
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

import affectgpt.api as api
from affectgpt.registry.errors import CheckpointError, ConfigError, DataError
from tests.api.small import CLIPS, CONFIG, QUICK

FROZEN = ("encoders.audio.frozen=true",)


@pytest.fixture(autouse=True)
def _one_thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.set_num_threads(1)
    monkeypatch.chdir(tmp_path)


def test_nothing_is_written_without_a_place(tmp_path: Path) -> None:
    result = api.train(CONFIG, CLIPS, *QUICK, progress=False)
    assert list(tmp_path.iterdir()) == []
    assert len(result.losses) == result.steps == 2 and result.clips == 3
    assert result.model is None and result.run is None and result.best is None and result.skipped == []
    assert not result.pipeline.training and not result.finished_before


def test_a_pipeline_is_trained_in_place() -> None:
    pipeline = api.build(CONFIG, *QUICK)
    before = _weights(pipeline)
    result = api.train(pipeline, CLIPS, progress=False)
    assert result.pipeline is pipeline and not pipeline.training
    assert any(not torch.equal(before[name], tensor) for name, tensor in pipeline.state_dict().items())
    again = api.train(pipeline, api.read_examples(CLIPS), "training.steps=3", "training.lr=0.001", progress=False)
    assert again.steps == 3 and again.losses[0] < result.losses[0]
    assert pipeline.plan.config.training.steps == 3


def test_the_parts_of_a_built_pipeline_stay() -> None:
    pipeline = api.build(CONFIG)
    with pytest.raises(ConfigError, match="cannot be changed") as error:
        api.train(pipeline, CLIPS, "fusers.multi.plugin=concat", progress=False)
    assert error.value.problems[0].where == "changes"


def test_a_stopped_training_leaves_the_pipeline_usable() -> None:
    pipeline = api.build(CONFIG, *QUICK, "training.precision=bf16")

    def stop(what: str, count: int, total: int | None) -> None:
        if what == "training":
            raise KeyboardInterrupt

    forward = pipeline.forward
    with pytest.raises(KeyboardInterrupt):
        api.train(pipeline, CLIPS, progress=stop)
    assert not pipeline.training and pipeline.forward == forward
    assert api.train(pipeline, CLIPS, progress=False).steps == 2


@pytest.mark.parametrize("start", ["mapping", "config", "model"])
def test_it_starts_from(start: str, tmp_path: Path) -> None:
    starts = {
        "mapping": lambda: yaml.safe_load(CONFIG.read_text()),
        "config": lambda: api.plan(CONFIG).config,
        "model": lambda: CONFIG.parent / "model",
    }
    result = api.train(starts[start](), CLIPS, *QUICK, progress=False)
    first = api.train(CONFIG, CLIPS, *QUICK, progress=False).losses[0]
    assert (result.losses[0] == first) == (start != "model")


def test_samples_are_read_once_for_two_trainings() -> None:
    pipeline = api.build(CONFIG, *QUICK)
    samples, broken = api.read_samples(api.read_examples(CLIPS), pipeline.prepare)
    assert len(samples) == 3 and not broken
    result = api.train(pipeline, samples, progress=False)
    assert result.losses == api.train(CONFIG, CLIPS, *QUICK, progress=False).losses
    with pytest.raises(ConfigError, match="samples are decoded already"):
        api.train(pipeline, samples, decode="each-time", progress=False)
    with pytest.raises(DataError, match="not clips with labels"):
        api.train(pipeline, [*samples, "clip.mp4"], progress=False)  # type: ignore[list-item]


def test_a_run_is_saved_resumed_and_recognised(tmp_path: Path) -> None:
    first = api.train(CONFIG, CLIPS, *QUICK, out="model", validation=CLIPS, progress=False)
    assert first.model == Path("model") and first.run == Path("model.run") and first.best is not None
    assert Path("model.run/finished.json").is_file()
    with pytest.raises(CheckpointError, match="something at this place"):
        api.train(CONFIG, CLIPS, *QUICK, out="model", progress=False)
    again = api.train(CONFIG, CLIPS, *QUICK, out="model", validation=CLIPS, resume=True, progress=False)
    assert again.finished_before and again.losses == first.losses and again.to_dict() == first.to_dict()
    assert _equal(_weights(again.pipeline), _weights(first.pipeline))
    with pytest.raises(ConfigError, match="other settings"):
        api.train(CONFIG, CLIPS, *QUICK, "seed=4", out="model", validation=CLIPS, resume=True, progress=False)
    assert _equal(_weights(api.load("model")), _weights(first.pipeline))


def test_a_finished_run_gives_its_weights_to_the_pipeline() -> None:
    trained = api.train(api.build(CONFIG, *QUICK), CLIPS, out="model", progress=False)
    fresh = api.build(CONFIG, *QUICK)
    again = api.train(fresh, CLIPS, out="model", resume=True, progress=False)
    assert again.finished_before and again.pipeline is fresh
    assert _equal(_weights(fresh), _weights(trained.pipeline))


def test_only_a_run_folder() -> None:
    result = api.train(CONFIG, CLIPS, *QUICK, "training.checkpoint_every=1", run="run", progress=False)
    assert result.model is None and sorted(path.name for path in Path("run").iterdir()) == [
        ".lock",
        "checkpoints",
        "log.jsonl",
    ]
    with pytest.raises(ConfigError, match="a run in this folder already"):
        api.train(CONFIG, CLIPS, *QUICK, run="run", progress=False)
    resumed = api.train(CONFIG, CLIPS, *QUICK, "training.checkpoint_every=1", run="run", resume=True, progress=False)
    assert resumed.resumed == 2 and resumed.losses == result.losses
    with pytest.raises(ConfigError, match="cannot be resumed") as error:
        api.train(CONFIG, CLIPS, resume=True, progress=False)
    assert error.value.problems[0].where == "resume"


def test_unreadable_clips_are_warned_of(tmp_path: Path) -> None:
    clips = tmp_path / "clips"
    shutil.copytree(CLIPS, clips)
    (clips / "video" / "synth_train_00016.mp4").write_bytes(b"no video")
    with pytest.raises(DataError, match="1 of 3 clips cannot be read"):
        api.train(CONFIG, clips, *QUICK, progress=False)
    with pytest.warns(UserWarning, match="skipped synth_train_00016"):
        result = api.train(CONFIG, clips, *QUICK, allow_unreadable=0.5, progress=False)
    assert result.skipped == ["synth_train_00016"] and result.clips == 2
    assert "skipped: 1 clips" in repr(result)


def test_a_result_is_shown_escaped(tmp_path: Path) -> None:
    result = api.train(CONFIG, CLIPS, *QUICK, out="<b>model", progress=False)
    assert "loss: " in repr(result) and "<b>model" in repr(result)
    page = result._repr_html_()
    assert "&lt;b&gt;model" in page and "<b>" not in page


def test_random_numbers_of_the_process_stay() -> None:
    torch.manual_seed(1)
    np.random.seed(1)
    random.seed(1)
    expected = torch.rand(2), np.random.rand(2), random.random()
    torch.manual_seed(1)
    np.random.seed(1)
    random.seed(1)
    api.train(CONFIG, CLIPS, *QUICK, progress=False)
    assert torch.equal(torch.rand(2), expected[0])
    assert np.array_equal(np.random.rand(2), expected[1]) and random.random() == expected[2]


def test_features_take_the_place_of_frozen_encoders(capsys: pytest.CaptureFixture[str]) -> None:
    parts: list[str] = []
    encoded = api.encode(CONFIG, CLIPS, "features", *FROZEN, progress=lambda what, done, total: parts.append(what))
    assert (encoded.clips, encoded.new, encoded.broken) == (3, 3, []) and encoded.encoders == ("audio", "face")
    assert "encoding" in parts and capsys.readouterr() == ("", "")
    assert api.encode(CONFIG, CLIPS, "features", *FROZEN, progress=False).new == 0
    plain = api.train(CONFIG, CLIPS, *QUICK, *FROZEN, progress=False)
    cached = api.train(CONFIG, CLIPS, *QUICK, *FROZEN, features="features", progress=False)
    assert cached.losses == pytest.approx(plain.losses, rel=1e-5)
    assert api.describe(cached.pipeline, next((CLIPS / "video").iterdir())).error == ""


def test_the_frozen_encoders_of_a_pipeline_are_encoded() -> None:
    pipeline = api.build(CONFIG)
    encoded = api.encode(pipeline, CLIPS, "features", encoders=["face"], progress=False)
    assert encoded.encoders == ("face",)
    trained = api.build(CONFIG, "encoders.face.frozen=false")
    with pytest.raises(ConfigError, match="this encoder is trained"):
        api.encode(trained, CLIPS, "more", progress=False)
    with pytest.raises(ConfigError, match="changes are to a config"):
        api.encode(pipeline, CLIPS, "more", "seed=1", progress=False)


def test_clips_are_written_and_read_as_examples() -> None:
    assert api.synth("clips", clips=2, split="test", progress=False) == Path("clips")
    examples = api.read_examples("clips")
    assert len(examples) == 2 and all(example.description and example.labels for example in examples)
    with pytest.raises(ConfigError, match="made of test clips"):
        api.synth("sets", layout="unibench", split="train", progress=False)
    with pytest.raises(DataError, match="no such file or folder"):
        api.read_examples("nothing")


def test_a_hook_that_fails_costs_a_warning(tmp_path: Path) -> None:
    (tmp_path / "hooks.py").write_text(
        "import affectgpt as ag\n\n"
        "@ag.hookimpl\ndef affectgpt_before_run(command, config):\n    raise ValueError(command)\n\n"
        "@ag.hookimpl\ndef affectgpt_after_run(command, config, result):\n    print(result['steps'])\n"
    )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        api.train(CONFIG, CLIPS, *QUICK, plugins=["hooks.py"], progress=False)
    assert [str(warning.message) for warning in caught if "affectgpt_before_run" in str(warning.message)]


@pytest.mark.parametrize("data", [None, 3, [], [None], {"a": 1}])
def test_what_is_no_data_is_refused(data: Any) -> None:
    with pytest.raises(DataError, match=r"^data: "):
        api.train(CONFIG, data, *QUICK, progress=False)


def test_data_may_be_an_iterator_of_examples() -> None:
    clips: Any = iter(api.read_examples(CLIPS))
    assert api.train(CONFIG, clips, *QUICK, progress=False).clips == 3


@pytest.mark.parametrize(
    "options", [{"workers": -1}, {"workers": "2"}, {"allow_unreadable": 5}, {"allow_unreadable": float("nan")}]
)
def test_numbers_of_a_run_are_in_range(options: Any) -> None:
    with pytest.raises(ConfigError, match=f"^{next(iter(options))}: "):
        api.train(CONFIG, CLIPS, *QUICK, progress=False, **options)


def test_a_pipeline_that_is_built_late_leaves_the_random_numbers_of_the_process() -> None:
    api.encode(CONFIG, CLIPS, "features", *FROZEN, progress=False)
    first = api.train(CONFIG, CLIPS, *QUICK, *FROZEN, features="features", out="model", progress=False)
    again = api.train(CONFIG, CLIPS, *QUICK, *FROZEN, features="features", out="model", resume=True, progress=False)
    for result in (first, again):
        torch.manual_seed(7)
        before = torch.get_rng_state()
        assert result.pipeline.encoders
        assert torch.equal(torch.get_rng_state(), before)
    assert api.encode(CONFIG, CLIPS, "more", *FROZEN, encoders="audio", progress=False).encoders == ("audio",)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("options", [{"dtype": "int8"}, {"batch_size": 0}])
def test_settings_of_a_cache_are_named_when_they_are_wrong(options: Any) -> None:
    with pytest.raises(ConfigError, match=f"^{next(iter(options))}: "):
        api.encode(CONFIG, CLIPS, "features", *FROZEN, progress=False, **options)


def _weights(pipeline: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in pipeline.state_dict().items()}


def _equal(state: dict[str, torch.Tensor], expected_state: dict[str, torch.Tensor]) -> bool:
    return state.keys() == expected_state.keys() and all(
        torch.equal(state[name], expected_state[name]) for name in state
    )
