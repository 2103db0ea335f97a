"""The demonstration's table: every row is another valid pipeline, and the rows are computed."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from affectgpt.api import run_demo
from affectgpt.core.assembly import assemble
from affectgpt.core.saved.model import load
from affectgpt.data.samples import Sample
from affectgpt.demo.run import VARIANTS, read_clips, run_variants, variant_plan, write_clips, write_texts
from affectgpt.registry.catalog import Catalog
from affectgpt.registry.errors import ConfigError
from affectgpt.synthetic.script import COMBINATIONS, describe_combination

QUICK = (
    "training.steps=2",
    "training.warmup_steps=0",
    "training.batch_size=4",
    "generation.max_new_tokens=5",
    "encoders.face.size=32",
    "encoders.face.positions=1",
    "encoders.face.frames=2",
)
NODES = {
    "full model": {"face", "audio", "face_tokens", "audio_tokens", "multi"},
    "face only": {"face", "face_tokens"},
    "voice only": {"audio", "audio_tokens"},
    "no pre-fusion": {"face", "audio", "face_tokens", "audio_tokens"},
}


@dataclass
class NoiseClip:
    """As much of a clip as the small model's encoders use."""

    seed: int
    duration: float = 0.8

    def waveform(self) -> np.ndarray:
        return np.random.default_rng(self.seed).normal(size=round(16000 * self.duration)).astype(np.float32) * 0.1

    def faces(self, count: int) -> Any:
        rng = np.random.default_rng(self.seed)
        images = [rng.integers(0, 255, (32, 32, 3), dtype=np.uint8) for _ in range(count)]
        return SimpleNamespace(images=images, times=np.arange(count, dtype=np.float32))

    def present(self, **rules: object) -> NoiseClip:
        return self


@pytest.fixture
def samples(catalog: Catalog) -> dict[str, list[Sample]]:
    torch.set_num_threads(1)
    pipeline = assemble(variant_plan("full model", catalog, 0, QUICK))
    built_model = [
        Sample(f"clip{index}", pipeline.prepare(NoiseClip(index)), "well", describe_combination(COMBINATIONS[index], 0))
        for index in range(8)
    ]
    return {"train": built_model[:5], "test": built_model[5:]}


def test_every_variant_is_listed_here() -> None:
    assert set(VARIANTS) == set(NODES)


@pytest.mark.parametrize("name", sorted(NODES))
def test_a_variant_is_a_plan_of_its_own(name: str, catalog: Catalog) -> None:
    plan, full = variant_plan(name, catalog, 7), variant_plan("full model", catalog, 7)
    assert {*plan.encoders, *plan.fusers} == NODES[name] and plan.config.seed == 7
    assert set(plan.projected) == NODES[name] - set(plan.encoders)
    assert plan.parts[0] and plan.budget.total <= plan.budget.context
    # What the nodes are is the same in every row: only which are there differs.
    for node, planned in {**plan.encoders, **plan.fusers, "llm": plan.llm}.items():
        assert planned == {**full.encoders, **full.fusers, "llm": full.llm}[node]
    assert plan.config.training == full.config.training and plan.config.generation == full.config.generation
    assert any(part.kind == "subtitle" for part in plan.parts)


def test_overrides_come_after_the_variants_own(catalog: Catalog) -> None:
    plan = variant_plan("face only", catalog, 1, ("training.steps=2", "training.warmup_steps=0", "seed=5"))
    assert plan.config.training.steps == 2 and plan.config.seed == 5 and set(plan.encoders) == {"face"}


@pytest.mark.parametrize("workers", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_the_table_is_computed_and_the_first_model_saved(
    samples: dict[str, list[Sample]], catalog: Catalog, tmp_path: Path, workers: int
) -> None:
    jobs = [("face only", 0), ("full model", 1)]
    messages: list[tuple[str, int, int]] = []
    rows = list(
        run_variants(
            jobs,
            samples,
            workers=workers,
            overrides=QUICK,
            save_first=tmp_path / "model",
            progress=lambda *message: messages.append(message),
        )
    )
    assert [(row.name, row.seed) for row in rows] == jobs
    for row in rows:
        assert row.score.clips == 3 and 0 <= row.score.exact <= 1 and 0 <= row.score.f1 <= 1
        assert math.isfinite(row.loss) and 0 < row.loss < 20 and row.seconds > 0
        pipeline = assemble(variant_plan(row.name, catalog, row.seed, QUICK))
        assert row.parameters == sum(each.numel() for each in pipeline.parameters() if each.requires_grad)
    assert rows[0].parameters < rows[1].parameters
    assert ("training: face only", 1, 2) in messages and all(label.startswith("training: ") for label, _, _ in messages)

    saved = load(tmp_path / "model", catalog)
    assert set(saved.encoders) == {"face"}
    texts = write_texts(saved, samples["test"], batch_size=2)
    assert len(texts) == 3 and texts == write_texts(saved, samples["test"])


@pytest.mark.parametrize("workers", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_a_job_that_fails_is_told(samples: dict[str, list[Sample]], workers: int) -> None:
    from affectgpt.registry.errors import RunError

    with pytest.raises(RunError, match="the loss is"):
        list(
            run_variants(
                [("face only", 0)],
                samples,
                workers=workers,
                progress=lambda *_: None,
                overrides=(*QUICK, "training.lr=1e30", "training.steps=4", "training.max_grad_norm=null"),
            )
        )


@pytest.mark.slow
def test_clips_are_written_and_read(catalog: Catalog, tmp_path: Path) -> None:
    messages: list[tuple[str, int, int]] = []
    write_clips(tmp_path, train=3, test=2, seed=1, workers=1, progress=lambda *message: messages.append(message))
    plan = variant_plan("full model", catalog, 0, QUICK)
    result = read_clips(tmp_path, plan, catalog, 0, lambda *message: messages.append(message))
    assert {split: len(value) for split, value in result.items()} == {"train": 3, "test": 2}
    assert not {value.name for value in result["train"]} & {value.name for value in result["test"]}
    assert {label for label, _, _ in messages} == {
        "writing train clips",
        "writing test clips",
        "reading train clips",
        "reading test clips",
    }
    assert all(value.media["face"] is not None and value.media["audio"] is not None for value in result["train"])


def test_a_wrong_change_is_an_error_before_clips_are_written(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="stepps"):
        run_demo(tmp_path / "out", "training.stepps=4", train=16, test=16, progress=False)
    assert list(tmp_path.iterdir()) == []
