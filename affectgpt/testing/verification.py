"""Running the checks outside pytest."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from affectgpt.registry.catalog import Catalog, summary_of
from affectgpt.registry.errors import ConfigError
from affectgpt.registry.spec import Kind
from affectgpt.testing import encoder_checks, extractor_checks, fuser_checks, llm_checks
from affectgpt.testing.cases import Case, fuser_cases

CHECKS: Mapping[Kind, Mapping[str, Callable[[Case], None]]] = {
    "encoder": encoder_checks.CHECKS,
    "fuser": fuser_checks.CHECKS,
    "llm": llm_checks.CHECKS,
    "extractor": extractor_checks.CHECKS,
}
SLOW = fuser_checks.SLOW


@dataclass(frozen=True)
class Result:
    """One check of one plugin over all its cases: `failure` is empty where all of them passed."""

    check: str
    promise: str
    cases: int
    failure: str


def cases_of(
    catalog: Catalog, kind: Kind, name: str, options: Mapping[str, Any] | None = None, variants: bool = True
) -> list[Case]:
    """The cases in which a plugin is checked. Raises ConfigError when its options do not fit."""
    if kind == "fuser":
        cases = list(fuser_cases(catalog, name, options, variants=variants))
    else:
        given = dict(options or {})
        if kind == "encoder":
            given.setdefault("input", catalog.config_class(catalog.get(kind, name)).streams[0])
        cases = [Case(catalog, kind, name, given)]
    try:
        for case in cases:
            if kind == "extractor":
                case.config()
            else:
                case.declared()
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, each['loc'])) or 'options'}: {each['msg']}" for each in error.errors())
        raise ConfigError(
            f"these options do not make a config of {kind} {name!r}",
            found=wrong,
            hint=f"affectgpt plugins show {name} lists its options; --set KEY=VALUE gives one",
        ) from None
    return cases


def verify(
    catalog: Catalog, kind: Kind, name: str, options: Mapping[str, Any] | None = None, *, slow: bool = False
) -> Iterator[Result]:
    """Run every check of the plugin's kind, one result each as they finish; a check stops at its first failure.

    Raises PluginError for an unknown or broken plugin and ConfigError for wrong options, before any check runs.
    """
    cases = cases_of(catalog, kind, name, options)
    catalog.target_class(catalog.get(kind, name))
    for check, function in CHECKS[kind].items():
        if check not in SLOW or slow:
            yield Result(check, promise_of(function), len(cases), _failure(function, cases))


def promise_of(function: Callable[..., Any]) -> str:
    """What a check is about: the first line of its docstring."""
    return (function.__doc__ or "").strip().split("\n")[0]


def _failure(function: Callable[[Case], None], cases: list[Case]) -> str:
    for case in cases:
        try:
            function(case)
        except AssertionError as error:
            return f"{case}: {error}"
        except Exception as error:
            return f"{case}: {summary_of(error)}"
    return ""
