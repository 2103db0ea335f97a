from __future__ import annotations

import csv
import json
import multiprocessing
import os
import signal
from collections import Counter
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from affectgpt.data.mer2025 import read_mer2025
from affectgpt.registry.errors import ConfigError, DataError, RunError
from affectgpt.synthetic.clip import plan_clip, write_clip
from affectgpt.synthetic.clips import write_clips
from affectgpt.synthetic.difficulty import Difficulty
from affectgpt.synthetic.script import COMBINATIONS, Part, emotions_in

CLIPS, SEED = 32, 7
SHORT = Difficulty(seconds=(1.0, 1.2))


def decode(path: Path) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    with av.open(str(path)) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    with av.open(str(path)) as container:
        sound = [frame.to_ndarray()[0] for frame in container.decode(audio=0)]
    return np.stack(frames), np.concatenate(sound)


def names_in(path: Path) -> list[str]:
    with path.open(encoding="utf-8", newline="") as file:
        return [row["name"] for row in csv.DictReader(file)]


def test_the_layout_is_read_back(synthetic_folder: Path) -> None:
    examples = read_mer2025(synthetic_folder)
    assert [example.name for example in examples] == [f"synth_train_{index:05d}" for index in range(CLIPS)]
    for index, example in enumerate(examples):
        plan = plan_clip(SEED, "train", index, Difficulty())
        assert example.labels == plan.combination.labels
        assert emotions_in(example.description) == list(example.labels)
        assert example.subtitle == plan.subtitle[0]
    assert read_mer2025(synthetic_folder, language="chinese")[0].subtitle != examples[0].subtitle


def test_every_combination_is_there_equally_often(synthetic_folder: Path) -> None:
    counts = Counter(example.labels for example in read_mer2025(synthetic_folder))
    assert counts == {combination.labels: CLIPS // 16 for combination in COMBINATIONS}


def test_facts_agree_with_the_tables(synthetic_folder: Path) -> None:
    facts = json.loads((synthetic_folder / "synthetic.json").read_text(encoding="utf-8"))
    assert (facts["seed"], facts["split"]) == (SEED, "train")
    meaning = {(combination.face, combination.voice): combination.labels for combination in COMBINATIONS}
    for example in read_mer2025(synthetic_folder):
        clip = facts["clips"][example.name]
        assert meaning[clip["face"], clip["voice"]] == example.labels
        assert clip["identity"].startswith("train-")


def test_clips_are_h264_and_aac_of_the_stated_length(synthetic_folder: Path) -> None:
    facts = json.loads((synthetic_folder / "synthetic.json").read_text(encoding="utf-8"))["clips"]
    for name in sorted(facts)[:6]:
        with av.open(str(synthetic_folder / "video" / f"{name}.mp4")) as container:
            video, audio = container.streams.video[0], container.streams.audio[0]
            assert (video.codec_context.name, audio.codec_context.name) == ("h264", "aac")
            assert (video.width, video.height, video.average_rate) == (160, 160, 12.5)
            assert (audio.rate, audio.channels) == (16_000, 1)
            assert float(video.duration * video.time_base) == pytest.approx(facts[name]["seconds"], abs=0.01)
            assert float(audio.duration * audio.time_base) == pytest.approx(facts[name]["seconds"], abs=0.1)


def test_picture_moves_and_voice_sounds_without_clipping(synthetic_folder: Path) -> None:
    frames, sound = decode(synthetic_folder / "video" / "synth_train_00003.mp4")
    assert np.abs(frames[1:].astype(int) - frames[:-1]).mean() > 1
    assert 0.01 < sound.std() < 0.3
    assert np.abs(sound).max() < 1.0


def test_faces_are_found_by_the_usual_detector(synthetic_folder: Path) -> None:
    finder = cv2.CascadeClassifier(cv2.data.haarcascades + "haarcascade_frontalface_alt2.xml")
    boxes = []
    for path in sorted((synthetic_folder / "video").iterdir())[::2]:
        frames, _ = decode(path)
        for frame in frames[:: len(frames) // 4]:
            boxes.append(len(finder.detectMultiScale(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), 1.2, 3)) == 1)
    assert len(boxes) >= 64
    assert np.mean(boxes) >= 0.95


def test_a_clip_does_not_depend_on_how_many_or_by_whom(synthetic_folder: Path, tmp_path: Path) -> None:
    same = Difficulty(seconds=(1.5, 2.5))
    write_clips(tmp_path / "few", clips=2, seed=SEED, workers=1, difficulty=same)
    for name in ("synth_train_00000.mp4", "synth_train_00001.mp4"):
        in_small_set, in_larger_set = (folder / "video" / name for folder in (tmp_path / "few", synthetic_folder))
        assert in_small_set.read_bytes() == in_larger_set.read_bytes()


def test_seed_split_and_index_all_change_the_clip(tmp_path: Path) -> None:
    places = [(1, "train", 0), (2, "train", 0), (1, "test", 0), (1, "train", 1)]
    for number, (seed, split, index) in enumerate(places):
        write_clip(tmp_path / f"{number}.mp4", seed, split, index, SHORT)  # type: ignore[arg-type]
    assert len({path.read_bytes() for path in tmp_path.iterdir()}) == 4


def test_an_earlier_set_is_replaced_as_a_whole(tmp_path: Path) -> None:
    out, calls = tmp_path / "clips", []
    write_clips(out, clips=3, seed=1, difficulty=SHORT, workers=1, progress=lambda *at: calls.append(at))
    assert calls == [(1, 3), (2, 3), (3, 3)]
    write_clips(out, clips=1, seed=1, split="test", difficulty=SHORT, workers=4)
    assert [path.name for path in (out / "video").iterdir()] == ["synth_test_00000.mp4"]
    assert names_in(out / "track3_train_mercaptionplus.csv") == ["synth_test_00000"]
    assert [path.name for path in tmp_path.iterdir()] == ["clips"]


@pytest.mark.parametrize("stranger", ["notes.txt", "synthetic.json", "video/holiday.mp4"])
def test_other_peoples_files_are_never_replaced(tmp_path: Path, stranger: str) -> None:
    out = tmp_path / "clips"
    if "/" in stranger:
        write_clips(out, clips=1, seed=1, difficulty=SHORT, workers=1)
    else:
        out.mkdir()
    (out / stranger).write_text("{}")
    before = sorted(out.rglob("*"))
    with pytest.raises(DataError, match=stranger.replace(".", r"\.")):
        write_clips(out, clips=1, seed=2, difficulty=SHORT, workers=1)
    assert sorted(out.rglob("*")) == before
    assert [path.name for path in tmp_path.iterdir()] == ["clips"]


def test_a_file_in_the_way_is_refused(tmp_path: Path) -> None:
    (tmp_path / "clips").write_text("mine")
    with pytest.raises(DataError, match="not a folder"):
        write_clips(tmp_path / "clips", clips=1, seed=1)
    assert (tmp_path / "clips").read_text() == "mine"


@pytest.mark.parametrize(
    ("wrong", "name"),
    [
        ({"clips": 0}, "clips"),
        ({"clips": -4}, "clips"),
        ({"clips": 2.5}, "clips"),
        ({"seed": -1}, "seed"),
        ({"seed": 2**64}, "seed"),
        ({"workers": -1}, "workers"),
        ({"split": "dev"}, "split"),
    ],
)
def test_impossible_arguments_are_named(tmp_path: Path, wrong: dict[str, object], name: str) -> None:
    with pytest.raises(ConfigError, match=name):
        write_clips(tmp_path / "clips", **{"clips": 1, "seed": 1, **wrong})  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())


