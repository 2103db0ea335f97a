"""The wording is found in source trees of several styles, all of other words, and nothing of them is run."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from affectgpt.registry.errors import ConfigError
from affectgpt.released.input_types import INPUT_TYPES
from affectgpt.released.source_wording import BARE_LABELS, find_wording
from tests.released.sources import EXPECTED, F_STRINGS, MARK, STYLES, facts


@pytest.mark.parametrize("style", STYLES)
def test_the_wording_is_found(style: str, source: Callable[..., Path]) -> None:
    folder = source(data=STYLES[style], config=MARK, noise="x = 'some other <text>'\n", broken="def (:\n")
    (folder / "binary.py").write_bytes(b"\x00\xff" * 100)
    assert find_wording(folder, facts()) == EXPECTED


def test_another_kind_of_input_has_another_template(source: Callable[..., Path]) -> None:
    folder = source(data=F_STRINGS)
    assert find_wording(folder, facts("audioonly")).template == "##Q: ear {audio_tokens}. {question} ##A: "
    with pytest.raises(ConfigError, match="template for face_text was not found") as caught:
        find_wording(folder, facts("face_text"))
    assert "prompt=" in str(caught.value)


def test_what_stands_there_twice_in_the_same_words_is_found(source: Callable[..., Path]) -> None:
    assert find_wording(source(one=F_STRINGS, two=F_STRINGS), facts()) == EXPECTED


def test_two_versions_are_listed_with_their_places(source: Callable[..., Path]) -> None:
    folder = source(one=F_STRINGS, two=F_STRINGS.replace("Mix", "Blend"))
    with pytest.raises(ConfigError, match="in 2 versions") as caught:
        find_wording(folder, facts())
    line = F_STRINGS.splitlines().index('            prompt = f"##Q: Mix <Multi><MultiHere></Multi>, " \\') + 1
    assert f"inner/one.py:{line}" in str(caught.value) and f"inner/two.py:{line}" in str(caught.value)
    assert len(caught.value.problems) == 1 and "prompt=" in str(caught.value)


def test_the_data_set_of_the_checkpoint_decides_between_versions(source: Callable[..., Path]) -> None:
    changed = F_STRINGS.replace("How does the one", "In what mood is the one").replace("class Base", "class OtherSet")
    folder = source(one=F_STRINGS.replace("class Base", "class MERCaptionPlus_Dataset"), two=changed)
    assert find_wording(folder, facts()) == EXPECTED
    assert find_wording(folder, facts(dataset="other_set")).question.startswith("In what mood")


@pytest.mark.parametrize(
    ("old", "new", "missing"),
    [
        ("def qa_ovlabel", "def qa_other", "question for labels"),
        ("def qa_description", "def qa_other", "question for a description"),
        ("<FaceHere>", "<Eyes>", "template"),
        ("{user_message} ##A", "##A", "template"),
        ("<AudioHere>, eye", "{this} <AudioHere>, eye", "template"),
    ],
)
def test_what_is_not_there_is_named(old: str, new: str, missing: str, source: Callable[..., Path]) -> None:
    assert old in F_STRINGS
    with pytest.raises(ConfigError, match=missing):
        find_wording(source(data=F_STRINGS.replace(old, new)), facts())


def test_links_large_files_and_deep_code_are_passed_over(source: Callable[..., Path], tmp_path: Path) -> None:
    folder = source(data=F_STRINGS)
    (tmp_path / "elsewhere").mkdir()
    outside = tmp_path / "elsewhere" / "more.py"
    outside.write_text(F_STRINGS.replace("Mix", "Blend"))
    (folder / "linked.py").symlink_to(outside)
    (folder / "linked").symlink_to(outside.parent)
    (folder / "folder.py").mkdir()
    (folder / "large.py").write_text(F_STRINGS.replace("Mix", "Blend") + "#" * 2**20)
    (folder / "deep.py").write_text("x = " + "(" * 5000 + ")" * 5000)
    (folder / "long.py").write_text("x = " + " + ".join(["'<AudioHere>'"] * 20000))
    (folder / "wide.py").write_text("x = 'a'\n" + "".join(f"y{index} = x + 'b'\n" for index in range(5000)))
    assert find_wording(folder, facts()) == EXPECTED


def test_a_folder_without_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: Callable[..., Path]) -> None:
    with pytest.raises(ConfigError, match="no such folder"):
        find_wording(tmp_path / "none", facts())
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match="no Python code"):
        find_wording(tmp_path / "empty", facts())
    monkeypatch.setattr("affectgpt.released.source_files.MOST_FILES", 2)
    with pytest.raises(ConfigError, match="too much Python code"):
        find_wording(source(a="", b="", c=""), facts())


def test_growth_of_texts_is_bounded(source: Callable[..., Path]) -> None:
    doubling = "x = '<AudioHere> word'\n" + "x = x + x\n" * 60
    folder = source(data=F_STRINGS, bomb=doubling)
    assert find_wording(folder, facts()) == EXPECTED


def test_numbers_of_thousands_of_digits(source: Callable[..., Path]) -> None:
    many = "0x" + "f" * 8000
    lines = (f'd[{many}] = "text"', f'x = f"{{{many}}}"', f'y = "%d" % {many}', f'z = "a" + str({many})')
    assert find_wording(source(data=F_STRINGS, many="\n".join(lines)), facts()) == EXPECTED


def test_folders_without_end(source: Callable[..., Path]) -> None:
    folder = source(data=F_STRINGS)
    current = os.open(folder, os.O_DIRECTORY)
    for _ in range(1500):
        os.mkdir("d", dir_fd=current)
        inner = os.open("d", os.O_DIRECTORY, dir_fd=current)
        os.close(current)
        current = inner
    os.close(current)
    try:
        assert find_wording(folder, facts()) == EXPECTED
        with pytest.raises(ConfigError, match="template for face_text was not found") as caught:
            find_wording(folder, facts("face_text"))
    finally:
        # Too deep for pytest to clean up.
        subprocess.run(["rm", "-rf", str(folder / "d")], check=True)
    assert "1 files or folders could not be read" in str(caught.value)


@pytest.mark.parametrize("part", [0.1, pytest.param(1, marks=pytest.mark.slow)])
def test_code_made_to_take_long(source: Callable[..., Path], stopped_after: Callable[..., Any], part: float) -> None:
    names = "".join(f'x{index}="a"\n' for index in range(int(30_000 * part))) + "if x: pass\n" * int(40_000 * part)
    steps = "".join(
        f'x=f"<MultiHere><AudioHere><FaceHere>{{subtitle}}{{q}} {index}"\n' for index in range(int(12_000 * part))
    )
    with stopped_after(60):
        assert find_wording(source(data=F_STRINGS, names=names), facts()) == EXPECTED
        # One of them stands under a condition that names what is read.
        assert find_wording(source(data=F_STRINGS, names="", steps=steps), facts()) == EXPECTED


def test_too_many_texts_are_one_error(source: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    doubling = "x = '<AudioHere> word'\n" + "x = x + x\n" * 9 + "y = x + 'b'\n" * 5000
    with pytest.raises(ConfigError, match="too many texts") as caught:
        find_wording(source(data=F_STRINGS, more=doubling), facts())
    assert "prompt=" in str(caught.value) and len(caught.value.problems) == 1
    monkeypatch.setattr("affectgpt.released.source_files.MOST_TEXTS", 3)
    with pytest.raises(ConfigError, match="too many texts"):
        find_wording(source(data=F_STRINGS, more=""), facts())


def test_a_branch_does_not_change_what_is_known_behind_it(source: Callable[..., Path]) -> None:
    code = F_STRINGS.replace(
        "    def prompt_of",
        """
    HEAD = "##Q: "
    def other(self, HEAD):
        if HEAD:
            HEAD = "no"
        return HEAD
    def prompt_of""",
    ).replace('f"##Q: Mix', 'HEAD + f"Mix')
    assert find_wording(source(data=code), facts()) == EXPECTED


def test_a_question_under_a_key_without_a_name_is_not_preferred(source: Callable[..., Path]) -> None:
    code = F_STRINGS.replace("class Base", "class MERCaptionPlus_Dataset")
    second = """
