"""Send questions to an OpenAI-compatible server, several at a time. No torch."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from itertools import islice
from queue import SimpleQueue
from threading import Thread
from typing import Any

from affectgpt.core.final_answer import final_answer
from affectgpt.plugins.extractors.llm_answers import LLMAnswer
from affectgpt.plugins.extractors.llm_config import Endpoint
from affectgpt.registry.errors import PluginError, RunError

_LONGEST = 100_000
_NO_THINKING = {"chat_template_kwargs": {"enable_thinking": False, "thinking": False}}
"""For the chat template, as vLLM, SGLang and llama.cpp take it; other servers ignore it or refuse it by name."""
_REFUSED = (400, 413, 422)
"""Status codes for a question that the server refuses, such as one longer than the model's context."""


class ChatServer:
    """A model behind an address, asked at temperature 0 through OpenAI's client, which also retries.

    It is asked not to reason, unless the server refuses that. An answer that is cut at `max_new_tokens` is asked for
    once more with `reasoning_tokens` more, since the reasoning of many models has no mark at its beginning; the longer
    answer counts only where it holds reasoning.

    Raises PluginError when that client is not installed.
    """

    def __init__(self, endpoint: Endpoint, *, max_new_tokens: int, reasoning_tokens: int) -> None:
        try:
            import openai  # noqa: F401
        except ModuleNotFoundError as error:
            raise PluginError(
                "the `endpoint` of the extractor 'llm' needs a package that is not installed",
                found=str(error),
                hint="pip install 'affectgpt[openai]'",
            ) from error
        self.endpoint, self.max_new_tokens, self.reasoning_tokens = endpoint, max_new_tokens, reasoning_tokens
        self._extra_body: dict[str, Any] = _NO_THINKING

    def identity(self) -> dict[str, Any]:
        """All that determines its answers except the question, as far as the client knows."""
        return {"url": self.endpoint.url, "model": self.endpoint.model}

    def answers(self, questions: Sequence[str]) -> Iterator[tuple[int, LLMAnswer]]:
        """Index and answer of every question, as they come.

        After a failed question no new one is sent; answers under way are still returned, then RunError is raised.
        An interruption (Ctrl-C, or closing this iterator) does not wait.
        """
        if not questions:
            return
        failure: Exception | None = None
        queue, running = iter(enumerate(questions)), 0
        results = SimpleQueue[tuple[int, LLMAnswer | Exception]]()
        with self._client() as client:
            while True:
                for index, question in islice(queue, self.endpoint.parallel - running if failure is None else 0):
                    # Not a pool: Python waits for its threads at exit, but not for daemon threads.
                    Thread(target=self._put, args=(client, index, question, results), daemon=True).start()
                    running += 1
                if not running:
                    break
                index, answer = results.get()
                running -= 1
                if isinstance(answer, LLMAnswer):
                    yield index, answer
                else:
                    failure = failure or answer
        if failure is not None:
            raise failure

    def check(self, question: str) -> None:
        """Raises RunError when the server refuses `question`, or gives no answer."""
        for _, answer in self.answers([question]):
            if answer.refused:
                raise self._failure(answer.refused, "the server refuses every question: see its message")

    def _client(self) -> Any:
        import openai

        # The client requires a key; local servers usually need none.
        return openai.OpenAI(
            base_url=self.endpoint.url,
            api_key=os.environ.get(self.endpoint.api_key_env) or "none",
            timeout=self.endpoint.timeout,
            max_retries=self.endpoint.retries,
        )

    def _put(
        self, client: Any, index: int, question: str, results: SimpleQueue[tuple[int, LLMAnswer | Exception]]
    ) -> None:
        try:
            results.put((index, self._ask(client, question)))
        except Exception as error:  # raised in `answers`
            results.put((index, error))

    def _ask(self, client: Any, question: str) -> LLMAnswer:
        answer, _ = self._complete(client, question, self.max_new_tokens)
        if answer.cut and self.reasoning_tokens:
            longer, has_reasoned = self._complete(client, question, self.max_new_tokens + self.reasoning_tokens)
            answer = longer if has_reasoned else answer
        return answer

    def _complete(self, client: Any, question: str, max_tokens: int) -> tuple[LLMAnswer, bool]:
        """The answer, and whether it holds reasoning, in itself or beside it."""
        import openai

        extra_body = self._extra_body
        try:
            completion: Any = client.chat.completions.create(
                model=self.endpoint.model,
                messages=[{"role": "user", "content": question}],
                temperature=0,
                max_tokens=max_tokens,
                extra_body=extra_body,
            )
        except openai.OpenAIError as error:
            if getattr(error, "status_code", None) in _REFUSED:
                if extra_body and "chat_template" in str(error):
                    self._extra_body = {}
                    return self._complete(client, question, max_tokens)
                return LLMAnswer("", refused=_error_text(error)), False
            raise self._failure(_error_text(error), _advice(error, self.endpoint)) from error
        except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
            # The client does not check that a JSON reply has the right form.
            raise self._failure(f"an answer that is none: {type(error).__name__}", _ADVICE) from error
        return self._answer(completion)

    def _answer(self, completion: Any) -> tuple[LLMAnswer, bool]:
        choices = getattr(completion, "choices", None)
        choice = choices[0] if isinstance(choices, list) and choices else None
        message = getattr(choice, "message", None)
        text = getattr(message, "content", None)
        if message is None or not isinstance(text, str | None):
            raise self._failure(f"{completion!r:.200}", _ADVICE)
        text = text or ""
        cut = getattr(choice, "finish_reason", None) == "length" or len(text) > _LONGEST
        reasoning = getattr(message, "reasoning", None) or getattr(message, "reasoning_content", None)
        return LLMAnswer(text[:_LONGEST], cut), bool(reasoning) or final_answer(text) != text

    def _failure(self, problem: str, hint: str) -> RunError:
        return RunError(
            "the server gave no answer",
            where=f"{self.endpoint.url} (model {self.endpoint.model!r})",
            found=problem,
            expected="a chat completion in OpenAI's form",
            hint=hint,
        )


_ADVICE = "check that `endpoint.url` is the address of an OpenAI-compatible server, with /v1 where it has one"


def _error_text(error: Exception) -> str:
    cause = f" ({type(error.__cause__).__name__}: {error.__cause__})" if error.__cause__ else ""
    return " ".join(f"{type(error).__name__}: {error}{cause}".split())[:300]


def _advice(error: Exception, endpoint: Endpoint) -> str:
    import openai

    if isinstance(error, openai.AuthenticationError | openai.PermissionDeniedError):
        is_set = "holds a key that is refused" if os.environ.get(endpoint.api_key_env) else "is not set"
        return f"the variable {endpoint.api_key_env} {is_set}: put the server's key there"
    if isinstance(error, openai.NotFoundError):
        return f"check `endpoint.url` and the name of the model: does the server know {endpoint.model!r}?"
    if isinstance(error, openai.APITimeoutError):
        return "start it again later, or raise `endpoint.timeout` or `endpoint.retries`, or lower `endpoint.parallel`"
    if isinstance(error, openai.APIConnectionError):
        return "check that the server runs and that `endpoint.url` is its address"
    return "start it again later; `endpoint.retries` says how often a request is sent again"
