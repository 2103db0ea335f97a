from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import affectgpt as ag
from affectgpt.bundled import TINY, bundled_config

CLIP = Path(__file__).resolve().parents[2] / "examples" / "clips" / "astronaut_voice.mp4"


@pytest.fixture(scope="module")
def pipeline() -> ag.Pipeline:
    return ag.load()


@pytest.fixture(scope="module")
def described(pipeline: ag.Pipeline) -> ag.Description:
    return pipeline.describe(CLIP, subtitle="")


def test_one_path_gives_one_description(pipeline: ag.Pipeline, described: ag.Description) -> None:
    assert described.text and described.file == str(CLIP) and not described.error
    assert described.counted["subtitle"] is None
    assert sum(share or 0 for share in described.counted.values()) == pytest.approx(1)
    assert ag.describe(pipeline, str(CLIP), subtitle="").text == described.text


def test_bytes_open_clips_and_arrays_are_clips(pipeline: ag.Pipeline, described: ag.Description) -> None:
    clip = ag.Clip.open(CLIP, subtitle="I am so happy")
    arrays = ag.Clip.from_arrays(waveform=np.zeros(16_000, np.float32), subtitle="hello")
    rows = pipeline.describe([CLIP.read_bytes(), clip, arrays, b"no media"])
    assert [row.file for row in rows] == ["<bytes>", str(CLIP), "<arrays>", "<bytes>"]
    assert rows[0].text == described.text
    assert [row.subtitle for row in rows] == ["", "I am so happy", "hello", ""]
    assert rows[2].counted["face"] is None and rows[2].text
    assert rows[3].error and not rows[3].text and "/" not in rows[3].error.splitlines()[0]
    assert pipeline.describe(clip, subtitle="").subtitle == "" and clip.subtitle == "I am so happy"


def test_a_folder_and_a_list_give_a_list(pipeline: ag.Pipeline, tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(CLIP.read_bytes())
    (tmp_path / "b.mp4").write_bytes(b"damaged")
    counts: list[tuple[str, int, int | None]] = []
    rows: Any = pipeline.describe(tmp_path, progress=lambda *event: counts.append(event))
    assert [Path(row.file).name for row in rows] == ["a.mp4", "b.mp4"]
    assert not rows[0].error and rows[1].error
    assert counts == [("describing", 1, 2), ("describing", 2, 2)]
    assert pipeline.describe([]) == []


def test_a_single_clip_that_cannot_be_read_raises(pipeline: ag.Pipeline) -> None:
    # The letters of a path are no clips.
    with pytest.raises(ag.MediaError, match=r"/a/clip\.mp4"):
        pipeline.describe("/a/clip.mp4")
    with pytest.raises(ag.MediaError, match="<bytes>"):
        pipeline.describe(b"no media")
    with pytest.raises(ag.ConfigError):
        pipeline.describe(CLIP, question="why " * 2000)


def test_pieces_of_a_stream_are_the_text(pipeline: ag.Pipeline, described: ag.Description) -> None:
    events = list(ag.stream(pipeline, CLIP, subtitle=""))
    index, last = events[-1]
    assert index == 0 and isinstance(last, ag.Description)
    assert "".join(str(piece) for _, piece in events[:-1]) == last.text == described.text


def test_a_batch_is_no_clip_of_a_stream(pipeline: ag.Pipeline) -> None:
    with pytest.warns(DeprecationWarning, match="generate_pieces"):
        pieces = pipeline.stream(ag.collate([pipeline.prepare(ag.Clip.open(CLIP))], [""]))  # type: ignore[arg-type]
    assert next(iter(pieces))


def test_a_folder_comes_before_the_bundled_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ag.ConfigError, match="did you mean 'tiny'"):
        ag.load("tinny")
    Path("tiny").mkdir()
    with pytest.raises(ag.CheckpointError, match="not a saved model"):
        ag.load("tiny")
    with pytest.raises(ag.ConfigError) as caught:
        ag.load(TINY, device="toaster")
    assert caught.value.problems[0].where == "device"


def test_a_saved_model_is_loaded_as_it_was(pipeline: ag.Pipeline, described: ag.Description, tmp_path: Path) -> None:
    folder = ag.save(pipeline, tmp_path / "model")
    assert folder == tmp_path / "model"
    assert ag.from_pretrained(folder).describe(CLIP, subtitle="").text == described.text


def test_the_former_forms_work_and_warn(described: ag.Description, tmp_path: Path) -> None:
    catalog = ag.discover()
    with pytest.warns(DeprecationWarning, match=r"affectgpt\.load\(name, catalog\): use .*; goes in 0\.3"):
        former: Any = ag.load(TINY, catalog)  # type: ignore[call-arg, arg-type, unused-ignore]
    assert former.describe(CLIP, subtitle="").text == described.text
    with pytest.warns(DeprecationWarning, match="load_config"):
        config, source = ag.load_config(bundled_config("tiny"), catalog)
    with pytest.warns(DeprecationWarning, match="make_plan"):
        plan = ag.make_plan(config, catalog, source)
    with pytest.warns(DeprecationWarning, match="assemble"):
        assert ag.assemble(plan, catalog).describe(CLIP, subtitle="").text