class Other:
    def qa_description(self, sample):
        return {self.key: {"question": "What is the other one up to?"}}
"""
    assert find_wording(source(data=code, other=second), facts()) == EXPECTED
    with pytest.raises(ConfigError, match="question for a description stands in this source in 2 versions"):
        find_wording(source(data=code, other=second), facts(dataset="third"))


BARE = replace(EXPECTED, labels_answer="{labels}", remarks=(BARE_LABELS,))


@pytest.mark.parametrize(
    "answer", ['"reply": f"Seen: {sample[\'ovlabel\']}."', '"answer": told(sample)', '"answer": sample["ovlabel"]']
)
def test_bare_labels_as_an_answer_are_told(answer: str, source: Callable[..., Path]) -> None:
    code = F_STRINGS.replace('"answer": f"Seen: {sample[\'ovlabel\']}."', answer)
    assert code != F_STRINGS
    assert find_wording(source(data=code), facts()) == BARE


def test_a_labels_answer_with_an_unknown_start_is_told(source: Callable[..., Path]) -> None:
    old = """        return {"question": question, "answer": f"Seen: {sample['ovlabel']}."}
"""
    code = F_STRINGS.replace(
        old,
        """\
        answer = told(sample)
        answer += ", that is what is seen."
        return question, answer
