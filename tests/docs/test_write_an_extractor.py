"""The extractor of docs/how-to/write-an-extractor.md works as printed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from affectgpt import Extraction, build_extractor, discover
from affectgpt.core.extraction import read_extractor
from affectgpt.registry.catalog import Catalog
from affectgpt.testing import verify

GUIDE = (Path(__file__).resolve().parents[2] / "docs" / "how-to" / "write-an-extractor.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(python|console)\n(.*?)```", GUIDE, re.DOTALL)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with the guide's file in it."""
    (tmp_path / "counting.py").write_text(BLOCKS[0][1], encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_file_passes_the_checks_that_the_guide_shows(here: Path) -> None:
    results = list(verify(discover(["./counting.py"]), "extractor", "counting"))
    assert not [each for each in results if each.failure]
    shown = BLOCKS[1][1].splitlines()
    assert [line.split()[1] for line in shown[1:-1]] == [each.check for each in results]
    assert shown[-1] == f"extractor counting: {len(results)} of {len(results)} checks passed"


def test_the_file_reads(here: Path) -> None:
    reader = build_extractor("counting", {"extra": {"calm": 1}}, discover(["./counting.py"]))
    assert reader.emotions(["Calm and happy."]) == [Extraction(("calm", "happy"))]
    assert reader.sentiments(["Sad.", "Sad, calm."]) == [Extraction(("negative",)), Extraction(("neutral",))]
    code = next(text for _, text in BLOCKS if "print(" in text)
    assert 'build_extractor("counting", {"extra": {"calm": 1}}, discover(["./counting.py"]))' in code


def test_the_options_of_the_llm_extractor_are_those_that_it_has(catalog: Catalog) -> None:
    import yaml

    found = re.findall(r"--set '(llm|endpoint)=(.*?)'", GUIDE)
    assert [name for name, _ in found] == ["llm", "endpoint"]
    for name, value in found:
        read_extractor("llm", {name: yaml.safe_load(value), "cache": "off"}, catalog)
