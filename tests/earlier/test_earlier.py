"""What version 0.1.0 wrote is loaded, resumed, recognised, read and scored by this version."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from affectgpt import api
from affectgpt.registry.errors import ConfigError, DataError

WRITTEN = Path(__file__).parent / "0.1.0"
OFF = "presence=off"
"""What a pipeline file of version 0.1.0 meant."""


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of everything, as the working folder."""
    shutil.copytree(WRITTEN, tmp_path / "0.1.0")
    monkeypatch.chdir(tmp_path / "0.1.0")
    return tmp_path / "0.1.0"


def read_log(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]


def read_losses(run: Path) -> list[float]:
    return [row["loss"] for row in read_log(run) if "loss" in row]


def test_the_model_describes_the_same_texts(copy: Path) -> None:
    pipeline = api.load("model")
    rows = api.describe(pipeline, Path("clips/video"))
    expected = json.loads((copy / "describe.json").read_text())
    assert [row.text for row in rows] == [row["text"] for row in expected]
    for row, former in zip(rows, expected, strict=True):
        assert (row.file, row.subtitle, row.notes, row.error) == tuple(
            former[key] for key in ("file", "subtitle", "notes", "error")
        )
        assert row.counted == pytest.approx(former["counted"], abs=1e-4)
        assert row.fusion.keys() == former["fusion"].keys()
        for fuser, shares in former["fusion"].items():
            assert row.fusion[fuser] == pytest.approx(shares, abs=1e-4)


def test_the_stopped_run_is_resumed_to_the_same_losses(copy: Path) -> None:
    # The run was begun before settings whose default is another today; the pipeline file does not name them.
    with pytest.warns(UserWarning, match=r"goes on with presence=\"off\""):
        result = api.train("small.yaml", "clips", out="again", run="run", resume=True, progress=False)
    assert result.resumed == 60 and result.steps == 150
    expected = read_losses(copy / "finished")
    assert result.losses == pytest.approx(expected, rel=1e-4) and read_losses(copy / "run") == result.losses
    stored = (read_log(copy / name)[59]["lr"] for name in ("run", "finished"))
    assert len(set(stored)) == 1 and (copy / "again" / "model.safetensors").is_file()


def test_the_finished_run_is_recognised(copy: Path) -> None:
    before = {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()}
    result = api.train("small.yaml", "clips", out="model", run="finished", resume=True, progress=False)
    assert result.finished_before and result.steps == 150 and result.losses == read_losses(copy / "finished")
    assert {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()} == before
    row = api.describe(result.pipeline, Path("clips/video/synth_train_00016.mp4"))
    assert row.text == json.loads((copy / "describe.json").read_text())[0]["text"]


def test_the_features_train_a_model_without_encoding(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from affectgpt.media.clip import Clip

    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("a clip was opened")

    monkeypatch.setattr(Clip, "open", refuse)
    steps = (OFF, "training.steps=3", "training.warmup_steps=1")
    with pytest.warns(UserWarning, match="were read by an earlier version, and these are read in another way"):
        result = api.train("small.yaml", "clips", *steps, features="features", progress=False)
    assert result.steps == 3
    # With the rate of each step, the first loss is that of the run that decoded the clips.
    assert result.losses[0] == pytest.approx(read_losses(copy / "finished")[0], rel=1e-4)


def test_a_run_and_features_of_before_do_not_go_on_with_another_presence(copy: Path) -> None:
    with pytest.raises(ConfigError, match='presence "off"'):
        api.train("small.yaml", "clips", "presence.face=found", out="again", run="run", resume=True, progress=False)
    with pytest.raises(ConfigError, match="another presence"):
        api.train("small.yaml", "clips", features="features", progress=False)


def test_no_clip_is_added_to_features_of_before(copy: Path) -> None:
    before = {path.name: path.read_bytes() for path in (copy / "features").iterdir()}
    frozen = ("encoders.face.frozen=true", "encoders.audio.frozen=true")
    with pytest.raises(DataError, match="of an earlier version"):
        api.encode("small.yaml", "clips", "features", OFF, *frozen, progress=False)
    after = {path.name: path.read_bytes() for path in (copy / "features").iterdir() if path.name in before}
    assert after == before


def test_the_features_are_complete(copy: Path) -> None:
    shards = {path.name: path.read_bytes() for path in (copy / "features").glob("*.safetensors")}
    encoded = api.read_examples("clips")
    assert len(encoded) == 3
    from affectgpt.data.feature_cache.reader import FeatureCache

    dataset, broken = FeatureCache.open(copy / "features").samples(encoded)
    assert len(dataset) == 3 and not broken
    for index in range(3):
        assert any(stream is not None for stream in dataset[index].media.values())
    assert {path.name: path.read_bytes() for path in (copy / "features").glob("*.safetensors")} == shards


def test_the_predictions_are_recognised(copy: Path) -> None:
    before = (copy / "predictions" / "clips.jsonl").read_bytes()
    (file,) = api.predict("model", "clips", "predictions", progress=False)
    assert (copy / "predictions" / "clips.jsonl").read_bytes() == before
    assert file.new == 0


def test_the_predictions_have_the_same_scores(copy: Path) -> None:
    score = api.score_benchmark("predictions", "clips", resamples=0, progress=False)
    expected = json.loads((copy / "scores.json").read_text())
    row = json.loads(json.dumps(score.to_dict()))
    assert row["datasets"][0]["figures"] == expected["datasets"][0]["figures"]
    # Later versions add rules; those of before have the same values.
    assert expected["settings"].pop("rules").items() <= row["settings"]["rules"].items()
    assert expected["settings"].items() <= row["settings"].items()
    same = expected.keys() - {"datasets", "settings", "versions"}
    assert {key: row[key] for key in same} == {key: expected[key] for key in same}
