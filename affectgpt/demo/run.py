"""The demonstration: write synthetic clips, train the small model and three variants, compare them on held-out clips.

All numbers of its report come from this run.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from affectgpt.ablation.jobs import Job, OnProgress, SampleSet, plain_config, run_jobs
from affectgpt.ablation.jobs import write_texts as write_texts
from affectgpt.bundled import bundled_config
from affectgpt.core.description import Description
from affectgpt.core.load_config import read_config
from affectgpt.core.plan import Plan, make_plan
from affectgpt.core.saved.destination import check_destination
from affectgpt.data.mer2025 import read_mer2025
from affectgpt.data.samples import Sample
from affectgpt.registry.catalog import Catalog
from affectgpt.registry.discovery import discover
from affectgpt.registry.errors import CheckpointError, MediaError
from affectgpt.synthetic.clips import write_clips as write_synthetic_clips
from affectgpt.synthetic.identity import Split
from affectgpt.synthetic.score import TextScore, score_texts

VARIANTS: Mapping[str, tuple[str, ...]] = {
    "full model": (),
    "no pre-fusion": ("fusers.multi=null", "prompt.template='{audio_tokens}{face_tokens} {subtitle} {question}'"),
    "face only": (
        "encoders.audio=null",
        "fusers.audio_tokens=null",
        "fusers.multi=null",
        "prompt.template='{face_tokens} {subtitle} {question}'",
    ),
    "voice only": (
        "encoders.face=null",
        "fusers.face_tokens=null",
        "fusers.multi=null",
        "prompt.template='{audio_tokens} {subtitle} {question}'",
    ),
}
"""The rows of the table: what each changes in `configs/tiny.yaml`."""


@dataclass(frozen=True)
class VariantRow:
    """One trained variant on the held-out clips: its score, trained parameters, last loss and training seconds."""

    name: str
    seed: int
    score: TextScore
    parameters: int
    loss: float
    seconds: float


@dataclass(frozen=True)
class Demo:
    """The result of a demonstration: a table, and the full model's descriptions of a held-out clip and of other clips.

    `truth` is the true description of the held-out clip; `seconds` is the duration without the describing.
    """

    rows: list[VariantRow]
    described: list[Description]
    truth: str
    seconds: float


def run_demo(
    out: Path | None,
    *,
    train: int,
    test: int,
    seed: int,
    workers: int,
    clips: Sequence[Path],
    catalog: Catalog,
    progress: OnProgress,
    changes: Sequence[str] = (),
) -> Demo:
    """Write `train` and `test` synthetic clips, train all [VARIANTS][] with `seed`, and describe some clips.

    `changes` to the config hold for all variants. The clips and the full model are saved in `out`, unless it is None.
    Raises MediaError when one of `clips` does not exist, ConfigError for a wrong change, CheckpointError when `out`
    holds a model already or cannot be made.
    """
    plans = {name: variant_plan(name, catalog, seed, changes) for name in VARIANTS}
    for path in clips:
        if not path.is_file():
            raise MediaError("there is no such file", where=str(path), expected="a media file")
    if out is not None:
        check_destination(out)
        if (out / "model").exists():
            raise CheckpointError(
                "there is something at this place already", where=str(out / "model"), hint="choose a new folder"
            )
    started = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="affectgpt-demo-") as temporary:
        folder = out if out is not None else Path(temporary)
        write_clips(folder, train=train, test=test, seed=seed, workers=workers, progress=progress)
        samples = read_clips(folder, plans["full model"], catalog, workers, progress)
        jobs = [(name, seed) for name in VARIANTS]
        rows = list(
            run_variants(
                jobs,
                samples,
                workers=workers,
                overrides=changes,
                save_first=folder / "model",
                progress=progress,
            )
        )
        rows.sort(key=lambda row: list(VARIANTS).index(row.name))
        seconds = time.perf_counter() - started
        sample = samples["test"][0]
        held_out = folder / "test" / "video" / f"{sample.name}.mp4"
        described = _describe(folder / "model", held_out, sample.subtitle, clips, catalog)
    return Demo(rows, described, sample.description, seconds)


def _describe(model: Path, held_out: Path, subtitle: str, clips: Sequence[Path], catalog: Catalog) -> list[Description]:
    from affectgpt.core.saved.model import load
    from affectgpt.serving.describe import describe_each

    pipeline = load(model, catalog)
    return [*describe_each(pipeline, [held_out], subtitle=subtitle), *describe_each(pipeline, clips)]


def tiny_plan(catalog: Catalog, seed: int, changes: Sequence[str] = ()) -> Plan:
    """The plan of `configs/tiny.yaml` with these overrides."""
    config = read_config(bundled_config("tiny"), catalog, [f"seed={seed}", *changes])
    return make_plan(config)


def variant_plan(name: str, catalog: Catalog, seed: int, overrides: Sequence[str] = ()) -> Plan:
    """The plan of one row of the table."""
    return tiny_plan(catalog, seed, (*VARIANTS[name], *overrides))


def write_clips(folder: Path, *, train: int, test: int, seed: int, workers: int, progress: OnProgress) -> None:
    """Write training clips to `folder/train` and held-out clips to `folder/test`; no identity is in both."""
    splits: tuple[tuple[Split, int], ...] = (("train", train), ("test", test))
    for split, count in splits:
        write_synthetic_clips(
            folder / split,
            clips=count,
            seed=seed,
            split=split,
            workers=workers,
            progress=partial(progress, f"writing {split} clips"),
        )


def read_clips(
    folder: Path, plan: Plan, catalog: Catalog, workers: int, progress: OnProgress
) -> dict[str, list[Sample]]:
    """Prepare both splits for the full model; the variants use parts of the same samples."""
    from affectgpt.core.assembly import assemble
    from affectgpt.data.samples import read_samples

    pipeline = assemble(plan)
    return {
        split: read_samples(
            read_mer2025(folder / split),
            pipeline.prepare_or_raise,
            workers=workers,
            progress=partial(progress, f"reading {split} clips"),
        )[0]
        for split in ("train", "test")
    }


def run_variants(
    jobs: Sequence[tuple[str, int]],
    samples: Mapping[str, Sequence[Sample]],
    *,
    workers: int,
    variants: Mapping[str, Sequence[str]] = VARIANTS,
    overrides: Sequence[str] = (),
    save_first: Path | None = None,
    progress: OnProgress,
) -> Iterator[VariantRow]:
    """Train and score (variant, seed) jobs on `samples["train"]` and `samples["test"]`; rows come as they finish.

    `variants` maps names to overrides of `configs/tiny.yaml`; `overrides` hold for all variants. The model of the first
    job is saved in `save_first`. With 0 workers the jobs run in this process, else in processes of one thread.
    """
    catalog = discover()
    planned = [
        Job(
            name,
            seed,
            plain_config(tiny_plan(catalog, seed, (*variants[name], *overrides)).config),
            save_to=save_first if index == 0 else None,
        )
        for index, (name, seed) in enumerate(jobs)
    ]
    truths = [sample.description for sample in samples["test"]]
    sample_set = SampleSet(samples["train"], samples["test"])
    for result in run_jobs(planned, [sample_set], catalog, workers=workers, progress=progress):
        score = score_texts(result.texts, truths)
        yield VariantRow(result.name, result.seed, score, result.parameters, result.loss, result.seconds)