""",
    )
    assert code != F_STRINGS
    assert find_wording(source(data=code), facts()) == BARE


def test_what_the_source_does_not_say_is_in_the_account(
    original: Callable[..., Path], converted: Callable[..., Any], source: Callable[..., Path]
) -> None:
    message = converted(original(), prompt=None, source=source(data=F_STRINGS)).notes
    bare = F_STRINGS.replace('"answer": f"Seen', '"reply": f"Seen')
    assert BARE_LABELS not in message
    assert converted(original(), out="bare", prompt=None, source=source(data=bare)).notes == [BARE_LABELS, *message]


def test_the_words_of_the_oracle(shared: Path, tmp_path: Path) -> None:
    """Each template of the original, written as code in one of our styles, comes out as it was."""
    import json

    content = json.loads((shared / "oracle" / "inputs" / "prompts.json").read_text(encoding="utf-8"))
    question: Any = content["qa (with dummy sample)"]["out"]
    lines = ["def prompt(kind, subtitle, user_message):"]
    for kind, item in content["prompts"].items():
        template = item["template"].replace("{SUBTITLE}", "{subtitle}").replace("{USER_MESSAGE}", "{user_message}")
        lines += [f"    if kind == {kind!r}:", f"        return f{template!r}"]
    for kind in ("description", "ovlabel"):
        lines += [
            f"def qa_{kind}(sample):",
            f"    question = {question[f'MERCaptionPlus/{kind}']['question']!r}",
            "    return question",
        ]
    (tmp_path / "made.py").write_text("\n".join(lines), encoding="utf-8")
    for kind in INPUT_TYPES:
        result = find_wording(tmp_path, facts(kind)).template
        for mark, node in (
            ("Multi", "multi"),
            ("Audio", "audio_tokens"),
            ("Face", "face_tokens"),
            ("Frame", "frame_tokens"),
        ):
            result = result.replace(f"{{{node}}}", f"<{mark}Here>")
        result = result.replace("{subtitle}", "{SUBTITLE}").replace("{question}", "{USER_MESSAGE}")
        assert result == content["prompts"][kind]["template"]
