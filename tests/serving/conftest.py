"""A server on this machine that speaks as much of vLLM as the tests need, and a pipeline with a real model folder."""

from __future__ import annotations

import base64
import io
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import Tensor

from affectgpt.core.assembly import assemble
from affectgpt.core.load_config import read_config
from affectgpt.core.pipeline import Pipeline
from affectgpt.core.plan import make_plan
from affectgpt.core.saved.model import save
from affectgpt.registry.discovery import discover

CONFIG = """\
seed: 3
encoders:
  audio: {plugin: mel, n_mels: 16, stack: 10, max_seconds: 4}
  face: {plugin: timm, model: test_vit, init: random, frames: 3, size: 32, frozen: false, model_args: {img_size: 32}, features: 64}
fusers:
  audio_tokens: {plugin: temporal-attention, inputs: [audio]}
  multi: {plugin: modality-attention, inputs: [face, audio]}
llm: {plugin: causal-lm, model: MODEL, dtype: bfloat16, lora: {r: 4, alpha: 8, targets: [q_proj, v_proj]}}
prompt: {template: affectgpt, order: [multi, audio_tokens, subtitle], max_subtitle_tokens: 40, answer_end: "###"}
generation: {max_new_tokens: 12, stop: ["\\n\\n"], repetition_penalty: 1.5}
"""  # noqa: E501 - one line per node


@dataclass
class Answer:
    """What a request is met with."""

    text: str = "calm"
    status: int = 200
    finish: str = "stop"
    read: int | None = None
    error: str = ""
    body: bytes | None = None
    usage: dict[str, Any] | None = None
    headers: dict[str, str] = field(default_factory=dict)
    raw: Callable[[Any], None] | None = None


@dataclass
class VLLM:
    """The server's state: `bodies` that came, the `embeds` in them, the `keys`, and how many at once at most."""

    answer: Callable[[Tensor], Answer]
    models: list[str] = field(default_factory=lambda: ["base"])
    url: str = ""
    bodies: list[dict[str, Any]] = field(default_factory=list)
    embeds: list[Tensor] = field(default_factory=list)
    keys: set[str] = field(default_factory=set)
    most: int = 0


@contextmanager
def serving(answer: Callable[[Tensor], Answer]) -> Iterator[VLLM]:
    state, lock, running = VLLM(answer), threading.Lock(), [0]

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            """Nothing is printed."""

        def do_GET(self) -> None:
            state.keys.add(self.headers.get("Authorization", ""))
            assert self.path == "/v1/models"
            self.send(200, {"object": "list", "data": [{"id": each, "object": "model"} for each in state.models]})

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            assert self.path == "/v1/completions"
            if body.get("prompt") == "":
                # As vLLM 0.32 does, also beside embeddings.
                return self.send(400, {"error": {"message": "The decoder prompt cannot be empty", "code": 400}})
            # As vLLM does it.
            raw = io.BytesIO(base64.b64decode(body["prompt_embeds"], validate=True))
            embeds = torch.load(raw, weights_only=True, map_location="cpu")
            with lock:
                running[0] += 1
                state.most = max(state.most, running[0])
                state.bodies.append(body)
                state.embeds.append(embeds)
            result = state.answer(embeds)
            with lock:
                running[0] -= 1
            if result.raw is not None:
                return result.raw(self)
            if result.headers:
                return self.send(result.status, result.body or b"", result.headers)
            if result.status != 200:
                return self.send(result.status, {"error": {"message": result.error or f"refused with {result.status}"}})
            if result.body is not None:
                return self.send(200, result.body)
            return self.send(
                200,
                {
                    "id": "1",
                    "object": "text_completion",
                    "created": 0,
                    "model": body["model"],
                    "choices": [{"index": 0, "text": result.text, "finish_reason": result.finish, "logprobs": None}],
                    "usage": result.usage
                    if result.usage is not None
                    else {
                        "prompt_tokens": len(embeds) if result.read is None else result.read,
                        "completion_tokens": 3,
                        "total_tokens": 3,
                    },
                },
            )

        def send(self, status: int, body: dict[str, Any] | bytes, headers: dict[str, str] | None = None) -> None:
            content = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(status)
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    state.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture
def vllm(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., VLLM]]:
    """`vllm(answer)` starts a server whose answers `answer(embeds)` decides (default: "calm")."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("VLLM_API_KEY", raising=False)
    with ExitStack() as stack:
        yield lambda answer=lambda embeds: Answer(): stack.enter_context(serving(answer))


@pytest.fixture
def answer() -> type[Answer]:
    """The class of answers."""
    return Answer


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a small language model with four layers and a tokenizer of bytes."""
    from transformers import AutoConfig, AutoModelForCausalLM

    from affectgpt.plugins.llms.tokenizer import byte_tokenizer

    folder = tmp_path_factory.mktemp("base") / "qwen"
    torch.manual_seed(1)
    config = AutoConfig.for_model(
        "qwen2",
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=4,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=2048,
        vocab_size=300,
        eos_token_id=256,
    )
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    byte_tokenizer().save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def pipeline(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    """A pipeline on that model, with an adapter; not to be changed by a test."""
    path = tmp_path_factory.mktemp("config") / "served.yaml"
    path.write_text(yaml.safe_dump(yaml.safe_load(CONFIG.replace("MODEL", str(base)))))
    catalog = discover()
    config = read_config(path, catalog)
    torch.manual_seed(0)
    return assemble(make_plan(config))


@pytest.fixture(scope="session")
def model(pipeline: Pipeline, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """That pipeline, saved."""
    folder = tmp_path_factory.mktemp("saved") / "model"
    save(pipeline, folder)
    return folder


@pytest.fixture(scope="session")
def videos(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Five short clips, and in their midst one that is none."""
    from affectgpt.synthetic.clips import write_clips
    from affectgpt.synthetic.difficulty import Difficulty

    folder = tmp_path_factory.mktemp("clips") / "train"
    write_clips(folder, clips=5, seed=1, workers=1, difficulty=Difficulty(seconds=(1.0, 1.5)))
    files = sorted((folder / "video").iterdir())
    for number, path in enumerate(files):
        # Each prompt then has a length of its own.
        path.with_suffix(".txt").write_text("so " * (5 - number))
    broken = folder / "video" / "broken.mp4"
    broken.write_bytes(b"no film")
    return [*files[:2], broken, *files[2:]]
