"""Every fuser that discovery finds keeps the contract, whatever it computes: none can escape by being new."""

from __future__ import annotations

import pytest

from affectgpt.registry.discovery import discover
from affectgpt.testing.cases import FuserCase, fuser_cases
from affectgpt.testing.fuser_checks import CHECKS, SLOW, run_seeded

CATALOG = discover()
NAMES = CATALOG.names("fuser")
CASES = [case for name in NAMES for case in fuser_cases(CATALOG, name)]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.name}: {case}")
@pytest.mark.parametrize("check", [check for check in CHECKS if check not in SLOW])
def test_every_fuser_keeps(check: str, case: FuserCase) -> None:
    CHECKS[check](case)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_every_fuser_compiles(name: str) -> None:
    *_, most_inputs = fuser_cases(CATALOG, name, variants=False)
    CHECKS["compiled"](most_inputs)


def test_the_fusers_of_the_shelf_are_there() -> None:
    shelf = {
        "modality-attention",
        "temporal-attention",
        "mean",
        "concat",
        "qformer",
        "cross-attention",
        "perceiver",
        "mbt",
        "mult",
        "tfn",
        "lmf",
        "gated",
        "film",
        "moe",
    }
    assert shelf <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_method_of_others_names_its_paper(name: str) -> None:
    entry = CATALOG.get("fuser", name)
    documented = CATALOG.target_class(entry).__doc__ or ""
    assert name in ("mean", "concat") or ("arXiv" in entry.spec.citation and "arXiv" in documented)


def test_some_fusers_report_attributions() -> None:
    reporting = {case.name for case in CASES if run_seeded(case.build(), case.tokens()).attribution is not None}
    assert {"modality-attention", "cross-attention", "qformer", "perceiver", "gated"} <= reporting
