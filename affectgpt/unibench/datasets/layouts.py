"""The nine test sets of MER-UniBench (Lian et al., ICML 2025, section 4) and what lies where in their folders.

No numpy.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

Task = Literal["fine-grained", "basic", "sentiment"]


@dataclass(frozen=True)
class TestSet:
    """One data set of the benchmark.

    - `key`, `title`: "cmumosi", "CMU-MOSI"; `folder`: the name of its folder as distributed.
    - `clips`: how many test clips the benchmark counts.
    - `label_file`: an archive whose `corpus` maps a clip's name to `{"emo": ..., "val": ...}`, or a table with the
      columns name and openset (`corpus` is ""). `session` is the 5th character of the names to keep, if any.
    - `words`: the labels of a basic set. Its labels are stored as a place in `words` when `indexed`, else as words.
    - `bounds`: least and greatest value of a sentiment set.
    - `videos`: the folder of NAME and one of `suffixes`, in the order of preference; `sounds`: of NAME.wav;
      `faces`: of NAME.npy.
    - `subtitle_file`, `subtitle_column`: a table with the columns name and this one.
    """

    key: str
    title: str
    folder: str
    task: Task
    clips: int
    label_file: str = "label.npz"
    corpus: str = "test_corpus"
    session: str = ""
    words: tuple[str, ...] = ()
    indexed: bool = False
    bounds: tuple[float, float] = (0.0, 0.0)
    videos: str = "video"
    suffixes: tuple[str, ...] = (".mp4",)
    sounds: str = "audio"
    faces: str = "openface_face"
    subtitle_file: str = "transcription-engchi-polish.csv"
    subtitle_column: str = "english"


_MER = ("worried", "happy", "neutral", "angry", "surprise", "sad")
_MELD = ("anger", "joy", "sadness", "neutral", "disgust", "fear", "surprise")

_ALL = (
    TestSet(
        "mer2023",
        "MER2023",
        "mer2023-dataset-process",
        "basic",
        411,
        words=_MER,
        label_file="label-6way.npz",
        corpus="test1_corpus",
        suffixes=(".mp4", ".avi"),
    ),
    TestSet(
        "mer2024",
        "MER2024",
        "mer2024-dataset-process",
        "basic",
        1169,
        words=_MER,
        label_file="label-6way.npz",
        corpus="test1_corpus",
        suffixes=(".mp4", ".avi"),
        subtitle_file="transcription_merge.csv",
        subtitle_column="chinese",
    ),
    TestSet(
        "meld",
        "MELD",
        "meld-process",
        "basic",
        2610,
        words=_MELD,
        indexed=True,
        videos="subvideo",
        sounds="subaudio",
    ),
    TestSet(
        "iemocap",
        "IEMOCAP",
        "iemocap-process",
        "basic",
        1241,
        words=("happy", "sad", "neutral", "anger"),
        indexed=True,
        label_file="label_4way.npz",
        corpus="whole_corpus",
        session="5",
        videos="subvideo-tgt",
        suffixes=(".avi",),
        sounds="subaudio",
    ),
    TestSet(
        "cmumosi",
        "CMU-MOSI",
        "cmumosi-process",
        "sentiment",
        686,
        bounds=(-3.0, 3.0),
        videos="subvideo",
        sounds="subaudio",
    ),
    TestSet(
        "cmumosei",
        "CMU-MOSEI",
        "cmumosei-process",
        "sentiment",
        4659,
        bounds=(-3.0, 3.0),
        videos="subvideo_new",
        sounds="subaudio",
    ),
    TestSet("sims", "CH-SIMS", "sims-process", "sentiment", 457, bounds=(-1.0, 1.0)),
    TestSet("simsv2", "CH-SIMS v2", "simsv2-process", "sentiment", 1034, bounds=(-1.0, 1.0), videos="video_new"),
    TestSet(
        "ovmerdplus",
        "OV-MERD+",
        "ovmerdplus-process",
        "fine-grained",
        532,
        label_file="ovlabel.csv",
        corpus="",
        subtitle_file="subtitle_eng.csv",
        subtitle_column="sentence",
    ),
)

TEST_SETS: Mapping[str, TestSet] = MappingProxyType({each.key: each for each in _ALL})
"""By key, in the order of the paper's table."""
