"""Every check catches the extractor that breaks its promise, and no other check does."""

from __future__ import annotations

from pathlib import Path

import pytest

from affectgpt.registry.discovery import discover
from affectgpt.testing.extractor_checks import CHECKS
from affectgpt.testing.verification import verify

HERE = Path(__file__).parent
FILES = [str(HERE / name) for name in ("broken_extractors.py", "broken_heavy_extractor.py")]


def failing(name: str) -> dict[str, str]:
    results = verify(discover(FILES), "extractor", name)
    return {each.check: each.failure for each in results if each.failure}


def test_an_extractor_that_keeps_every_promise_passes() -> None:
    assert failing("good-words") == {}


@pytest.mark.parametrize("check", CHECKS)
def test_a_broken_promise_is_caught_by_its_check_alone(check: str) -> None:
    failures = failing(check)
    assert list(failures) == [check], failures