def test_an_interrupt_leaves_no_process_and_no_file(tmp_path: Path) -> None:
    def interrupt(count: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_clips(tmp_path / "clips", clips=40, seed=1, difficulty=SHORT, workers=2, progress=interrupt)
    assert not multiprocessing.active_children()
    assert not list(tmp_path.iterdir())


def test_a_killed_worker_is_an_error_of_the_run(tmp_path: Path) -> None:
    def kill_one(count: int, total: int) -> None:
        if count == 1:
            os.kill(multiprocessing.active_children()[0].pid or 0, signal.SIGKILL)

    with pytest.raises(RunError, match="worker process"):
        write_clips(tmp_path / "clips", clips=60, seed=1, difficulty=SHORT, workers=2, progress=kill_one)
    assert not multiprocessing.active_children()
    assert not list(tmp_path.iterdir())


def test_an_unwritable_place_is_an_error_of_the_run(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot be written"):
        write_clips(tmp_path / "file" / "clips", clips=1, seed=1)


@pytest.mark.parametrize("without", [("face",), ("sound",), ("speech",), ("subtitle",), ("face", "speech")])
def test_what_clips_are_written_without_is_not_in_them(tmp_path: Path, without: tuple[Part, ...]) -> None:
    write_clips(tmp_path / "clips", clips=2, seed=3, without=without, difficulty=SHORT, workers=1)
    for index, example in enumerate(read_mer2025(tmp_path / "clips")):
        clip = example.open()
        present = clip.present(face="found", voice="cues")
        assert (present.faces(3) is not None) == ("face" not in without)
        assert (clip.waveform() is None) == ("sound" in without)
        assert (present.waveform() is None) == bool({"sound", "speech"} & set(without))
        assert bool(example.subtitle) == ("subtitle" not in without)
        plan = plan_clip(3, "train", index, SHORT, without)
        assert (example.description, example.labels) == (plan.description, plan.labels)
        whole = plan_clip(3, "train", index, SHORT)
        assert (plan.combination, plan.seconds, plan.pattern) == (whole.combination, whole.seconds, whole.pattern)


@pytest.mark.parametrize(
    ("without", "what"),
    [
        (("voice",), "no such part"),
        ("face", "no such part"),
        (("face", "speech", "subtitle"), "nothing of the clips would be left"),
        (("subtitle", "sound", "face"), "nothing of the clips would be left"),
    ],
)
def test_parts_that_clips_cannot_lack_are_refused(tmp_path: Path, without: tuple[str, ...], what: str) -> None:
    with pytest.raises(ConfigError, match=what):
        write_clips(tmp_path / "clips", clips=1, seed=3, without=without)
    assert not list(tmp_path.iterdir())
