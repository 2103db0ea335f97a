"""Every check catches the fuser that breaks its promise, and no other check does."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from affectgpt.registry.discovery import discover
from affectgpt.testing.fuser_checks import CHECKS, SLOW
from affectgpt.testing.verification import verify

BROKEN = Path(__file__).parent / "broken_fusers.py"


def failing(name: str, *, slow: bool) -> dict[str, str]:
    torch.set_num_threads(1)
    results = verify(discover([str(BROKEN)]), "fuser", name, slow=slow)
    return {result.check: result.failure for result in results if result.failure}


def test_a_fuser_that_keeps_every_promise_passes() -> None:
    assert failing("good", slow=False) == {}


@pytest.mark.parametrize("check", [check for check in CHECKS if check not in SLOW])
def test_a_broken_promise_is_caught_by_its_check_alone(check: str) -> None:
    failures = failing(check, slow=False)
    assert list(failures) == [check], failures


@pytest.mark.slow
def test_a_graph_break_is_caught_by_its_check_alone() -> None:
    failures = failing("compiled", slow=True)
    assert list(failures) == ["compiled"] and "fullgraph" in failures["compiled"], failures


def test_every_check_says_what_it_promises() -> None:
    for check, function in CHECKS.items():
        assert function.__doc__ and len(function.__doc__.split("\n")[0]) < 112, check
