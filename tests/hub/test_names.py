"""What is a name of the Hub, and which files belong to a saved model."""

from __future__ import annotations

from fnmatch import fnmatch
from pathlib import Path

import pytest

from affectgpt.core.saved import model as checkpoint
from affectgpt.hub.names import FILES, hub_name, is_model_path, valid_repo
from affectgpt.registry.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "repo", "revision"),
    [
        ("own/name", "own/name", None),
        ("own/na.me-x_1@main", "own/na.me-x_1", "main"),
        ("own/name@refs/pr/3", "own/name", "refs/pr/3"),
        ("own/name@v1.0", "own/name", "v1.0"),
    ],
)
def test_a_name_of_the_hub(text: str, repo: str, revision: str | None) -> None:
    result = hub_name(text)
    assert result is not None and (result.repo, result.revision) == (repo, revision) and str(result) == text


@pytest.mark.parametrize("text", ["name", "a/b/c", "/own/name", "../name", "", "own/", "own\\name", "own/näme", "~/x"])
def test_what_has_not_that_form_is_a_folder(text: str) -> None:
    assert hub_name(text) is None


def test_a_folder_that_is_there_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own" / "name").mkdir(parents=True)
    assert hub_name("own/name") is None
    with pytest.raises(ConfigError, match="only a model on the Hub"):
        hub_name("own/name", "main")


@pytest.mark.parametrize("text", ["own/na--me", "own/na..me", "own/name.git", "own/name-", "own/" + "n" * 200])
def test_a_name_that_the_hub_does_not_take_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="not the name of a model"):
        hub_name(text)


@pytest.mark.parametrize(
    "text",
    [
        "own/name@",
        "own/name@../../x",
        "own/name@a//b",
        "own/name@a/../b",
        "own/name@a b",
        "own/name@x\n",
        "own/name@-f",
        "own/name@/etc",
        "own/name@a/",
    ],
)
def test_a_revision_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="not a revision"):
        hub_name(text)


def test_one_revision_only() -> None:
    with pytest.raises(ConfigError, match="given twice"):
        hub_name("own/name@main", "v1")
    assert str(hub_name("own/name", "v1")) == "own/name@v1"


def test_a_repository_has_an_owner() -> None:
    with pytest.raises(ConfigError, match="owner is missing"):
        valid_repo("name")


def test_the_format_is_what_checkpoints_write_and_holds_no_code() -> None:
    for name in (checkpoint.CONFIG, checkpoint.WEIGHTS, checkpoint.PLUGINS, "README.md"):
        assert is_model_path(Path("m") / name, Path("m"))
    assert is_model_path(Path("m/adapter/adapter_model.safetensors"), Path("m"))
    assert is_model_path(Path("m/tokenizer/tokenizer.json"), Path("m"))
    for name in (
        "model.py",
        "tokenizer/code.py",
        "pytorch_model.bin",
        "adapter/adapter_model.bin",
        "x.pkl",
        "tokenizer/a/b.json",
        "tokenizer/v.pkl",
        ".git/config",
        "adapter/x/adapter_config.json",
    ):
        assert not is_model_path(Path("m") / name, Path("m")), name
    assert not any(fnmatch(f"tokenizer/x.{end}", each) for each in FILES for end in ("py", "pkl", "bin", "pt", "pth"))
