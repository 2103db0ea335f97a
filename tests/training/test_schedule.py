"""The learning rate by step, and what decays."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from affectgpt.core.config import TrainingConfig
from affectgpt.data.samples import Sample
from affectgpt.registry.errors import ConfigError
from affectgpt.training.loop import train
from affectgpt.training.parameter_groups import parameter_groups
from affectgpt.training.schedule import learning_rate


@st.composite
def schedules(draw: st.DrawFn) -> TrainingConfig:
    steps = draw(st.integers(1, 400))
    lr = draw(st.floats(1e-8, 1.0))
    return TrainingConfig(
        steps=steps, warmup_steps=draw(st.integers(0, steps - 1)), lr=lr, min_lr=lr * draw(st.floats(0, 1))
    )


@given(schedules())
def test_the_schedule(config: TrainingConfig) -> None:
    rates = [learning_rate(step, config) for step in range(config.steps + 1)]
    rise, fall = rates[: config.warmup_steps], rates[config.warmup_steps :]
    assert rise == pytest.approx([config.lr * (step + 1) / config.warmup_steps for step in range(len(rise))])
    assert fall[0] == pytest.approx(config.lr) and fall[-1] == pytest.approx(config.min_lr, abs=1e-15)
    assert all(before >= after for before, after in pairwise(fall))
    assert all(0 < rate <= config.lr * (1 + 1e-12) for rate in rates[:-1])
    # A half cosine is symmetric about its middle.
    both = [early + late for early, late in zip(fall, reversed(fall), strict=True)]
    assert both == pytest.approx([config.lr + config.min_lr] * len(both))


def test_the_cosine_at_its_quarters() -> None:
    config = TrainingConfig(steps=14, warmup_steps=2, lr=4.0, min_lr=2.0)
    results = [learning_rate(step, config) for step in (0, 1, 2, 5, 8, 11, 14)]
    assert results == pytest.approx([2.0, 4.0, 4.0, 3 + 2**-0.5, 3.0, 3 - 2**-0.5, 2.0])


def test_a_rate_that_is_its_own_minimum_is_constant() -> None:
    config = TrainingConfig(steps=9, lr=1e-5, min_lr=1e-5)
    assert {learning_rate(step, config) for step in range(10)} == {1e-5}


@pytest.mark.parametrize(("option", "share"), [((), 1.0), (("training.rates={llm: 0.0001}",), 0.1)])
def test_the_loop_follows_the_schedule(
    build: Callable, samples: list[Sample], steps: list[Any], option: tuple[str, ...], share: float
) -> None:
    pipeline = build("training.steps=6", "training.warmup_steps=2", "training.min_lr=0.0005", *option)
    train(pipeline, samples)
    config = pipeline.plan.config.training
    of_llm = {id(parameter) for parameter in pipeline.llm.parameters()}
    shares = [share if id(group["params"][0]) in of_llm else 1.0 for group in parameter_groups(pipeline, config)]
    expected = [learning_rate(step, config) for step in range(6)]
    assert len(set(expected)) == 5 and {1.0, share} == set(shares)
    for step, rate in zip(steps, expected, strict=True):
        assert step.lr == pytest.approx([rate * parameter for parameter in shares])


def test_the_llms_own_rate_is_for_its_parameters_only(build: Callable) -> None:
    pipeline = build("training.rates={llm: 0.00025}")
    scales = {
        id(parameter): group["scale"]
        for group in parameter_groups(pipeline, pipeline.plan.config.training)
        for parameter in group["params"]
    }
    for name, parameter in pipeline.named_parameters():
        if parameter.requires_grad:
            assert scales[id(parameter)] == pytest.approx(0.25 if name.startswith("llm.") else 1.0), name


def test_matrices_decay_and_vectors_do_not(build: Callable, samples: list[Sample], steps: list[Any]) -> None:
    pipeline = build("encoders.face.frozen=false", "training.weight_decay=0.3", "training.steps=1")
    groups = parameter_groups(pipeline, pipeline.plan.config.training)
    names = {id(parameter): name for name, parameter in pipeline.named_parameters()}
    decay = {names[id(parameter)]: group["weight_decay"] for group in groups for parameter in group["params"]}
    assert sum(len(group["params"]) for group in groups) == len(decay) and set(decay) == set(names.values())
    for name, parameter in pipeline.named_parameters():
        assert decay[name] == (0.3 if parameter.ndim >= 2 else 0.0), name
        if name.endswith("bias") or "norm" in name or ".bn" in name:
            assert decay[name] == 0.0, name
    assert any("conv" in name and value for name, value in decay.items())
    train(pipeline, samples)
    assert steps[0].decay == tuple(group["weight_decay"] for group in groups)


def test_what_is_frozen_is_in_no_group(build: Callable) -> None:
    pipeline = build("llm.frozen=true")
    groups = parameter_groups(pipeline, pipeline.plan.config.training)
    grouped = {id(param) for group in groups for param in group["params"]}
    assert grouped == {id(param) for param in pipeline.parameters() if param.requires_grad}
    for module in (pipeline.encoders["face"], pipeline.llm):
        assert not grouped & {id(param) for param in module.parameters()}


def test_the_longest_part_that_fits_gives_the_rate(build: Callable) -> None:
    rates = {"fusers": 1e-4, "fusers.multi": 2e-4, "llm.model.lm_head": 3e-4, "projectors.multi": 4e-4}
    pipeline = build(f"training.rates={rates}".replace("'", ""))
    groups = parameter_groups(pipeline, pipeline.plan.config.training)
    result = {id(parameter): group["scale"] * 1e-3 for group in groups for parameter in group["params"]}
    for name, parameter in pipeline.named_parameters():
        if parameter.requires_grad:
            fitting = [part for part in rates if name.startswith(f"{part}.")]
            assert result[id(parameter)] == pytest.approx(rates[max(fitting, key=len)] if fitting else 1e-3), name
    assert len({round(rate, 9) for rate in result.values()}) == 5


@pytest.mark.parametrize(
    ("part", "nearest"), [("fuser.multi", "fusers.multi"), ("fusers.mult", "fusers.multi"), ("encoders.face", "freeze")]
)
def test_a_part_that_holds_nothing_trained_is_told(build: Callable, part: str, nearest: str) -> None:
    pipeline = build(f"training.rates={{{part}: 0.1}}")
    with pytest.raises(ConfigError) as caught:
        parameter_groups(pipeline, pipeline.plan.config.training)
    assert f"training.rates.{part}" in str(caught.value) and nearest in str(caught.value)


def test_nothing_to_train_is_told(build: Callable) -> None:
    pipeline = build()
    pipeline.requires_grad_(False)
    with pytest.raises(ConfigError, match="every part is frozen"):
        parameter_groups(pipeline, pipeline.plan.config.training)
