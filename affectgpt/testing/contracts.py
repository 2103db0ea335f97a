"""The checks as pytest classes. Needs pytest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import pytest

from affectgpt.registry.discovery import discover
from affectgpt.registry.spec import Kind
from affectgpt.testing.cases import Case
from affectgpt.testing.verification import CHECKS, SLOW, cases_of


class Contract:
    """Subclass one of its kinds in a test file and set `name`; pytest runs one test per check and case.

    - `name`: the plugin's.
    - `plugins`: files or modules to load first, for a plugin that is not installed.
    - `options`: those of its config; an encoder or LLM usually needs some that make it small.
    - `variants`: for a fuser, whether each other value of its options that are a choice is checked, too.

    Checks that take seconds carry the mark `slow`.
    """

    kind: ClassVar[Kind]
    name: ClassVar[str] = ""
    plugins: ClassVar[Sequence[str]] = ()
    options: ClassVar[Mapping[str, Any]] = {}
    variants: ClassVar[bool] = True

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """One test per check and case."""
        if not self.name:
            raise pytest.UsageError(f"{type(self).__name__}: set `name` to the plugin's name")
        cases = cases_of(discover(self.plugins), self.kind, self.name, self.options, self.variants)
        metafunc.parametrize("case", cases, ids=str)
        metafunc.parametrize(
            "check",
            [pytest.param(check, marks=[pytest.mark.slow] if check in SLOW else []) for check in CHECKS[self.kind]],
        )

    def test_it_keeps(self, check: str, case: Case) -> None:
        """The plugin passes one check."""
        CHECKS[self.kind][check](case)


class FuserContract(Contract):
    """What every fuser keeps; see `fuser_checks`."""

    kind = "fuser"


class EncoderContract(Contract):
    """What every encoder keeps; see `encoder_checks`."""

    kind = "encoder"


class LLMContract(Contract):
    """What every language model keeps; see `llm_checks`."""

    kind = "llm"


class ExtractorContract(Contract):
    """What every extractor of labels keeps; see `extractor_checks`."""

    kind = "extractor"
