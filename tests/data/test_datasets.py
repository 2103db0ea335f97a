from __future__ import annotations

from pathlib import Path

import pytest

from affectgpt.data.datasets import read_examples
from affectgpt.registry.errors import DataError
from affectgpt.synthetic.clips import write_clips


def test_a_folder_and_a_manifest(tmp_path: Path) -> None:
    write_clips(tmp_path / "clips", clips=2, seed=0)
    of_folder = read_examples(tmp_path / "clips")
    manifest = tmp_path / "clips" / "mine.csv"
    paths = [example.video.relative_to(manifest.parent) for example in of_folder]
    manifest.write_text("clip,description\n" + "".join(f"{path},said\n" for path in paths))
    assert [example.video.name for example in read_examples(manifest)] == [path.name for path in paths]
    with pytest.raises(DataError, match="no such file"):
        read_examples(tmp_path / "none.csv")
