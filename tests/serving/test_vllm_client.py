"""Asking a server: what comes back, in order, and each way in which it goes wrong."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from affectgpt.core.pipeline import Pipeline
from affectgpt.registry.errors import AffectGPTError, ConfigError, PluginError, RunError
from affectgpt.serving.prompt_embeds import prompts_of_files
from affectgpt.serving.vllm_client import VllmServer, valid_url
from affectgpt.serving.vllm_describe import describe_on_server


def client_for(url: str, **options: Any) -> VllmServer:
    server = VllmServer(url, retries=0, timeout=5, **options)
    server.connect()
    return server


def test_the_server_gets_the_prompts_and_its_texts_come_back_in_order(
    vllm: Callable, answer: Callable, pipeline: Pipeline, videos: list[Path]
) -> None:
    clips = list(prompts_of_files(pipeline, videos))
    lengths = [len(clip.embeds) for clip in clips if clip.embeds is not None]
    server = vllm(lambda embeds: answer(f"  {len(embeds)} tokens\n"))
    rows = [described.row() for described in describe_on_server(pipeline, clips, client_for(server.url))]
    assert [row["id"] for row in rows] == [str(path) for path in videos]
    assert [row["text"] for row in rows if "error" not in row] == [f"{length} tokens" for length in lengths]
    assert rows[2]["text"] == "" and "broken.mp4" in rows[2]["error"]
    assert rows[0]["tokens"] == 3 and rows[0]["subtitle"] == clips[0].subtitle
    sent = {embeds.shape[0]: embeds for embeds in server.embeds}
    for clip in clips:
        if clip.embeds is not None:
            assert any(torch.equal(embed, clip.embeds) and embed.dtype == clip.embeds.dtype for embed in server.embeds)
    assert len(server.bodies) == 5 and sent
    (body,) = {str({k: v for k, v in embed.items() if k != "prompt_embeds"}): embed for embed in server.bodies}.values()
    assert body["model"] == "base" and body["temperature"] == 0.0 and body["repetition_penalty"] == 1.5
    assert body["stop"] == ["\n\n", "###"] and body["stop_token_ids"] == pipeline.llm.end_ids()
    assert body["max_tokens"] == 12


def test_a_stop_text_is_cut_off_also_where_the_server_leaves_it(
    vllm: Callable, answer: Callable, pipeline: Pipeline, videos: list[Path]
) -> None:
    server = vllm(lambda embeds: answer("glad### and more"))
    (row,) = (
        described.row()
        for described in describe_on_server(pipeline, prompts_of_files(pipeline, videos[:1]), client_for(server.url))
    )
    assert row["text"] == "glad"


def test_a_text_that_was_cut_says_so(vllm: Callable, answer: Callable, pipeline: Pipeline, videos: list[Path]) -> None:
    server = vllm(lambda embeds: answer("glad", finish="length"))
    (row,) = (
        described.row()
        for described in describe_on_server(pipeline, prompts_of_files(pipeline, videos[:1]), client_for(server.url))
    )
    assert "as long as it may be" in row["notes"][-1]


def test_a_refused_prompt_costs_its_own_row_only(
    vllm: Callable, answer: Callable, pipeline: Pipeline, videos: list[Path]
) -> None:
    clips = [clip for clip in prompts_of_files(pipeline, videos) if clip.embeds is not None]
    longest = max(len(clip.embeds) for clip in clips)
    server = vllm(lambda e: answer(status=400, error="too long") if len(e) == longest else answer())
    rows = [described.row() for described in describe_on_server(pipeline, clips, client_for(server.url))]
    assert [("error" in row) for row in rows] == [len(clip.embeds) == longest for clip in clips]
    assert all("too long" in row["error"] for row in rows if "error" in row)
    assert {row["text"] for row in rows if "error" not in row} == {"calm"}


FATAL: dict[str, tuple[Callable, str]] = {
    "no such flag": (lambda a: a(status=400, error="You must set `--enable-prompt-embeds`"), "--enable-prompt"),
    "embeddings left unread": (lambda a: a(read=1), "does not read prompt_embeds"),
    "a fault": (lambda a: a(status=500), "see what the server printed"),
    "no key": (lambda a: a(status=401), "VLLM_API_KEY is not set"),
    "not found": (lambda a: a(status=404), "with /v1"),
    "no JSON": (lambda a: a(body=b"<html>"), "with /v1"),
    "another JSON": (lambda a: a(body=b'{"choices": [{"text": 5}]}'), "with /v1"),
    "no choices": (lambda a: a(body=b"[]"), "with /v1"),
}


@pytest.mark.parametrize("case", FATAL)
def test_a_server_that_fails_is_one_error(
    case: str, vllm: Callable, answer: Callable, pipeline: Pipeline, videos: list[Path]
) -> None:
    make, words = FATAL[case]
    server = vllm(lambda embeds: make(answer))
    with pytest.raises(RunError) as caught:
        list(describe_on_server(pipeline, prompts_of_files(pipeline, videos[:2]), client_for(server.url)))
    assert words in str(caught.value) and server.url in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("usage", [{}, {"prompt_tokens": "9999"}, {"prompt_tokens": 1e9}, {"prompt_tokens": True}])
def test_an_answer_that_does_not_say_what_was_read_is_not_taken(
    usage: dict, vllm: Callable, answer: Callable, pipeline: Pipeline, videos: list[Path]
) -> None:
    server = vllm(lambda embeds: answer(usage=usage))
    (row,) = (
        described.row()
        for described in describe_on_server(pipeline, prompts_of_files(pipeline, videos[:1]), client_for(server.url))
    )
    assert row["text"] == "" and "usage.prompt_tokens" in row["error"] and "refuses" not in row["error"]


def test_a_redirect_takes_no_prompt_elsewhere(
    vllm: Callable, answer: Callable, pipeline: Pipeline, videos: list[Path]
) -> None:
    second = vllm()
    path = f"{second.url}/completions"
    server = vllm(lambda embeds: answer(status=307, headers={"Location": path}))
    with pytest.raises(RunError, match="a redirect to") as caught:
        list(describe_on_server(pipeline, prompts_of_files(pipeline, videos[:1]), client_for(server.url)))
    assert path in str(caught.value) and second.bodies == []


def test_a_reply_that_is_too_large_or_packed_is_not_read(
    vllm: Callable, answer: Callable, pipeline: Pipeline, videos: list[Path]
) -> None:
    sent = []

    def endless(handler: Any) -> None:
        handler.send_response(200)
        handler.end_headers()
        try:
            for _ in range(200):
                handler.wfile.write(b" " * (1 << 20))
                sent.append(1)
        except OSError:
            return

    for result, words in (
        (answer(raw=endless), "MiB in one reply"),
        (answer(body=b"x", headers={"Content-Encoding": "gzip"}), "a compressed reply"),
    ):
        server = vllm(lambda embeds, result=result: result)
        with pytest.raises(RunError, match=words):
            list(describe_on_server(pipeline, prompts_of_files(pipeline, videos[:1]), client_for(server.url)))
    assert len(sent) < 100


@pytest.mark.parametrize("part", ["head", "body"])
def test_a_reply_that_drips_ends_with_the_time_for_the_request(
    part: str, vllm: Callable, answer: Callable, pipeline: Pipeline, videos: list[Path], stopped_after: Callable
) -> None:
    over = threading.Event()

    def drip(handler: Any) -> None:
        try:
            handler.wfile.write(b"HTTP/1.1 200 OK\r\n" + (b"\r\n" if part == "body" else b"X-A: "))
            while not over.wait(0.1):
                handler.wfile.write(b" ")
        except OSError:
            return

    server = vllm(lambda embeds: answer(raw=drip))
    try:
        with stopped_after(30), pytest.raises(RunError, match=r"no whole reply within 0\.5 s") as caught:
            client = VllmServer(server.url, retries=0, timeout=0.5)
            client.connect()
            list(describe_on_server(pipeline, prompts_of_files(pipeline, videos[:1]), client))
    finally:
        over.set()
    assert server.url in str(caught.value)


def test_names_of_the_server_make_no_lines_of_their_own(vllm: Callable) -> None:
    server = vllm()
    server.models = ["a\nerror: all is lost", "b\x1b[31m\u202e"]
    for model in (None, "other"):
        with pytest.raises(ConfigError) as caught:
            VllmServer(server.url, model=model).connect()
        message = str(caught.value)
        assert "\nerror: all" not in message and "\x1b" not in message and "\u202e" not in message


def test_no_server_is_one_error_at_once(stopped_after: Callable) -> None:
    with stopped_after(20), pytest.raises(RunError, match="check that the server runs"):
        client_for("http://127.0.0.1:9/v1")


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "ftp://host/v1",
        "localhost:8000",
        "http://",
        "http://[::1",
        "http://a:b@host/v1",
        "http://host:port/v1",
        "",
    ],
)
def test_only_web_addresses_are_taken(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        valid_url(url)
    assert "a:b" not in str(caught.value)


def test_the_model_is_the_only_one_or_the_one_that_is_named(vllm: Callable) -> None:
    server = vllm()
    assert VllmServer(server.url).connect() == "base"
    server.models = ["base", "mine"]
    with pytest.raises(ConfigError, match="served_model=") as caught:
        VllmServer(server.url).connect()
    assert "base, mine" in str(caught.value)
    assert VllmServer(server.url, model="mine").connect() == "mine"
    with pytest.raises(ConfigError, match="base, mine"):
        VllmServer(server.url, model="other").connect()


def test_the_key_is_sent_and_never_shown(
    vllm: Callable, answer: Callable, pipeline: Pipeline, videos: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = "sk-do-not-print-this"
    monkeypatch.setenv("VLLM_API_KEY", secret + "\n")
    server = vllm(lambda embeds: answer(status=401, error=f"the key {secret} is wrong"))
    with pytest.raises(AffectGPTError) as caught:
        list(describe_on_server(pipeline, prompts_of_files(pipeline, videos[:1]), client_for(server.url)))
    assert f"Bearer {secret}" in server.keys
    assert secret not in str(caught.value) and "[the key]" in str(caught.value)
    monkeypatch.setenv("VLLM_API_KEY", "söcret\x07")
    with pytest.raises(ConfigError) as refused:
        VllmServer(server.url)
    assert "cret" not in str(refused.value)


def test_requests_are_sent_together_but_no_more_than_allowed(vllm: Callable, answer: Callable) -> None:
    gate = threading.Barrier(3)

    def together(embeds: torch.Tensor) -> Any:
        gate.wait(timeout=100)
        return answer(str(int(embeds[0, 0])))

    server = vllm(together)
    from affectgpt.core.config import GenerationConfig
    from affectgpt.serving.vllm_request import request_body

    client = client_for(server.url, parallel=3)
    requests = [
        (n, lambda n=n: request_body(torch.full((2, 2), float(n)), GenerationConfig(), model="base"), 2)
        for n in range(9)
    ]
    results = [(n, reply.text) for n, reply in client.replies(requests) if reply]
    assert results == [(n, str(n)) for n in range(9)]
    assert server.most == 3


def test_the_first_answers_come_before_the_last_clip_is_read(vllm: Callable) -> None:
    server = vllm()
    from affectgpt.core.config import GenerationConfig
    from affectgpt.serving.vllm_request import request_body

    read = []

    def clips() -> Any:
        for n in range(50):
            read.append(n)
            yield n, lambda: request_body(torch.ones(2, 2), GenerationConfig(), model="base"), 2

    first = next(client_for(server.url, parallel=4).replies(clips()))
    assert first[0] == 0 and len(read) <= 5


def test_without_the_client_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "openai", None)
    with pytest.raises(PluginError, match=r"affectgpt\[vllm\]"):
        VllmServer("http://127.0.0.1:9/v1")


def test_an_interruption_does_not_wait_for_the_server(vllm: Callable, answer: Callable) -> None:
    held_out = threading.Event()
    server = vllm(lambda embeds: (held_out.wait(10) and None) or answer())
    from affectgpt.core.config import GenerationConfig
    from affectgpt.serving.vllm_request import request_body

    rows = client_for(server.url, parallel=4).replies(
        (n, lambda: request_body(torch.ones(2, 2), GenerationConfig(), model="base"), 2) for n in range(2)
    )
    threading.Thread(target=lambda: (time.sleep(0.2), held_out.set()), daemon=True).start()
    assert next(rows)[1] is not None
    rows.close()
    assert all(thread.daemon or thread is threading.main_thread() for thread in threading.enumerate())
