"""`affectgpt serve-embeds`: texts from a server, prompts in a folder, and what is refused."""

from __future__ import annotations

import base64
import io
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from affectgpt.core.batch import collate
from affectgpt.core.saved.model import load
from affectgpt.media.clip import Clip
from affectgpt.registry.discovery import discover


@dataclass
class Served:
    """What came to the server; `fail_after` requests it answers 500."""

    url: str = ""
    embeds: list[torch.Tensor] = field(default_factory=list)
    fail_after: int | None = None


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("VLLM_API_KEY", raising=False)
    state = Served()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            """Nothing is printed."""

        def do_GET(self) -> None:
            self.send(200, {"object": "list", "data": [{"id": "mine", "object": "model"}]})

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if state.fail_after is not None and len(state.embeds) >= state.fail_after:
                return self.send(500, {"error": {"message": "out of memory"}})
            raw = base64.b64decode(body["prompt_embeds"])
            state.embeds.append(torch.load(io.BytesIO(raw), weights_only=True))
            total = float(state.embeds[-1].sum())
            return self.send(
                200,
                {
                    "id": "1",
                    "object": "text_completion",
                    "created": 0,
                    "model": "mine",
                    "choices": [{"index": 0, "text": f" {total:.3f} \x1b[31m", "finish_reason": "stop"}],
                    "usage": {"prompt_tokens": len(state.embeds[-1]), "completion_tokens": 4, "total_tokens": 9},
                },
            )

        def send(self, status: int, body: dict[str, Any]) -> None:
            content = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

    listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    state.url = f"http://127.0.0.1:{listening.server_address[1]}/v1"
    yield state
    listening.shutdown()
    listening.server_close()


def expected(model: Path, files: list[Path]) -> list[torch.Tensor]:
    pipeline = load(model, discover())
    clips = [Clip.open(path) for path in files]
    batch = collate([pipeline.prepare(clip) for clip in clips], [clip.subtitle for clip in clips])
    with torch.no_grad():
        return pipeline.prompts(pipeline.fuse(pipeline.encode(batch, one_by_one=True)), batch.subtitles)


def rows_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


QUICK = ("--workers", "0", "--device", "cpu")


def test_the_texts_of_the_server_are_shown_and_written(
    run: Callable, server: Served, model: Path, videos: list[Path], tmp_path: Path
) -> None:
    # A header without a sample.
    header = (Path(__file__).parents[1] / "media" / "no_samples.wav").read_bytes()
    (tmp_path / "bad.mp4").write_bytes(header)
    files = [*videos[:2], tmp_path / "bad.mp4"]
    outcome = run("serve-embeds", *files, "--model", model, "--server", server.url, *QUICK)
    assert outcome.code == 2 and outcome.errors == 1 and "bad.mp4" in outcome.err and "Traceback" not in outcome.err
    prompts = expected(model, files[:2])
    assert {len(embeds) for embeds in server.embeds} == {len(embeds) for embeds in prompts}
    for prompt in prompts:
        assert any(torch.equal(prompt, embeds) for embeds in server.embeds)
        assert f"{float(prompt.sum()):.3f}" in outcome.out
    assert "\x1b" not in outcome.out
    out = tmp_path / "rows.jsonl"
    written = run("serve-embeds", *files, "--model", model, "--server", server.url, "--out", out, *QUICK)
    rows = rows_of(out)
    assert written.code == 2 and written.out == ""
    assert [row["id"] for row in rows] == [str(path) for path in files] and "nothing in this clip" in rows[2]["error"]
    outcome = run("serve-embeds", *files[:1], "--model", model, "--server", server.url, "--json", *QUICK)
    assert outcome.code == 0 and json.loads(outcome.out) == rows[0]


def test_a_run_that_the_server_broke_off_goes_on_where_it_stopped(
    run: Callable, server: Served, model: Path, videos: list[Path], tmp_path: Path
) -> None:
    command = ("serve-embeds", *videos[:4], "--model", model, "--server", server.url, *QUICK, "--parallel", "1")
    run(*command, "--out", tmp_path / "whole.jsonl")
    server.embeds.clear()
    server.fail_after = 2
    broken = run(*command, "--out", tmp_path / "rows.jsonl")
    assert broken.code == 1 and broken.errors == 1 and "out of memory" in broken.err
    assert len(rows_of(tmp_path / "rows.jsonl")) == 2
    server.fail_after = None
    assert run(*command, "--out", tmp_path / "rows.jsonl").code == 0
    assert len(server.embeds) == 4
    assert (tmp_path / "rows.jsonl").read_bytes() == (tmp_path / "whole.jsonl").read_bytes()
    outcome = run(*command, "--out", tmp_path / "rows.jsonl", "--question", "Why?")
    assert outcome.code == 2 and "other settings" in outcome.err


