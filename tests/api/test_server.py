"""`describe_on_server` and `export_prompts`, with a server of this process that answers as vLLM does."""

from __future__ import annotations

import base64
import io
import json
import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from affectgpt.api.server import describe_on_server, export_prompts
from affectgpt.core.description import Description
from affectgpt.registry.errors import ConfigError, MediaError, RunError


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """The address of a server that answers every prompt with its number, and the requests that came."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("VLLM_API_KEY", raising=False)
    requests: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            """Nothing is printed."""

        def do_GET(self) -> None:
            self.send({"object": "list", "data": [{"id": "mine", "object": "model"}]})

        def do_POST(self) -> None:
            requests.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            embeds = torch.load(io.BytesIO(base64.b64decode(requests[-1]["prompt_embeds"])), weights_only=True)
            choice = {"index": 0, "text": f" text {len(requests)}", "finish_reason": "stop"}
            usage = {"prompt_tokens": len(embeds), "completion_tokens": 4, "total_tokens": len(embeds) + 4}
            shared = {"id": "1", "object": "text_completion", "created": 0, "model": "mine"}
            self.send({**shared, "choices": [choice], "usage": usage})

        def send(self, body: dict[str, Any]) -> None:
            content = json.dumps(body).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/v1", requests
    server.shutdown()
    server.server_close()


@pytest.fixture
def files(synthetic_folder: Path, tmp_path: Path) -> list[Path]:
    """A clip, a file that is none, and another clip."""
    folder = tmp_path / "clips"
    folder.mkdir()
    first, second = sorted((synthetic_folder / "video").iterdir())[:2]
    shutil.copy(first, folder / "a.mp4")
    (folder / "b.mp4").write_bytes(b"no video")
    shutil.copy(second, folder / "c.mp4")
    return sorted(folder.iterdir())


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_the_texts_of_a_server_are_descriptions_and_rows(
    answers: tuple[str, list[dict[str, Any]]], files: list[Path], tmp_path: Path
) -> None:
    url, requests = answers
    calls: list[tuple[str, int, int | None]] = []
    out = tmp_path / "rows.jsonl"
    run = describe_on_server(
        "tiny",
        [files[0].parent],
        url,
        out=out,
        parallel=1,
        progress=lambda *call: calls.append(call),
    )
    first, broken, last = run
    assert run.files == files and run.failed == 1 and isinstance(first, Description)
    assert (first.file, first.text, first.tokens, first.error) == (str(files[0]), "text 1", 4, "")
    assert broken.text == "" and "b.mp4" in broken.error and last.text == "text 2" and len(requests) == 2
    assert calls[-1] == ("describing", 3, 3) and rows(out) == [clip.row() for clip in (first, broken, last)]
    assert list(first.row()) == ["id", "text", "subtitle", "tokens", "notes"] and list(broken.row())[-1] == "error"
    again = describe_on_server("tiny", [files[0].parent], url, out=out, progress=False)
    assert again.failed == 1 and list(again) == [] and len(requests) == 2


def test_a_run_that_is_closed_writes_no_more_and_is_continued(
    answers: tuple[str, list[dict[str, Any]]], files: list[Path], tmp_path: Path
) -> None:
    url, _ = answers
    out = tmp_path / "rows.jsonl"
    run = describe_on_server("tiny", files, url, out=out, parallel=1, batch_size=1, progress=False)
    next(iter(run))
    run.close()
    assert len(rows(out)) == 1
    remaining = describe_on_server("tiny", files, url, out=out, progress=False)
    assert [clip.file for clip in remaining] == [str(path) for path in files[1:]] and len(rows(out)) == 3


def test_prompts_are_exported_with_an_index(files: list[Path], tmp_path: Path) -> None:
    run = export_prompts("tiny", files, tmp_path / "prompts", progress=False)
    first, broken, last = run
    assert run.failed == 1 and broken.embeds == "" and "b.mp4" in broken.error
    for clip in (first, last):
        assert load_file(tmp_path / "prompts" / clip.embeds)["prompt_embeds"].shape[0] == clip.tokens
    assert rows(tmp_path / "prompts" / "index.jsonl") == [clip.row() for clip in (first, broken, last)]
    assert list(first.row()) == ["id", "subtitle", "notes", "embeds", "tokens"]
    assert json.loads((tmp_path / "prompts" / "sampling.json").read_text())["temperature"] == 0


def test_wrong_arguments_are_refused_before_the_model_is_loaded(files: list[Path], tmp_path: Path) -> None:
    with pytest.raises(MediaError, match=r"none\.mp4"):
        export_prompts("no-such-model", [tmp_path / "none.mp4"], tmp_path / "out")
    with pytest.raises(ConfigError, match="no web address") as error:
        describe_on_server("no-such-model", files, "file:///etc/passwd")
    assert error.value.problems[0].where == "server"
    with pytest.raises(RunError, match="check that the server runs") as failure:
        describe_on_server("no-such-model", files, "http://127.0.0.1:9/v1")
    assert "--" not in str(failure.value)
    with pytest.raises(ConfigError, match="device"):
        export_prompts("tiny", files, tmp_path / "out", device="tpu", progress=False)
    assert not (tmp_path / "out").exists()
