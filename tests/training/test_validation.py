"""Held-out clips, early stop, the log and the trackers, gradient checkpointing."""

from __future__ import annotations

import builtins
import json
import sys
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from affectgpt.core.batch import collate
from affectgpt.core.pipeline import Pipeline
from affectgpt.data.samples import Sample
from affectgpt.registry.errors import ConfigError, DataError, RunError
from affectgpt.training.loop import train
from affectgpt.training.run_folder import RunFolder
from affectgpt.training.schedule import learning_rate
from affectgpt.training.validation import Validation

Build = Callable[..., Pipeline]


def rows_of(run: RunFolder) -> list[dict[str, Any]]:
    return [json.loads(line) for line in run.log.read_text().splitlines()]


def loss_of(pipeline: Pipeline, samples: list[Sample]) -> float:
    batch = collate([sample.media for sample in samples], [sample.subtitle for sample in samples])
    with torch.no_grad():
        return float(pipeline(batch, [sample.description for sample in samples]))


def test_the_held_out_loss_is_that_of_the_weights_that_come_back(
    build: Build, samples: list[Sample], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measure = Validation.loss

    def rising_loss(self: Validation, accelerator: Any, model: Any, step: int, lr: float) -> float:
        # Whether a loss rises by itself depends on the processor.
        return measure(self, accelerator, model, step, lr) + 100 * (step > 3)

    monkeypatch.setattr(Validation, "loss", rising_loss)
    run = RunFolder(tmp_path / "run")
    settings = (
        "training.steps=8",
        "training.validate_every=3",
        "training.lr=0.02",
        "llm.frozen=true",
        "llm.lora={r: 2, dropout: 0.5}",
    )
    pipeline = build(*settings)
    history = train(pipeline, samples[:3], run=run, validation=samples[3:])
    measured = {row["step"]: row["validation_loss"] for row in rows_of(run) if "validation_loss" in row}
    assert list(measured) == [3, 6, 8] and history.best is not None
    assert history.best.step == 3
    expected = (2 * loss_of(pipeline, samples[3:5]) + loss_of(pipeline, samples[5:])) / 3
    assert measured[history.best.step] == pytest.approx(expected, rel=1e-5)
    # Measuring changes nothing: neither the losses, nor what is drawn.
    assert history.losses == train(build(*settings), samples[:3]).losses
    # Without a run folder the best weights are kept too.
    second = build(*settings)
    assert train(second, samples[:3], validation=samples[3:]).best == history.best
    assert all(torch.equal(value, second.state_dict()[key]) for key, value in pipeline.state_dict().items())


def test_a_share_of_the_clips_is_never_trained_on(build: Build, samples: list[Sample]) -> None:
    indices: list[int] = []

    class Watched(list[Sample]):
        examples = samples

        def __getitem__(self, index: Any) -> Any:
            indices.append(index)
            return super().__getitem__(index)

    history = train(
        build("training.steps=9", "training.validation_share=0.3", "training.validate_every=100"), Watched(samples)
    )
    trained, held_out = set(indices[:-2]), set(indices[-2:])
    assert history.best is not None and len(held_out) == 2 and len(trained) == 4 and not trained & held_out


def test_patience_stops_after_so_many_measurements(build: Build, samples: list[Sample], tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    # Held-out clips whose answers are told otherwise in training: the better it learns, the worse they become.
    settings = ("training.steps=200", "training.lr=0.02", "training.validate_every=2", "training.patience=3")
    history = train(build(*settings), samples[:2], run=run, validation=samples[2:])
    losses = [row["validation_loss"] for row in rows_of(run) if "validation_loss" in row]
    lowest = [row["lowest"] for row in rows_of(run) if "validation_loss" in row]
    assert len(history.losses) == 2 * len(losses) < 200 and history.best is not None
    assert lowest[-4:] == [True, False, False, False] and history.best.loss == min(losses) == losses[-4]


def test_what_validation_needs_is_told(build: Build, samples: list[Sample]) -> None:
    with pytest.raises(ConfigError, match="patience needs held-out clips"):
        train(build("training.patience=1"), samples)
    with pytest.raises(ConfigError, match="a share of the training clips"):
        train(build("training.validation_share=0.5"), samples, validation=samples)
    with pytest.raises(DataError, match="nothing to validate on"):
        train(build(), samples, validation=[])
    with pytest.raises(DataError, match="have no labels"):
        train(build("training.target=labels"), samples)


def test_a_held_out_loss_that_is_no_number_stops_the_run(build: Build, samples: list[Sample]) -> None:
    pipeline = build("training.validate_every=2", "training.warmup_steps=1")
    media = {
        name: value and type(value)(value.values * float("nan"), value.times) if name == "audio" else value
        for name, value in samples[5].media.items()
    }
    held_out = [*samples[2:4], samples[4], Sample("broken", media, "", "happy"), samples[5]]
    with pytest.raises(RunError, match="the held-out loss is nan at step 2") as caught:
        train(pipeline, samples[:2], validation=held_out)
    # The two that were measured together.
    rate = learning_rate(1, pipeline.plan.config.training)
    assert f"learning rate {rate:g}; clips clip4, broken\n" in str(caught.value), str(caught.value)


def test_processes_share_the_held_out_batches(build: Build, samples: list[Sample]) -> None:
    pipeline = build("training.batch_size=2")
    held_out = Validation(pipeline, samples, [0, 1, 2, 3, 4], 0, lambda index: samples[index].name)
    sent: list[torch.Tensor] = []

    def loss(process: int, processes: int) -> float:
        def gather(loss_sum: torch.Tensor) -> torch.Tensor:
            sent.append(loss_sum)
            return loss_sum if processes == 1 else torch.cat([loss_sum, sent[0]])

        accelerator: Any = SimpleNamespace(
            num_processes=processes, process_index=process, device="cpu", autocast=nullcontext, gather=gather
        )
        return held_out.loss(accelerator, pipeline, 1, 0.1)

    # Three batches, the last of one clip: process 1 has one of them, and a stand-in.
    complete = loss(0, 1)
    assert len(set(sent.pop().tolist())) == 3
    loss(1, 2)
    assert loss(0, 2) == complete


def test_the_log_holds_a_row_per_step(build: Build, samples: list[Sample], tmp_path: Path, steps: list[Any]) -> None:
    run = RunFolder(tmp_path / "run")
    pipeline = build(
        "training.steps=4", "training.warmup_steps=2", "training.max_grad_norm=null", "training.gradient_accumulation=2"
    )
    history = train(pipeline, samples, run=run)
    rows = rows_of(run)
    assert [row["step"] for row in rows] == [1, 2, 3, 4] and [row["loss"] for row in rows] == history.losses
    assert [row["lr"] for row in rows] == [learning_rate(step, pipeline.plan.config.training) for step in range(4)]
    assert [row["grad_norm"] for row in rows] == pytest.approx([step.norm() for step in steps], rel=1e-4)
    assert all(row["clips"] == 4 and row["seconds"] > 0 for row in rows)


def test_tensorboard_is_told_what_the_log_is(build: Build, samples: list[Sample], tmp_path: Path) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    run = RunFolder(tmp_path / "run")
    settings = (
        "training.steps=4",
        "training.trackers=[tensorboard]",
        "training.checkpoint_every=2",
        "training.validation_share=0.3",
        "training.validate_every=2",
    )

    def stop(step: int, _: float) -> None:
        if step == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(build(*settings), samples, run=run, on_step=stop)
    history = train(build(*settings), samples, run=run, resume=True)
    events = accumulator.EventAccumulator(str(run.trackers / "affectgpt")).Reload()
    assert {"loss", "lr", "grad_norm", "validation_loss"} <= set(events.Tags()["scalars"])
    # Steps that a killed run told and that were taken again are there once.
    assert [event.step for event in events.Scalars("loss")] == [1, 2, 3, 4]
    assert [event.value for event in events.Scalars("loss")] == pytest.approx(history.losses)


def test_a_tracker_that_is_not_installed_says_what_to_install(
    build: Build, samples: list[Sample], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "mlflow", None)
    run = RunFolder(tmp_path / "run")
    with pytest.raises(ConfigError, match=r"pip install mlflow, or pip install 'affectgpt\[trackers\]'"):
        train(build("training.trackers=[mlflow]"), samples, run=run)
    assert not run.path.exists()
    with pytest.raises(ConfigError, match="need a run folder"):
        train(build("training.trackers=[tensorboard]"), samples)


def test_checkpointed_gradients_are_the_same_and_computed_again(
    build: Build, samples: list[Sample], steps: list[Any]
) -> None:
    for value in ("false", "true"):
        pipeline = build(
            "training.steps=2",
            f"training.gradient_checkpointing={value}",
            "llm.frozen=true",
            "llm.lora={r: 2, dropout: 0.3}",
            "training.max_grad_norm=null",
        )
        passes: list[int] = []
        pipeline.llm.model.model.layers[0].self_attn.register_forward_pre_hook(lambda *_, calls=passes: calls.append(1))
        train(pipeline, samples)
        # Once forward; once more in the backward pass.
        assert len(passes) == (4 if value == "true" else 2)
    plain, checkpointed = steps[:2], steps[2:]
    for one, second in zip(plain, checkpointed, strict=True):
        assert one.gradients.keys() == second.gradients.keys() and one.norm() > 0
        for index, gradient in one.gradients.items():
            torch.testing.assert_close(second.gradients[index], gradient, rtol=1e-5, atol=1e-7)


def test_an_llm_without_it_is_told(build: Build, samples: list[Sample], monkeypatch: pytest.MonkeyPatch) -> None:
    pipeline = build("training.gradient_checkpointing=true")
    result = builtins.getattr

    def without(owner: Any, name: str, *default: Any) -> Any:
        return default[0] if name == "checkpoint_gradients" else result(owner, name, *default)

    monkeypatch.setattr("affectgpt.training.loop.getattr", without, raising=False)
    with pytest.raises(ConfigError, match="cannot checkpoint gradients"):
        train(pipeline, samples)


def test_sharding_is_refused_where_accelerate_does_not_shard(
    build: Build, samples: list[Sample], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    monkeypatch.setenv("FSDP_AUTO_WRAP_POLICY", "TRANSFORMER_BASED_WRAP")
    if torch.cuda.is_available():
        pytest.skip("needs a machine without a GPU")
    with pytest.raises(ConfigError, match="on GPUs only"):
        train(build(), samples)


def test_processes_that_do_not_find_each_other_are_refused(
    build: Build, samples: list[Sample], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ConfigError, match="train independently"):
        train(build(), samples)
