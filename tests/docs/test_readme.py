"""The README's fuser works as printed, and the guide names every hook."""

from __future__ import annotations

import re
from pathlib import Path

import torch

from affectgpt.core.load_config import read_config
from affectgpt.core.plan import make_plan
from affectgpt.core.tokens import Tokens
from affectgpt.registry import hooks
from affectgpt.registry.catalog import Catalog

ROOT = Path(__file__).resolve().parents[2]


def block(language: str, after: str) -> str:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    match = re.search(rf"```{language}\n(.*?)```", text[text.index(after) :], re.DOTALL)
    assert match
    return match.group(1)


def test_the_fuser_in_the_readme_is_checked_built_and_run(tmp_path: Path, catalog: Catalog) -> None:
    code = block("python", "`strongest.py`")
    assert len([line for line in code.splitlines() if line.strip()]) <= 22
    (tmp_path / "strongest.py").write_text(code, encoding="utf-8")
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    (tmp_path / "mine.yaml").write_text(block("yaml", "`mine.yaml`"), encoding="utf-8")
    config = read_config(tmp_path / "mine.yaml", catalog)
    node = make_plan(config).fusers["face_tokens"]
    assert node.entry.spec.name == "strongest"
    fuser = catalog.target_class(node.entry)(node.config, dict(node.inputs), node.output)
    values = torch.tensor([[[1.0, 5.0], [3.0, 2.0]], [[7.0, 7.0], [8.0, 8.0]]])
    tokens = Tokens(values, torch.tensor([[True, True], [False, False]]))
    fused = fuser({"face": tokens})
    assert fused.values.tolist() == [[[3.0, 5.0]], [[0.0, 0.0]]]
    assert fused.mask is not None and fused.mask.tolist() == [[True], [False]]


def test_the_pipeline_in_the_readme_is_valid(tmp_path: Path, catalog: Catalog) -> None:
    path = tmp_path / "pipeline.yaml"
    path.write_text(block("yaml", "## A pipeline is one YAML file"), encoding="utf-8")
    config = read_config(path, catalog)
    assert make_plan(config).output("multi").dim == 1024


def test_every_hook_is_documented() -> None:
    guide = (ROOT / "docs" / "how-to" / "write-a-fuser.md").read_text(encoding="utf-8")
    for name in vars(hooks):
        if name.startswith("affectgpt_"):
            assert f"`{name}(" in guide, name


def test_every_link_of_the_readme_leads_somewhere() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", text):
        assert (ROOT / target).exists(), target
