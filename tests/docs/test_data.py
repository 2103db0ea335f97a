"""What `docs/how-to/data.md` says of the layouts is what the readers read."""

from __future__ import annotations

from pathlib import Path

from affectgpt.data.manifest import COLUMNS
from affectgpt.data.mer2025 import NAME_FILES, SUBTITLE_FILE, TRAINING_FILES
from affectgpt.unibench.datasets.layouts import TEST_SETS

GUIDE = (Path(__file__).resolve().parents[2] / "docs" / "how-to" / "data.md").read_text(encoding="utf-8")


def test_the_nine_layouts() -> None:
    lines = [line.strip("|").split("|") for line in GUIDE.splitlines() if "-process |" in line]
    rows = [[cell.strip() for cell in line] for line in lines]
    assert rows == [
        [
            layout.key,
            layout.title,
            layout.folder,
            f"{layout.clips:,}",
            f"{layout.videos}/NAME{', '.join(layout.suffixes)}",
            f"{layout.sounds}/",
            f"{layout.subtitle_file} ({layout.subtitle_column})",
            layout.label_file + (f", {layout.corpus}" if layout.corpus else ""),
        ]
        for layout in TEST_SETS.values()
    ]
    assert len(rows) == 9


def test_the_other_layouts() -> None:
    files = [SUBTITLE_FILE, *NAME_FILES.values(), *(file for pair in TRAINING_FILES.values() for file in pair)]
    assert all(file in GUIDE for file in files)
    section = GUIDE.split("## Your own clips")[1].split("```")[0]
    columns = [line.split("|")[1].strip() for line in section.splitlines() if line.startswith("|")]
    assert columns == ["column", "---", *COLUMNS]
