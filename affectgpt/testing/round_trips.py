"""Configs survive JSON, and weights a state dict."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn


def config_round_trip(config: Any) -> None:
    """Assert that `config` written as JSON and read again is the same."""
    try:
        restored = type(config).model_validate_json(config.model_dump_json())
    except ValueError as error:
        raise AssertionError(f"the config written as JSON cannot be read again: {error}") from error
    assert restored == config, f"the config read again is {restored}; it was {config}"


def state_round_trip(first: nn.Module, second: nn.Module, result: Callable[[Any], Tensor]) -> None:
    """Assert that `second` gives what `first` does once it has loaded the state dict of it."""
    with torch.no_grad():
        expected = result(first)
        second.load_state_dict(first.state_dict(), strict=True)
        actual = result(second)
    assert torch.allclose(actual, expected, rtol=1e-5, atol=1e-6), (
        f"a loaded state dict gives results that are off by {(actual - expected).abs().max():.2g}; is a tensor kept as"
        " a plain attribute? make it a Parameter or a buffer"
    )
