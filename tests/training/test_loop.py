"""The training loop on a few clips of noise."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from affectgpt.core.pipeline import Pipeline
from affectgpt.data.samples import Sample
from affectgpt.registry.errors import AffectGPTError, DataError, RunError
from affectgpt.training import loop
from affectgpt.training.accelerator import make_accelerator
from affectgpt.training.loop import train
from affectgpt.training.run_folder import RunFolder

Build = Callable[..., Pipeline]
Steps = list[Any]


class Watched(list[Sample]):
    """Samples that remember in which order they were asked for."""

    def __init__(self, samples: list[Sample]) -> None:
        super().__init__(samples)
        # Where names and texts are read, which is no asking.
        self.examples = samples
        self.asked: list[int] = []

    def __getitem__(self, index: Any) -> Any:
        self.asked.append(index)
        return super().__getitem__(index)


def test_training_lowers_the_loss_and_the_answers_are_learned(build: Build, samples: list[Sample]) -> None:
    pipeline = build("training.steps=60", "training.batch_size=3", "training.lr=0.01", "training.warmup_steps=3")
    message: list[tuple[int, float]] = []
    history = train(pipeline, samples[:3], on_step=lambda step, loss: message.append((step, loss)))
    assert history.losses[0] > 4 and sum(history.losses[-3:]) / 3 < 0.2 * history.losses[0]
    assert message == list(enumerate(history.losses, 1)) and len(message) == 60 and history.seconds > 0
    assert not pipeline.training


def test_the_first_loss_is_the_untrained_pipelines(build: Build, samples: list[Sample]) -> None:
    from affectgpt.core.batch import collate

    watched = Watched(samples)
    history = train(build("training.steps=1"), watched)
    chosen = [samples[index] for index in watched.asked]
    batch = collate([item.media for item in chosen], [item.subtitle for item in chosen])
    with torch.no_grad():
        assert history.losses == pytest.approx([float(build()(batch, [item.description for item in chosen]))], rel=1e-5)


def test_a_seed_gives_its_losses_and_its_weights(build: Build, samples: list[Sample]) -> None:
    runs = [build(*extra) for extra in ((), (), ("seed=4",))]
    losses = [train(item, samples).losses for item in runs]
    assert losses[0] == losses[1] != losses[2]
    states = [item.state_dict() for item in runs]
    assert all(torch.equal(value, states[1][key]) for key, value in states[0].items())


def test_each_epoch_sees_every_clip_once_in_an_order_of_its_own(build: Build, samples: list[Sample]) -> None:
    orders = []
    for seed in (3, 3, 5):
        watched = Watched(samples[:5])
        train(build(f"seed={seed}", "training.steps=10"), watched)
        orders.append([watched.asked[start : start + 5] for start in range(0, 20, 5)])
    assert all(sorted(epoch) == list(range(5)) for order in orders for epoch in order)
    assert orders[0] == orders[1] != orders[2] and len({tuple(epoch) for epoch in orders[0]}) > 1


LENGTHS = [
    pytest.param([4, 57, 4, 27], id="4-57-4-27"),
    *[pytest.param(random.Random(seed).choices(range(1, 90), k=4), id=f"seed {seed}") for seed in range(4)],
]


def with_answers_of(samples: list[Sample], tokens: list[int]) -> list[Sample]:
    """Of a tokenizer of bytes, the answers have so many tokens, their end marker among them."""
    letters = random.Random(0)
    texts = ["".join(letters.choices("abcdefgh ", k=count - 1)) or "" for count in tokens]
    return [replace(sample, description=text) for sample, text in zip(samples, texts, strict=False)]


@pytest.mark.parametrize("tokens", LENGTHS)
def test_accumulated_steps_equal_one_large_step(
    build: Build, samples: list[Sample], steps: Steps, tokens: list[int]
) -> None:
    clips = with_answers_of(samples, tokens)
    losses, order = [], []
    for batch, parts in ((4, 1), (2, 2), (1, 4)):
        watched = Watched(clips)
        pipeline = build(
            "training.steps=2",
            f"training.batch_size={batch}",
            f"training.gradient_accumulation={parts}",
            "training.max_grad_norm=null",
        )
        assert pipeline.count_answer_tokens([clip.description for clip in clips]) == sum(tokens)
        losses.append(train(pipeline, watched).losses)
        order.append(watched.asked)
    assert order[0] == order[1] == order[2] and len(order[0]) == 8
    assert losses[1] == pytest.approx(losses[0], rel=1e-5) and losses[2] == pytest.approx(losses[0], rel=1e-5)
    for accumulated in (steps[2], steps[4]):
        assert steps[0].gradients.keys() == accumulated.gradients.keys()
        difference = [accumulated.gradients[index] - gradient for index, gradient in steps[0].gradients.items()]
        assert torch.stack([tensor.norm() for tensor in difference]).norm() < 1e-5 * steps[0].norm()


def test_the_mean_of_the_batches_means_can_be_asked_for(build: Build, samples: list[Sample]) -> None:
    clips = with_answers_of(samples, [4, 57, 4, 27])
    start = ("training.steps=1", "training.batch_size=1")
    alone = [train(build(*start), [clip]).losses[0] for clip in clips]
    settings = (*start, "training.gradient_accumulation=4", "training.step_loss=micro-batches")
    means = train(build(*settings), clips).losses[0]
    assert means == pytest.approx(sum(alone) / 4, rel=1e-5)
    assert train(build(*settings[:-1]), clips).losses[0] != pytest.approx(means, rel=1e-3)


def test_trained_batch_normalisation_under_accumulation_is_noted(build: Build, samples: list[Sample]) -> None:
    notes: list[str] = []
    settings = ("training.steps=1", "training.gradient_accumulation=3", "encoders.face.frozen=false")
    train(build(*settings), samples, on_note=notes.append)
    assert len(notes) == 1 and "over 2 clips, not over the 6 of a step" in notes[0]
    for fewer in (settings[:2], settings[::2]):
        train(build(*fewer), samples, on_note=notes.append)
    assert len(notes) == 1


def test_each_step_has_gradients_of_its_own_batch_only(build: Build, samples: list[Sample], steps: Steps) -> None:
    train(build("training.steps=2", "training.lr=1.0e-12", "training.max_grad_norm=null"), samples[:2])
    first, second = steps
    for index, gradient in first.gradients.items():
        torch.testing.assert_close(second.gradients[index], gradient, rtol=1e-3, atol=1e-5)


def test_a_frozen_encoder_keeps_every_bit_of_its_weights_and_statistics(build: Build, samples: list[Sample]) -> None:
    pipeline = build()
    before = {key: value.clone() for key, value in pipeline.encoders["face"].state_dict().items()}
    remaining = {key: value.clone() for key, value in pipeline.state_dict().items() if not key.startswith("encoders")}
    assert any("running_var" in key for key in before)
    train(pipeline, samples)
    after = pipeline.encoders["face"].state_dict()
    assert all(torch.equal(value, after[key]) for key, value in before.items())
    changed = {key for key, value in remaining.items() if not torch.equal(value, pipeline.state_dict()[key])}
    assert {"fusers.multi.score.weight", "projectors.multi.weight", "llm.model.lm_head.weight"} <= changed


def test_an_encoder_that_is_not_frozen_changes_both(build: Build, samples: list[Sample]) -> None:
    pipeline = build("encoders.face.frozen=false")
    before = {key: value.clone() for key, value in pipeline.encoders["face"].state_dict().items()}
    train(pipeline, samples)
    changed = {
        key.rsplit(".", 1)[-1]
        for key, value in pipeline.encoders["face"].state_dict().items()
        if not torch.equal(value, before[key])
    }
    assert {"weight", "running_mean", "running_var"} <= changed


def test_a_frozen_model_with_an_adapter_keeps_its_own_weights(build: Build, samples: list[Sample]) -> None:
    pipeline = build("llm.frozen=true", "llm.lora={r: 2}")
    before = {key: value.detach().clone() for key, value in pipeline.llm.named_parameters()}
    train(pipeline, samples)
    for key, value in pipeline.llm.named_parameters():
        assert torch.equal(value, before[key]) or "lora_" in key, key
    assert any(not torch.equal(value, before[key]) for key, value in pipeline.llm.named_parameters())


def test_a_loss_that_is_no_number_stops_the_run_before_the_weights_change(build: Build, samples: list[Sample]) -> None:
    pipeline = build()
    with torch.no_grad():
        pipeline.projectors["multi"].weight[0, 0] = math.nan
    before = {key: value.clone() for key, value in pipeline.state_dict().items()}
    message: list[int] = []
    with pytest.raises(RunError, match="nan at step 1"):
        train(pipeline, samples, on_step=lambda step, _: message.append(step))
    assert not message
    for key, value in pipeline.state_dict().items():
        torch.testing.assert_close(value, before[key], rtol=0, atol=0, equal_nan=True)


def test_a_gradient_that_is_no_number_stops_the_run_before_the_weights_change(
    build: Build, samples: list[Sample]
) -> None:
    pipeline = build("training.max_grad_norm=null")
    before = {key: value.clone() for key, value in pipeline.state_dict().items()}
    pipeline.projectors["multi"].weight.register_hook(lambda gradient: gradient * math.inf)
    with pytest.raises(RunError, match=r"the gradient is (nan|inf) at step 1[\s\S]*learning rate 0\.001; clips clip\d"):
        train(pipeline, samples)
    assert all(torch.equal(value, before[key]) for key, value in pipeline.state_dict().items())


def test_a_rate_that_is_too_high_is_told_with_its_step(build: Build, samples: list[Sample]) -> None:
    pipeline = build("training.lr=1e30", "training.max_grad_norm=null", "training.steps=5")
    with pytest.raises(RunError, match=r"(nan|inf) at step [2-5]") as caught:
        train(pipeline, samples)
    assert "training.lr" in str(caught.value)


def test_the_gradients_norm_is_bounded_when_asked(build: Build, samples: list[Sample], steps: Steps) -> None:
    for value in ("null", "1.0e+9", "0.01"):
        train(build("training.steps=1", f"training.max_grad_norm={value}"), samples)
    free, loose, tight = steps
    assert free.norm() == loose.norm() > 0.02 and tight.norm() == pytest.approx(0.01, rel=1e-3)
    for index, gradient in free.gradients.items():
        torch.testing.assert_close(tight.gradients[index], gradient * 0.01 / free.norm(), rtol=1e-3, atol=1e-9)


def test_no_clips_is_an_error(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    orders = []
    shuffle = torch.randperm

    def counted(*arguments: Any, **options: Any) -> torch.Tensor:
        orders.append(1)
        assert len(orders) < 5, "asked for the order of no clips again and again"
        return shuffle(*arguments, **options)

    pipeline = build()
    monkeypatch.setattr(torch, "randperm", counted)
    with pytest.raises(AffectGPTError):
        train(pipeline, [])


def test_an_answer_that_does_not_fit_is_told_before_a_step(build: Build, samples: list[Sample]) -> None:
    long = Sample("long", samples[0].media, "", "x" * 10_000)
    with pytest.raises(DataError, match="1 answers do not fit"):
        train(build("training.steps=1"), [*samples, long], on_step=lambda *_: pytest.fail("a step was taken"))


def test_two_runs_of_one_process_may_differ_in_precision(build: Build, samples: list[Sample]) -> None:
    losses = [train(build(f"training.precision={name}"), samples).losses for name in ("'no'", "bf16", "'no'")]
    assert losses[0] == losses[2] != losses[1] and losses[1] == pytest.approx(losses[0], rel=0.05)


def test_the_precision_of_training_does_not_stay_with_the_pipeline(build: Build, samples: list[Sample]) -> None:
    from affectgpt.core.batch import collate

    pipeline = build("training.precision=bf16")
    train(pipeline, samples)
    batch = collate([sample.media for sample in samples], [sample.subtitle for sample in samples]).to(pipeline.device)
    answers = [sample.description for sample in samples]
    with torch.no_grad():
        assert torch.equal(pipeline(batch, answers), Pipeline.forward(pipeline, batch, answers))


@pytest.fixture
def scaled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Losses are scaled as for fp16, on the CPU."""

    def make(*arguments: Any) -> Any:
        accelerator = make_accelerator(*arguments)
        accelerator.scaler = torch.amp.GradScaler(accelerator.device.type)
        return accelerator

    monkeypatch.setattr(loop, "make_accelerator", make)


