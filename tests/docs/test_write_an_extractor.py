"""The extractor of docs/how-to/write-an-extractor.md works as printed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import affectgpt as ag
from affectgpt import Extraction, discover
from affectgpt.core.extraction import read_extractor
from affectgpt.registry.catalog import Catalog
from affectgpt.testing import verify

GUIDE = (Path(__file__).resolve().parents[2] / "docs" / "how-to" / "write-an-extractor.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(python|console)\n(.*?)```", GUIDE, re.DOTALL)


@pytest.fixture
def guide_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with the guide's file in it."""
    (tmp_path / "counting.py").write_text(BLOCKS[0][1], encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_file_passes_the_checks_that_the_guide_shows(guide_folder: Path) -> None:
    results = list(verify(discover(["./counting.py"]), "extractor", "counting"))
    assert not [result for result in results if result.failure]
    lines = BLOCKS[1][1].splitlines()
    assert [line.split()[1] for line in lines[1:-1]] == [result.check for result in results]
    assert lines[-1] == f"extractor counting: {len(results)} of {len(results)} checks passed"


def test_the_file_reads(guide_folder: Path) -> None:
    reader = ag.build_extractor("counting", {"extra": {"calm": 1}}, plugins=["counting.py"])
    assert reader.emotions(["Calm and happy."]) == [Extraction(("calm", "happy"))]
    assert reader.sentiments(["Sad.", "Sad, calm."]) == [Extraction(("negative",)), Extraction(("neutral",))]
    code = next(text for _, text in BLOCKS if "print(" in text)
    assert 'ag.build_extractor("counting", {"extra": {"calm": 1}}, plugins=["counting.py"])' in code


def test_the_options_of_the_llm_extractor_are_those_that_it_has(catalog: Catalog) -> None:
    import yaml

    options = re.findall(r"--set '(llm|endpoint)=(.*?)'", GUIDE)
    assert [name for name, _ in options] == ["llm", "endpoint"]
    for name, value in options:
        read_extractor("llm", {name: yaml.safe_load(value), "cache": "off"}, catalog)
