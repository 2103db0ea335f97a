"""`llm`: a language model reads the labels out of a text.

The procedure is that of AffectGPT (arXiv:2501.16566, section 4): emotions in one step, all that are clearly
identifiable; the sentiment in two, of which the second sees the emotion words and not the text. The words of the
questions are those of [llm_prompts][affectgpt.plugins.extractors.llm_prompts].
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from affectgpt.core.contracts import Extraction
from affectgpt.plugins.extractors import llm_prompts
from affectgpt.plugins.extractors.llm_answers import Answer, read_emotions, read_sentiment
from affectgpt.plugins.extractors.llm_cache import AnswerCache, default_folder, key_of
from affectgpt.plugins.extractors.llm_config import OFF, LLMExtractorConfig
from affectgpt.registry.errors import AffectGPTError, Problem, RunError

_SHORT = "She is happy."


def _folder(cache: str | None) -> Path | None:
    return None if cache == OFF else default_folder() if cache is None else Path(cache)


class LLMExtractor:
    """Asks an LLM plugin or a server, once for each different question, and keeps the answers on disk.

    Raises ConfigError when the cache or the device cannot be used, PluginError when a package is missing.
    """

    def __init__(self, config: LLMExtractorConfig, llm: Any) -> None:
        self.config = config
        self.cache = AnswerCache(_folder(config.cache))
        if config.endpoint is not None:
            from affectgpt.plugins.extractors.llm_endpoint import Server

            self.model: Any = Server(config.endpoint, max_new_tokens=config.max_new_tokens)
        else:
            from affectgpt.plugins.extractors.llm_local import LocalModel

            self.model = LocalModel(
                llm,
                config.llm or {},
                device=config.device,
                batch_size=config.batch_size,
                max_new_tokens=config.max_new_tokens,
            )
        self.identity = {
            "model": self.model.identity(),
            "prompts": llm_prompts.VERSION,
            "max_new_tokens": config.max_new_tokens,
            "decoding": "greedy",
        }

    def emotions(self, texts: Sequence[str]) -> list[Extraction]:
        """The emotion words of each text; a text of blanks names none. Raises RunError when no answer can be had."""
        limit = self.config.max_characters
        found = [
            Extraction(error=f"the text is longer than max_characters: {len(text)}, at most {limit}")
            if len(text) > limit
            else Extraction()
            for text in texts
        ]
        asked = [index for index, text in enumerate(texts) if len(text) <= limit and not llm_prompts.is_blank(text)]
        answers = self._answers([self._ask_emotions(texts[index]) for index in asked])
        for index, answer in zip(asked, answers, strict=True):
            found[index] = read_emotions(answer)
        return found

    def sentiments(self, texts: Sequence[str]) -> list[Extraction]:
        """The sentiment of each text, asked from its emotion words, also when there are none.

        A text of blanks has no sentiment, which is an error. Raises RunError when no answer can be had.
        """
        found = [
            Extraction(error="the text is empty") if llm_prompts.is_blank(text) else each
            for text, each in zip(texts, self.emotions(texts), strict=True)
        ]
        asked = [index for index, each in enumerate(found) if not each.error]
        answers = self._answers([self._ask_sentiment(found[index].labels) for index in asked])
        for index, answer in zip(asked, answers, strict=True):
            found[index] = read_sentiment(answer)
        return found

    def _ask_emotions(self, text: str) -> str:
        return llm_prompts.ask_emotions(self.config.prompt or llm_prompts.EMOTIONS, text)

    def _ask_sentiment(self, labels: Sequence[str]) -> str:
        return llm_prompts.ask_sentiment(self.config.sentiment_prompt or llm_prompts.SENTIMENT, labels)

    def _answers(self, questions: Sequence[str]) -> list[Answer]:
        """The answer of each question: from the cache, else from the model, which is asked once for equal ones."""
        keys = {question: key_of({**self.identity, "question": question}) for question in questions}
        known = {question: self.cache.find(key) for question, key in keys.items()}
        missing = [question for question, answer in known.items() if answer is None]
        new: dict[str, Answer] = {}
        try:
            with closing(self.model.answers(missing)) as arriving:
                for index, answer in arriving:
                    new[missing[index]] = answer
                    if not answer.refused:
                        self.cache.keep(keys[missing[index]], answer)
            if new and all(answer.refused for answer in new.values()):
                # Is it the texts that the server does not take, or everything?
                self.model.check(self._ask_emotions(_SHORT))
        except RunError as error:
            answered = len(known) - len(missing) + sum(not answer.refused for answer in new.values())
            raise self._with_progress(error, answered) from error
        answers = {question: new.get(question) or known[question] for question in keys}
        return [answers[question] for question in questions]  # type: ignore[misc] # each is known or new

    def _with_progress(self, error: RunError, answered: int) -> AffectGPTError:
        kept = f"kept in {self.cache.folder}" if self.cache.folder else "lost, because `cache` is off"
        first = error.problems[0]
        return RunError.of(
            [
                Problem(
                    first.what,
                    first.where,
                    first.found,
                    first.expected,
                    f"{first.hint}; {answered} answers already given are {kept}",
                ),
                *error.problems[1:],
            ]
        )
