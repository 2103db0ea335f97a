"""The list of steps that are not run as written fits the pages, and the links between pages lead somewhere."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "docs"))
try:
    import blocks
finally:
    sys.path.remove(str(ROOT / "docs"))

STEPS = [step for page in blocks.pages() for step in blocks.steps_of(page)]
LINK = re.compile(r"(?<!!)\[[^\]]*\]\((?!https?:)([^)\s]+)\)")


def anchors(text: str) -> set[str]:
    """The anchors of a page's headings, as the site has them."""
    headings = re.findall(r"^#+ (.+)$", re.sub(r"```.*?```", "", text, flags=re.DOTALL), re.MULTILINE)
    plain = [re.sub(r"[^\w\s-]", "", heading).strip().lower() for heading in headings]
    return {re.sub(r"[\s]+", "-", heading) for heading in plain}


def test_every_entry_belongs_to_a_step_and_few_have_only_a_reason() -> None:
    entries, needs = blocks.read_list()
    names = {step.name for step in STEPS}
    assert sorted(set(entries) - names) == []
    assert set(needs) <= set(blocks.pages())
    assert all(bool(entry.run) != bool(entry.reason) for entry in entries.values())
    assert sum(step.name in entries and bool(entries[step.name].reason) for step in STEPS) <= 15


def test_commands_are_joined_and_lose_their_comments() -> None:
    code = "$ affectgpt check a.yaml \\\n    --set b=1      # a comment\noutput\n$ cd x\n"
    assert list(blocks.commands_in(code)) == ["affectgpt check a.yaml --set b=1", "cd x"]


@pytest.mark.parametrize("page", blocks.pages())
def test_every_link_leads_somewhere(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    generated = ("api/", "cli/", "plugins/", "modules/")
    for target in LINK.findall(re.sub(r"```.*?```|`[^`]*`", "", text, flags=re.DOTALL)):
        file, _, anchor = target.partition("#")
        if page == "docs/reference/index.md" and file.startswith(generated):
            continue  # the strict build of the site checks these
        path = ((ROOT / page).parent / file).resolve() if file else ROOT / page
        assert path.exists(), f"{page}: {target}"
        if anchor:
            assert anchor in anchors(path.read_text(encoding="utf-8")), f"{page}: {target}"
