"""Send requests to a vLLM server with OpenAI's client, several at a time; replies come in order."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from threading import Thread
from typing import Any, TypeVar
from urllib.parse import urlsplit

from affectgpt.registry.errors import AffectGPTError, ConfigError, PluginError, RunError, join_names

KEY = "VLLM_API_KEY"
"""The environment variable that holds the server's key, if it wants one."""
_LONGEST = 100_000
_REFUSED = (400, 413, 422)  # Status codes with which servers refuse a single request.
_SLOW = "start it again later, or send fewer requests at a time with parallel="
_FLAG = "start it with --enable-prompt-embeds"

PromptRequest = TypeVar("PromptRequest")


@dataclass(frozen=True)
class Reply:
    """The `text` of a reply and its number of `tokens` (None: unknown), or why there is no text (`refused`).

    `cut`: the text ends at the maximal length.
    """

    text: str = ""
    tokens: int | None = None
    cut: bool = False
    refused: str = ""


class VllmServer:
    """A vLLM server at `url` (`http://host:8000/v1`) and one of its models.

    `timeout` is in seconds, for one request with its up to `retries` repetitions until the reply is complete. Redirects
    are not followed. Raises ConfigError when the address or the key in the
    environment is not one, PluginError when OpenAI's client is not installed.
    """

    def __init__(
        self, url: str, *, model: str | None = None, parallel: int = 8, timeout: float = 600.0, retries: int = 2
    ) -> None:
        self.url, self.parallel = valid_url(url), parallel
        self._key = _key()
        try:
            import openai

            from affectgpt.serving.bounded_client import BoundedClient
        except ModuleNotFoundError as error:
            raise PluginError(
                "requests to a server need a package that is not installed",
                found=str(error),
                hint="pip install 'affectgpt[vllm]'",
            ) from error
        # The client requires a key; a local server usually needs none.
        self._client = openai.OpenAI(
            base_url=self.url,
            api_key=self._key or "none",
            timeout=timeout,
            max_retries=retries,
            http_client=BoundedClient(lambda found, hint: self._failure(self._clean(found), hint), timeout=timeout),
        )
        self.model, self._timeout = model or "", timeout

    def __enter__(self) -> VllmServer:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def connect(self) -> str:
        """Connect. Returns the name of the model: the one that was asked for, or the only one of the server.

        Raises RunError when there is no such server, ConfigError when it has not that model, or several to choose from.
        """
        seconds = min(self._timeout, 20)
        models = self._guarded(lambda: self._client.with_options(timeout=seconds, max_retries=0).models.list(), seconds)
        names = [str(model.id) for model in getattr(models, "data", None) or [] if getattr(model, "id", None)]
        if self.model and self.model not in names:
            raise ConfigError(
                "the server has no such model",
                where=self.url,
                found=self.model,
                expected=f"one of {join_names([self._clean(name) for name in names])}",
                hint="an adapter is named with --lora-modules when the server starts",
            )
        if not self.model and len(names) != 1:
            raise ConfigError(
                "which of the server's models?",
                where=self.url,
                found=join_names([self._clean(name) for name in names]),
                hint="name one with served_model=",
            )
        self.model = self.model or names[0]
        return self.model

    def complete(self, body: Mapping[str, Any], prompt_tokens: int) -> Reply:
        """Send one request. Returns its reply; `prompt_tokens` is the number of embeddings in the request.

        Raises RunError when the server cannot be reached, wants a key, or does not read embeddings.
        """
        options = {key: value for key, value in body.items() if key not in ("model", "prompt")}
        try:
            completion = self._guarded(
                lambda: self._client.completions.create(model=body["model"], prompt=body["prompt"], extra_body=options),
                self._timeout,
            )
        except _RefusedError as error:
            return Reply(refused=error.server_text)
        choices = getattr(completion, "choices", None)
        choice = choices[0] if isinstance(choices, list) and choices else None
        text = getattr(choice, "text", None)
        if not isinstance(text, str):
            raise self._failure(self._clean(f"{completion!r}"), "is this the address of a vLLM server, with /v1?")
        tokens_read, answer_tokens = (_count(completion, name) for name in ("prompt_tokens", "completion_tokens"))
        if tokens_read is None:
            return Reply(refused="its answer does not say how many tokens it read (usage.prompt_tokens)")
        if tokens_read < prompt_tokens:
            raise self._failure(
                f"it read {tokens_read} tokens of a prompt of {prompt_tokens}: it does not read prompt_embeds", _FLAG
            )
        cut = getattr(choice, "finish_reason", None) == "length" or len(text) > _LONGEST
        return Reply(text[:_LONGEST], answer_tokens, cut)

    def replies(
        self, requests: Iterable[tuple[PromptRequest, Callable[[], Mapping[str, Any]] | None, int]]
    ) -> Generator[tuple[PromptRequest, Reply | None]]:
        """Send several requests, at most `parallel` at a time. Yields the item and the reply of each, in order.

        A request is (item, function that makes the body, number of prompt tokens); without a function nothing is sent
        and the reply is None. After a failure no further request is sent. Raises as [VllmServer.complete][].
        """
        queue: deque[tuple[PromptRequest, Future[Reply] | None]] = deque()
        for request, body, length in requests:
            queue.append((request, None if body is None else self._start_request(body(), length)))
            while queue and (len(queue) >= self.parallel or queue[0][1] is None):
                yield _next(queue)
        while queue:
            yield _next(queue)

    def _start_request(self, body: Mapping[str, Any], length: int) -> Future[Reply]:
        return _in_thread(lambda: self.complete(body, length))

    def _guarded(self, call: Callable[[], Any], seconds: float) -> Any:
        """`from None`: the causes of these errors may hold the header with the key, and --debug prints causes."""
        import openai

        # The client's own timeout is per read: a server that sends a byte now and then would never reach it.
        future = _in_thread(call)
        try:
            return future.result(seconds)
        except openai.OpenAIError as error:
            server_text = self._clean(_error_text(error))
            if getattr(error, "status_code", None) in _REFUSED and "enable-prompt-embeds" not in server_text:
                raise _RefusedError(server_text) from None
            raise self._failure(server_text, self._advice(error)) from None
        except TimeoutError:
            # Before OSError, its base class.
            raise self._failure(f"no whole reply within {seconds:g} s", _SLOW) from None
        except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
            # The client does not check that a reply is JSON of the right form.
            raise self._failure(type(error).__name__, "is this the address of a vLLM server, with /v1?") from None

    def _advice(self, error: Exception) -> str:
        import openai

        if isinstance(error, openai.AuthenticationError | openai.PermissionDeniedError):
            is_set = "holds a key that is refused" if self._key else "is not set"
            return f"the variable {KEY} {is_set}: put the server's key there"
        if isinstance(error, openai.NotFoundError):
            return "is this the address of a vLLM server, with /v1, and the name of a model that it has?"
        if isinstance(error, openai.APITimeoutError):
            return _SLOW
        if isinstance(error, openai.APIConnectionError):
            return "check that the server runs and that server= is its address"
        return _FLAG if getattr(error, "status_code", None) in _REFUSED else "see what the server printed"

    def _failure(self, problem: str, hint: str) -> RunError:
        where = f"{self.url} (model {self.model!r})" if self.model else self.url
        return RunError("the server gave no answer", where=where, found=problem, hint=hint)

    def _clean(self, text: str) -> str:
        text = " ".join((text.replace(self._key, "[the key]") if self._key else text).split())
        return "".join(letter if letter.isprintable() else "\ufffd" for letter in text[:300])


