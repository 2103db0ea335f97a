"""What the bundled model says of held-out synthetic clips that lack a face, sound, speech or subtitle.

    python benchmarks/absent.py --clips 200 --out benchmarks/results/absent.json

Three counts for each kind of clip: texts that speak of what the clip lacks, texts that are right about what it has
(the face's and the voice's cue, and the emotion, or that it cannot be told), and clips with an error instead of a text.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import tempfile
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

import affectgpt as ag
from affectgpt.synthetic.clip import ClipPlan, plan_clip
from affectgpt.synthetic.difficulty import Difficulty
from affectgpt.synthetic.script import Part, emotions_in

SEED = 20_261_130
"""The bundled model is trained on the clips of seed 0."""
KINDS: tuple[tuple[Part, ...], ...] = (
    (),
    ("face",),
    ("sound",),
    ("speech",),
    ("subtitle",),
    ("sound", "subtitle"),
    ("face", "subtitle"),
    ("face", "sound"),
)
OF_A_FACE = re.compile(r"\b(face|smil|scowl|star|look|eye|mouth|lip|brow|cheek)", re.IGNORECASE)
OF_A_VOICE = re.compile(r"\b(voice|sound|bright|harsh|pressed|trembl|flat|slow|lively|speak)", re.IGNORECASE)
OF_WORDS = re.compile(r"\b(said|words?|subtitle)\b", re.IGNORECASE)
POSSIBLE = re.compile(r"\b(may|could)\b")
CUES = ("smile", "scowl", "wide eyes", "drooping lips", "bright", "harsh", "trembling", "flat")


@dataclass(frozen=True)
class Count:
    """What was said of `clips` clips `without` some parts."""

    without: tuple[Part, ...]
    clips: int
    right: int
    of_absent: int
    errors: int
    texts_of_absent: tuple[str, ...]


def count_texts(model: ag.Pipeline, folder: Path, clips: int, without: tuple[Part, ...], workers: int = 0) -> Count:
    """Describe the first `clips` clips of the test split that lack `without`, written to `folder`."""
    ag.synth(folder, clips=clips, seed=SEED, split="test", without=without, workers=workers)
    right = errors = 0
    of_absent = []
    for index in range(clips):
        plan = plan_clip(SEED, "test", index, Difficulty(), without)
        row = ag.describe(model, folder / "video" / f"{plan.name}.mp4", subtitle=plan.subtitle[0])
        if row.error:
            errors += 1
        elif speaks_of_absent(row.text, plan, without):
            of_absent.append(row.text)
        else:
            right += is_right(row.text, plan)
    return Count(without, clips, right, len(of_absent), errors, tuple(of_absent))


def speaks_of_absent(text: str, plan: ClipPlan, without: tuple[Part, ...]) -> bool:
    """Whether `text` names a face, a voice or words that the clip lacks."""
    absent = [] if plan.has_face else [OF_A_FACE]
    absent += [] if plan.has_voice else [OF_A_VOICE]
    absent += [OF_WORDS] if "subtitle" in without else []
    return any(pattern.search(text) for pattern in absent)


def is_right(text: str, plan: ClipPlan) -> bool:
    """Whether `text` names the cues of the clip, and its emotion: only possible ones where a part is absent."""
    if plan.has_face and plan.has_voice:
        return emotions_in(text)[:1] == list(plan.labels[:1])
    is_open = bool(POSSIBLE.search(text)) or not (plan.has_face or plan.has_voice)
    return emotions_in(text) == ["unclear"] and is_open and _cues_in(text) == _cues_in(plan.description)


def _cues_in(text: str) -> set[str]:
    return {cue for cue in CUES if cue in text}


def main() -> None:
    """Print a line for each kind, and save all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=200)
    parser.add_argument("--model", default="tiny", help="a saved model trained on synthetic clips")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    model = ag.load(arguments.model)
    counts = []
    print(f"{'without':18} {'clips':>5} {'right':>6} {'of what is absent':>18} {'errors':>7}")
    for without in KINDS:
        with tempfile.TemporaryDirectory() as folder:
            count = count_texts(model, Path(folder), arguments.clips, without, arguments.workers)
        counts.append(count)
        name = ", ".join(without) or "nothing"
        print(f"{name:18} {count.clips:5} {count.right:6} {count.of_absent:18} {count.errors:7}", flush=True)
    if arguments.out:
        machine = {
            "python": platform.python_version(),
            "torch": version("torch"),
            "processors": os.cpu_count(),
            "machine": platform.machine(),
        }
        result = {"machine": machine, "seed": SEED, "kinds": [asdict(count) for count in counts]}
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
