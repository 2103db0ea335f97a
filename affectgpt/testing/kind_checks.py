"""What `verify` runs for a kind of plugin: its checks by name, and the cases in which a plugin is checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from affectgpt.registry.catalog import Catalog
from affectgpt.registry.errors import PluginError
from affectgpt.testing.cases import Case


@dataclass(frozen=True)
class KindChecks:
    """The checks of one kind of plugin; a kind names it as `PluginKind.checks`.

    - `checks`: a function of a case by the check's name. It raises AssertionError with what broke; the first line of
      its docstring is what the check is about.
    - `cases`: `(catalog, name, options, variants)` -> the cases of a plugin; by default one [Case][], with `options`.
    - `slow`: names of the checks that take seconds.
    """

    checks: Mapping[str, Callable[..., None]]
    cases: Callable[[Catalog, str, Mapping[str, object], bool], Sequence[Case]] | None = None
    slow: tuple[str, ...] = ()


def by_name(*functions: Callable[..., None]) -> dict[str, Callable[..., None]]:
    """The checks by their names: `declared_interface` is "declared-interface"."""
    return {function.__name__.replace("_", "-"): function for function in functions}


def checks_of_kind(catalog: Catalog, kind: str) -> KindChecks:
    """The checks of a kind that `catalog` has. Raises PluginError for an unknown kind, and for one without checks."""
    checks = catalog.kind(kind).load("checks")
    if not isinstance(checks, KindChecks):
        raise PluginError(
            f"the checks of kind {kind!r} must be a KindChecks",
            found=type(checks).__name__,
            expected="affectgpt.testing.kind_checks.KindChecks",
        )
    return checks