@pytest.mark.parametrize(
    ("options", "recorded"), [((), None), (("--question", "Why?"), "Why?"), (("--question", ""), "")]
)
def test_the_question_that_was_asked_is_recorded(
    run: Callable, model: Path, videos: list[Path], tmp_path: Path, options: tuple[str, ...], recorded: str | None
) -> None:
    outcome = run("serve-embeds", videos[0], "--model", model, "--export", tmp_path / "out", *options, *QUICK)
    assert outcome.code == 0, outcome.err
    settings = json.loads((tmp_path / "out" / "index.run.json").read_text())
    default = load(model, discover()).plan.config.prompt.question
    assert settings["question"] == (default if recorded is None else recorded)


@pytest.mark.slow
def test_a_reader_that_has_enough_ends_the_command_quietly(
    server: Served, model: Path, videos: list[Path], tmp_path: Path
) -> None:
    for more in ([], ["--json", "--out", tmp_path / "rows.jsonl"]):
        ours, theirs = os.pipe()
        command = ["serve-embeds", *videos[:3], "--model", model, "--server", server.url, *QUICK, *more]
        process = subprocess.Popen(
            [sys.executable, "-m", "affectgpt.cli.main", *map(str, command)],
            stdout=theirs,
            stderr=subprocess.PIPE,
            text=True,
        )
        os.close(theirs)
        os.close(ours)
        _, stderr = process.communicate(timeout=120)
        assert process.returncode == 1 and "error" not in stderr.lower() and "Traceback" not in stderr, stderr


def test_prompts_are_exported_for_a_server_elsewhere(
    run: Callable, model: Path, videos: list[Path], tmp_path: Path
) -> None:
    (tmp_path / "bad.mp4").write_bytes(b"no film")
    files = [videos[0], tmp_path / "bad.mp4", videos[1]]
    outcome = run("serve-embeds", *files, "--model", model, "--export", tmp_path / "out", *QUICK)
    assert outcome.code == 2 and outcome.errors == 1
    rows = rows_of(tmp_path / "out" / "index.jsonl")
    assert [row["id"] for row in rows] == [str(path) for path in files]
    assert "error" in rows[1] and "embeds" not in rows[1]
    for row, prompt in zip([rows[0], rows[2]], expected(model, [videos[0], videos[1]]), strict=True):
        tensors = load_file(tmp_path / "out" / row["embeds"])
        assert torch.equal(tensors["prompt_embeds"], prompt) and row["tokens"] == len(prompt)
    sampling = json.loads((tmp_path / "out" / "sampling.json").read_text())
    assert sampling["temperature"] == 0 and sampling["max_tokens"] == 12
    assert outcome.out == f"3 clips, 1 error: {tmp_path / 'out'}\n"
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    again = run("serve-embeds", *files, "--model", model, "--export", tmp_path / "out", *QUICK)
    assert again.code == 2 and again.out == outcome.out and "1 of the 3 rows" in again.err
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before


WRONG: dict[str, tuple[list[str], str]] = {
    "neither": ([], "--server URL, or --export"),
    "both": (["--server", "http://127.0.0.1:9/v1", "--export", "out"], "--server URL, or --export"),
    "a file": (["--server", "file:///etc/passwd"], "no web address"),
    "a password": (["--server", "http://me:secret@host/v1"], "must hold no password"),
    "texts without a server": (["--export", "out", "--out", "rows.jsonl"], "without a server"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_command_line_is_one_error(case: str, refused: Callable, workspace: Any) -> None:
    options, words = WRONG[case]
    refused(["serve-embeds", workspace.good_clip(), "--model", str(workspace.model), *options], words)


def test_no_server_is_one_error_before_the_model_is_loaded(run: Callable, workspace: Any) -> None:
    outcome = run(
        "serve-embeds", workspace.good_clip(), "--model", "no-such-model", "--server", "http://127.0.0.1:9/v1"
    )
    assert outcome.code == 1 and outcome.errors == 1 and "check that the server runs" in outcome.err
    assert "no-such-model" not in outcome.err
