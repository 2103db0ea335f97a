"""The checks as pytest classes. Needs pytest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import pytest

from affectgpt.registry.discovery import discover
from affectgpt.registry.spec import Kind
from affectgpt.testing.cases import Case
from affectgpt.testing.kind_checks import KindChecks, checks_of_kind
from affectgpt.testing.verification import cases_of


class Contract:
    """Subclass one of its kinds in a test file and set `name`; pytest runs one test per check and case.

    - `name`: the plugin's.
    - `plugins`: files or modules to load first, for a plugin that is not installed.
    - `options`: those of its config; an encoder or LLM usually needs some that make it small.
    - `variants`: for a fuser, whether each other value of its options that are a choice is checked, too.

    For a kind that another package brings, derive from this class and set `kind`. Checks that take seconds carry the
    mark `slow`.
    """

    kind: ClassVar[Kind]
    name: ClassVar[str] = ""
    plugins: ClassVar[Sequence[str]] = ()
    options: ClassVar[Mapping[str, Any]] = {}
    variants: ClassVar[bool] = True
    kind_checks: ClassVar[KindChecks]

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """One test per check and case."""
        if not self.name:
            raise pytest.UsageError(f"{type(self).__name__}: set `name` to the plugin's name")
        catalog = discover(self.plugins)
        type(self).kind_checks = checks = checks_of_kind(catalog, self.kind)
        cases = cases_of(catalog, self.kind, self.name, self.options, self.variants)
        metafunc.parametrize("case", cases, ids=str)
        metafunc.parametrize(
            "check",
            [pytest.param(check, marks=[pytest.mark.slow] if check in checks.slow else []) for check in checks.checks],
        )

    def test_contract(self, check: str, case: Case) -> None:
        """The plugin passes one check."""
        self.kind_checks.checks[check](case)


class FuserContract(Contract):
    """The checks of fusers, in `fuser_checks`."""

    kind = "fuser"


class EncoderContract(Contract):
    """The checks of encoders, in `encoder_checks`."""

    kind = "encoder"


class LLMContract(Contract):
    """The checks of llms, in `llm_checks`."""

    kind = "llm"


class ExtractorContract(Contract):
    """The checks of extractors, in `extractor_checks`."""

    kind = "extractor"