class _RefusedError(AffectGPTError):
    def __init__(self, server_text: str) -> None:
        super().__init__("the server refuses this request", found=server_text)
        self.server_text = server_text


def valid_url(url: str) -> str:
    """The address of a server, without a slash at its end. Raises ConfigError for anything but http and https."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise ConfigError("this is no web address", where="server", found=f"{error}") from None
    if parts.username or parts.password:
        raise ConfigError("the address must hold no password", where="server", hint=f"put the key into {KEY}")
    if parts.scheme not in ("http", "https") or not host:
        raise ConfigError("this is no web address", where="server", found=url[:200], expected="http://host:8000/v1")
    return url.rstrip("/")


def _key() -> str:
    key = os.environ.get(KEY, "").strip()
    if not key.isascii() or not key.isprintable():
        raise ConfigError("this is no key: it holds characters that cannot be sent", where=f"the variable {KEY}")
    return key


def _in_thread(call: Callable[[], PromptRequest]) -> Future[PromptRequest]:
    future: Future[PromptRequest] = Future()

    def work() -> None:
        try:
            future.set_result(call())
        except BaseException as error:
            future.set_exception(error)

    # Daemon threads and no pool: Python would wait for the threads of a pool when it exits.
    Thread(target=work, daemon=True).start()
    return future


def _next(queue: deque[tuple[PromptRequest, Future[Reply] | None]]) -> tuple[PromptRequest, Reply | None]:
    request, future = queue.popleft()
    return request, None if future is None else future.result()


def _count(completion: Any, name: str) -> int | None:
    count = getattr(getattr(completion, "usage", None), name, None)
    return count if isinstance(count, int) and not isinstance(count, bool) else None


def _error_text(error: Exception) -> str:
    cause = f" ({type(error.__cause__).__name__})" if error.__cause__ else ""
    return f"{type(error).__name__}: {error}{cause}"
