"""Run the checks of a plugin without pytest."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from affectgpt.registry.catalog import Catalog
from affectgpt.registry.errors import ConfigError
from affectgpt.registry.messages import one_line
from affectgpt.registry.spec import Kind
from affectgpt.testing.cases import Case
from affectgpt.testing.kind_checks import checks_of_kind


@dataclass(frozen=True)
class CheckResult:
    """The result of one check of a plugin over all its cases: `failure` is empty when all of them passed."""

    check: str
    promise: str
    cases: int
    failure: str


def cases_of(
    catalog: Catalog, kind: Kind, name: str, options: Mapping[str, object] | None = None, variants: bool = True
) -> list[Case]:
    """The cases in which a plugin is checked. Raises ConfigError when its options do not fit."""
    options = dict(options or {})
    cases_of_kind = checks_of_kind(catalog, kind).cases
    try:
        cases = (
            list(cases_of_kind(catalog, name, options, variants))
            if cases_of_kind is not None
            else [Case(catalog, kind, name, options)]
        )
        for case in cases:
            case.check_options()
    except ValidationError as error:
        problems = [f"{'.'.join(map(str, item['loc'])) or 'options'}: {item['msg']}" for item in error.errors()]
        raise ConfigError(
            f"these options do not make a config of {kind} {name!r}",
            found="; ".join(problems),
            hint=f"see the options of {name!r}, and pass them as options",
        ) from None
    return cases


def verify(
    catalog: Catalog, kind: Kind, name: str, options: Mapping[str, object] | None = None, *, slow: bool = False
) -> Iterator[CheckResult]:
    """Run every check of the plugin's kind, one result each as they finish; a check stops at its first failure.

    Raises PluginError for an unknown or broken plugin and ConfigError for wrong options, before any check runs.
    """
    cases = cases_of(catalog, kind, name, options)
    catalog.target_class(catalog.get(kind, name))
    checks = checks_of_kind(catalog, kind)
    for check, function in checks.checks.items():
        if check not in checks.slow or slow:
            yield CheckResult(check, check_summary(function), len(cases), _failure(function, cases))


def check_summary(function: Callable[..., Any]) -> str:
    """The first line of a check's docstring."""
    return (function.__doc__ or "").strip().split("\n")[0]


def _failure(function: Callable[[Case], None], cases: list[Case]) -> str:
    for case in cases:
        try:
            function(case)
        except AssertionError as error:
            return f"{case}: {error}"
        except Exception as error:
            return f"{case}: {one_line(error)}"
    return ""
