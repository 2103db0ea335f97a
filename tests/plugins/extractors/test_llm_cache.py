"""Answers kept on disk: found again, also by other processes, and never taken for another question's."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from affectgpt import Extraction, build_extractor, discover
from affectgpt.plugins.extractors.llm_answers import LLMAnswer
from affectgpt.plugins.extractors.llm_cache import AnswerCache, answer_key, default_folder
from affectgpt.registry.errors import ConfigError, RunError

pytest.importorskip("openai")
KEY = answer_key({"question": "one"})


def test_a_kept_answer_is_found_whole(tmp_path: Path) -> None:
    for answer in (LLMAnswer("['a', '高兴']\x00\udcff"), LLMAnswer("", cut=True)):
        AnswerCache(tmp_path).store(KEY, answer)
        assert AnswerCache(tmp_path).find(KEY) == answer
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == [f"{KEY}.json"]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff\xfe",
        b"[" * 5000,
        b'{"key": "other", "text": "[]", "cut": false}',
        b'{"text": "[]", "cut": false}',
        b'{"key": KEY, "text": 3, "cut": false}',
        b'{"key": KEY, "text": "[]"}',
        b" " * ((1 << 20) + 1),
    ],
    ids=lambda content: repr(content[:20]),
)
def test_a_damaged_file_counts_as_absent_and_is_written_again(tmp_path: Path, content: bytes) -> None:
    cache = AnswerCache(tmp_path)
    cache.store(KEY, LLMAnswer("[]"))
    (path,) = tmp_path.rglob("*.json")
    path.write_bytes(content.replace(b"KEY", json.dumps(KEY).encode()))
    assert cache.find(KEY) is None
    cache.store(KEY, LLMAnswer("[]"))
    assert cache.find(KEY) == LLMAnswer("[]")


def test_a_write_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = AnswerCache(tmp_path)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(RunError, match="No space left on device"):
        cache.store(KEY, LLMAnswer("[]"))
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_place_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cache: off"):
        AnswerCache(tmp_path / "file" / "cache")


def test_the_default_place_is_the_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_folder() == tmp_path / "affectgpt" / "extraction"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "me"))
    assert default_folder() == tmp_path / "me" / ".cache" / "affectgpt" / "extraction"


# -- in use


def test_a_second_run_asks_nothing(serve: Any, endpoint: Any) -> None:
    server = serve(lambda question: "[calm]" if "<description>" in question else "neutral")
    first = endpoint(server)
    results = [first.emotions(["a", "b"]), first.sentiments(["a", "b"])]
    requests = len(server.requests)
    again = endpoint(server)
    assert [again.emotions(["a", "b"]), again.sentiments(["b", "a"])] == results
    assert requests == 3 and len(server.requests) == requests


def test_a_question_that_was_refused_is_asked_again(serve: Any, endpoint: Any, reply: Any) -> None:
    server = serve(lambda question: reply(status=400) if "\nlong\n" in question else reply("[calm]"))
    for requests in (2, 4):
        result = endpoint(server).emotions(["a", "long"])
        assert result[0] == Extraction(("calm",)) and "refused with 400" in result[1].error
        # The second run knows the first answer, asks again, and makes sure that the server takes a short question.
        assert len(server.requests) == requests


def test_an_answer_is_kept_as_it_was_written(serve: Any, endpoint: Any, tmp_path: Path) -> None:
    text = "<think>anger?</think>[calm]"
    server = serve(lambda question: text)
    assert [endpoint(server).emotions(["a"]) for _ in range(2)] == [[Extraction(("calm",))]] * 2
    (path,) = (tmp_path / "cache").rglob("*.json")
    assert json.loads(path.read_text())["text"] == text and len(server.requests) == 1


def test_what_cannot_be_read_is_kept_too(serve: Any, endpoint: Any) -> None:
    server = serve(lambda question: "I cannot tell.")
    results = [endpoint(server).emotions(["a"]) for _ in range(2)]
    assert results[0] == results[1] and results[0][0].error and len(server.requests) == 1


def test_whatever_decides_an_answer_makes_it_another_question(
    serve: Any, endpoint: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, second = (serve(lambda question: "[calm]") for _ in range(2))
    builds: list[Any] = [
        lambda: endpoint(server),
        lambda: endpoint(server, model="large"),
        lambda: endpoint(second),
        lambda: endpoint(server, max_new_tokens=64),
        lambda: endpoint(server, reasoning_tokens=64),
        lambda: endpoint(server, prompt="Say: {text}"),
    ]
    for build in builds:
        build().emotions(["a"])
    assert len(server.requests) == 5 and len(second.requests) == 1
    monkeypatch.setattr("affectgpt.plugins.extractors.llm_prompts.VERSION", 2)
    endpoint(server).emotions(["a"])
    assert len(server.requests) == 6
    for build in (lambda: endpoint(server, timeout=9), lambda: endpoint(server, retries=2, parallel=9)):
        build().emotions(["a"])
    assert len(server.requests) == 6, "what decides nothing made another question"


@pytest.mark.parametrize("value", [False, "off"])
def test_it_can_be_turned_off(
    serve: Any, endpoint: Any, value: object, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "users"))
    server = serve(lambda question: "[calm]")
    extractor = endpoint(server, cache=value)
    assert [extractor.emotions(["a"]) for _ in range(2)] == [[Extraction(("calm",))]] * 2
    assert len(server.requests) == 2 and not list(tmp_path.iterdir())


def test_by_default_it_is_the_users(serve: Any, endpoint: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "users"))
    endpoint(serve(lambda question: "[calm]"), cache=None).emotions(["a"])
    assert list((tmp_path / "users" / "affectgpt" / "extraction").rglob("*.json"))


SCRIPT = """
import sys
from affectgpt import build_extractor, discover
url, folder = sys.argv[1:]
extractor = build_extractor("llm", {"endpoint": {"url": url, "model": "tiny"}, "cache": folder}, discover())
found = extractor.emotions([f"text {index}" for index in range(40)])
assert [each.labels for each in found] == [("calm",)] * 40, found
assert "torch" not in sys.modules
"""


def test_several_processes_share_it(serve: Any, tmp_path: Path) -> None:
    server = serve(lambda question: "[calm]")
    command = [sys.executable, "-c", SCRIPT, server.url, str(tmp_path)]
    running = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    for item in running:
        _, message = item.communicate(timeout=60)
        assert item.returncode == 0, message
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) == 40 and all(json.loads(path.read_text())["text"] == "[calm]" for path in files)
    requests = len(server.requests)
    options = {"endpoint": {"url": server.url, "model": "tiny"}, "cache": str(tmp_path)}
    build_extractor("llm", options, discover()).emotions([f"text {index}" for index in range(40)])
    assert len(server.requests) == requests