@pytest.mark.usefixtures("scaled")
def test_gradients_that_are_never_a_number_stop_a_run_that_scales_its_loss(build: Build, samples: list[Sample]) -> None:
    pipeline = build("training.steps=40")
    before = {key: value.clone() for key, value in pipeline.state_dict().items()}
    pipeline.projectors["multi"].weight.register_hook(lambda gradient: gradient * math.nan)
    # From 2 ** 16 down to 1.
    with pytest.raises(RunError, match=r"the gradient is nan at step 17, [\s\S]*scaled by 1[\s\S]*clips clip\d"):
        train(pipeline, samples)
    assert all(torch.equal(value, before[key]) for key, value in pipeline.state_dict().items())


@pytest.mark.usefixtures("scaled")
def test_gradients_that_overflow_at_first_do_not(build: Build, samples: list[Sample], tmp_path: Path) -> None:
    pipeline, run = build("training.steps=20"), RunFolder(tmp_path / "run")
    passes: list[int] = []

    def overflow(gradient: torch.Tensor) -> torch.Tensor:
        passes.append(1)
        return gradient * math.inf if len(passes) <= 16 else gradient

    pipeline.projectors["multi"].weight.register_hook(overflow)
    history = train(pipeline, samples, run=run)
    skipped = [json.loads(line).get("skipped", False) for line in run.log.read_text().splitlines()]
    assert skipped == [True] * 16 + [False] * 4 and history.losses[-1] < history.losses[0]


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without CUDA")
def test_fp16_without_a_gpu_is_an_error_for_the_reader(build: Build, samples: list[Sample]) -> None:
    with pytest.raises(AffectGPTError, match="fp16"):
        train(build("training.precision=fp16"), samples)


def test_the_default_precision_can_be_written_plainly(build: Build) -> None:
    assert build("training.precision=no").plan.config.training.precision == "no"


def test_subtitles_that_are_cut_are_counted_in_one_note(build: Build, samples: list[Sample]) -> None:
    notes: list[str] = []
    clips = [
        replace(sample, subtitle="w" * length) for sample, length in zip(samples, (0, 20, 21, 99, 5, 300), strict=True)
    ]
    train(build("training.steps=1"), clips, on_note=notes.append)
    assert notes == ["3 of 6 subtitles are cut: the model reads their first 20 tokens"]
    notes.clear()
    train(build("training.steps=1"), samples, on_note=notes.append)
    assert notes == []
