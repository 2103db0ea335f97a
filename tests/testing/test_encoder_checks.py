"""Every check catches the encoder that breaks its promise, and no other check does."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from affectgpt.registry.discovery import discover
from affectgpt.testing.encoder_checks import CHECKS
from affectgpt.testing.verification import verify

BROKEN = Path(__file__).parent / "broken_encoders.py"


def failing(name: str) -> dict[str, str]:
    torch.set_num_threads(1)
    return {each.check: each.failure for each in verify(discover([str(BROKEN)]), "encoder", name) if each.failure}


def test_an_encoder_that_keeps_every_promise_passes() -> None:
    assert failing("good") == {}


@pytest.mark.parametrize("check", CHECKS)
def test_a_broken_promise_is_caught_by_its_check_alone(check: str) -> None:
    failures = failing(check)
    assert list(failures) == [check], failures


def test_what_is_read_without_being_declared_is_named() -> None:
    assert "reads the subtitle, which it does not declare" in failing("declared-reads")["declared-reads"]


def test_an_encoder_of_the_subtitle_alone_passes() -> None:
    assert failing("of-words") == {}


def test_an_encoder_of_version_1_may_read_what_it_does_not_declare() -> None:
    assert failing("wordy-of-version-1") == {}
