"""A server on this machine that speaks as much of OpenAI's chat completions as the tests need."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from affectgpt import build_extractor, discover
from affectgpt.core.contracts import Extractor
from affectgpt.plugins.extractors.llm_config import Endpoint


@dataclass
class Reply:
    """What a request is met with; `body` replaces the completion, `wait` comes before anything is sent.

    `beside` holds further fields of the message.
    """

    text: str | None = ""
    status: int = 200
    finish: str = "stop"
    body: bytes | None = None
    kind: str = "application/json"
    wait: float = 0.0
    beside: dict[str, str] = field(default_factory=dict)

    def content(self) -> bytes:
        if self.body is not None:
            return self.body
        if self.status != 200:
            return json.dumps({"error": {"message": f"refused with {self.status}"}}).encode()
        message = {"role": "assistant", "content": self.text, **self.beside}
        return json.dumps(
            {
                "id": "1",
                "object": "chat.completion",
                "created": 0,
                "model": "tiny",
                "choices": [{"index": 0, "message": message, "finish_reason": self.finish}],
            }
        ).encode()


@dataclass
class ChatServer:
    """`answer(question)` decides each reply; `requests` are the bodies that came, `most` how many at once.

    A request with one of the `unknown_fields` is refused, with its name.
    """

    answer: Callable[[str], str | Reply]
    unknown_fields: frozenset[str] = frozenset()
    url: str = ""
    requests: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    most: int = 0
    stopped: threading.Event = field(default_factory=threading.Event)

    @property
    def questions(self) -> list[str]:
        return [request["messages"][-1]["content"] for request in self.requests]


@contextmanager
def serving(answer: Callable[[str], str | Reply], unknown_fields: Iterable[str] = ()) -> Iterator[ChatServer]:
    """A running server; it is stopped at the end, with whatever it still holds back."""
    state, lock, running = ChatServer(answer, frozenset(unknown_fields)), threading.Lock(), [0]

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with lock:
                running[0] += 1
                state.most = max(state.most, running[0])
                state.requests.append(request)
                state.keys.append(self.headers.get("Authorization", ""))
                state.paths.append(self.path)
            try:
                refused = sorted(state.unknown_fields & set(request))
                if refused:
                    message = {"error": {"message": f"Unrecognized request argument supplied: {refused[0]}"}}
                    self._send(Reply(status=400, body=json.dumps(message).encode()))
                    return
                inputs = state.answer(request["messages"][-1]["content"])
                self._send(inputs if isinstance(inputs, Reply) else Reply(inputs))
            finally:
                with lock:
                    running[0] -= 1

        def _send(self, reply: Reply) -> None:
            if reply.wait and state.stopped.wait(reply.wait):
                return
            content = reply.content()
            try:
                self.send_response(reply.status)
                self.send_header("Content-Type", reply.kind)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)
            except OSError:
                pass  # the client has gone, as some tests want

        def log_message(self, *_: Any) -> None:
            """Nothing is printed."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    state.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    try:
        yield state
    finally:
        state.stopped.set()
        server.shutdown()
        server.server_close()
        thread.join(timeout=5)


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., ChatServer]]:
    """`serve(answer)` starts a server whose replies `answer(question)` decides: a text or a `Reply`."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with ExitStack() as stack:
        yield lambda answer, **options: stack.enter_context(serving(answer, **options))


@pytest.fixture
def reply() -> type[Reply]:
    """The class of replies."""
    return Reply


@pytest.fixture
def endpoint(tmp_path: Path) -> Callable[..., Extractor]:
    """`endpoint(server, **options)`: the extractor that asks it; options of the endpoint are told by their names."""

    def build(server: ChatServer, **options: Any) -> Extractor:
        own_values = {name: options.pop(name) for name in Endpoint.model_fields if name in options}
        node = {"url": server.url, "model": "tiny", "timeout": 5, "retries": 0, **own_values}
        return build_extractor("llm", {"endpoint": node, "cache": str(tmp_path / "cache"), **options}, discover())

    return build