def test_a_plan_is_made_of_a_name_a_mapping_a_file_and_a_config(tmp_path: Path) -> None:
    plan = ag.plan("tiny", "fusers.multi.plugin=concat")
    assert plan.fusers["multi"].entry.spec.name == "concat"
    mapping = {"extends": str(bundled_config("tiny")), "fusers": {"multi": {"plugin": "concat"}}}
    path = tmp_path / "mine.yaml"
    path.write_text(f"extends: {bundled_config('tiny')}\nfusers: {{multi: {{plugin: concat}}}}\n")
    for config in (mapping, path, str(path), plan.config):
        other = ag.plan(config)
        assert other.config == plan.config and other.budget == plan.budget
    assert mapping["fusers"] == {"multi": {"plugin": "concat"}}


def test_problems_are_raised_or_listed() -> None:
    with pytest.raises(ag.ConfigError) as caught:
        ag.plan("tiny", "fusers.multi.plugin=concatt", "training.steps=-1")
    problems = ag.check("tiny", "fusers.multi.plugin=concatt", "training.steps=-1")
    assert problems == list(caught.value.problems) and len(problems) == 2
    assert problems[0].hint == "did you mean 'concat'?"
    assert ag.check("tiny") == []
    assert ag.check("no-such-pipeline")


def test_building_draws_from_the_seed_of_the_config_and_leaves_that_of_the_process(tmp_path: Path) -> None:
    torch.manual_seed(1)
    expected = torch.rand(1)
    torch.manual_seed(1)
    first, second, third = ag.build("tiny"), ag.build("tiny"), ag.build("tiny", "seed=5")
    assert torch.equal(torch.rand(1), expected)
    weights = [next(iter(each.projectors.values())).weight for each in (first, second, third)]
    assert torch.equal(weights[0], weights[1]) and not torch.equal(weights[0], weights[2])
    assert not first.training and first.device.type == "cpu"


def test_what_a_notebook_shows_is_short_and_escaped(pipeline: ag.Pipeline) -> None:
    plan = ag.plan("tiny")
    text = repr(plan)
    assert len(text.splitlines()) == len(plan.to_dict()["nodes"]) + 1
    assert "cross-attention" in text and "face, audio ->" in text
    html = plan._repr_html_()
    assert "<table>" in html and "face, audio" in html and f"{plan.budget.total} of {plan.budget.context}" in html
    row = ag.Description("<b>.mp4", "a <script>", counted={"face": 0.25, "audio": None}, notes=["<i>"])
    assert repr(row) == "Description('<b>.mp4', 'a <script>'; face 25%, audio absent)"
    shown = row._repr_html_()
    assert "<script>" not in shown and "<i>" not in shown and "&lt;script&gt;" in shown and "25%" in shown
    assert "error='no'" in repr(ag.Description("a", error="no\nmore")) and len(repr(pipeline)) < 2000
    assert "&lt;b&gt;" in ag.Description("<b>", error="<b>")._repr_html_()
    assert "<table>" in pipeline._repr_html_()
    catalog = ag.discover()
    assert repr(catalog).startswith("Catalog(") and "14 fuser" in repr(catalog)
    assert "cross-attention" in catalog._repr_html_()


@pytest.mark.parametrize("config", [None, 3, [], object(), "x" * 5000, b"tiny"])
def test_what_is_no_config_is_a_problem(config: Any) -> None:
    (problem,) = ag.check(config)
    assert problem.where in ("config", config)


@pytest.mark.parametrize("change", [3, None, b"seed=1", ["seed=1"]])
def test_a_change_that_is_no_text_is_a_problem(change: Any) -> None:
    (problem,) = ag.check("tiny", change)
    assert problem.where == "changes" and ("*changes" in problem.hint) == isinstance(change, list)


def test_the_folder_of_a_saved_model_is_no_pipeline_file() -> None:
    with pytest.raises(ag.ConfigError, match="this is a folder") as caught:
        ag.plan(TINY)
    assert "affectgpt.load" in caught.value.problems[0].hint


@pytest.mark.parametrize("name", ["a\0b.py", "x" * 5000 + ".py"])
def test_a_plugin_file_that_cannot_be_looked_for_is_a_problem(name: str) -> None:
    (problem,) = ag.check({"extends": "tiny", "plugins": [name]})
    assert problem.where == "config (plugins.0)"


def test_plugins_that_are_none_are_refused() -> None:
    with pytest.raises(ag.PluginError, match="plugins: these are no plugins"):
        ag.check("tiny", plugins=None)  # type: ignore[arg-type]


def test_a_pipeline_in_training_mode_describes_without_dropout(described: ag.Description) -> None:
    pipeline = ag.load().train()
    assert pipeline.describe(CLIP, subtitle="").counted == described.counted
    *_, (_, last) = pipeline.stream(CLIP, subtitle="")
    assert isinstance(last, ag.Description) and last.counted == described.counted
    assert pipeline.training and all(encoder.training for encoder in pipeline.encoders.values())


@pytest.mark.parametrize("name", [None, 3, b"tiny", "x" * 5000])
def test_what_names_no_model_is_refused(name: Any) -> None:
    with pytest.raises(ag.ConfigError, match=r"^name: |there is no such model"):
        ag.load(name)


def test_a_model_is_saved_in_one_of_three_dtypes(pipeline: ag.Pipeline, tmp_path: Path) -> None:
    with pytest.raises(ag.ConfigError, match="dtype: "):
        ag.save(pipeline, tmp_path / "model", dtype="int8")  # type: ignore[arg-type]
    assert not (tmp_path / "model").exists()
