"""`llm`: a language model reads the labels out of a text.

The procedure is that of AffectGPT (arXiv:2501.16566, section 4): emotions in one step, all that are clearly
identifiable; the sentiment in two, of which the second sees the emotion words and not the text. The prompts are in
[llm_prompts][affectgpt.plugins.extractors.llm_prompts]. A model that reasons before it answers is asked not to; where
it does so all the same, it is given room for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from affectgpt.core.contracts import Extraction
from affectgpt.plugins.extractors import llm_prompts
from affectgpt.plugins.extractors.llm_answers import LLMAnswer, read_emotions, read_sentiment
from affectgpt.plugins.extractors.llm_cache import AnswerCache, answer_key, default_folder
from affectgpt.plugins.extractors.llm_config import OFF, LLMExtractorConfig
from affectgpt.registry.errors import AffectGPTError, Problem, RunError

_SHORT = "She is happy."


def _folder(cache: str | None) -> Path | None:
    return None if cache == OFF else default_folder() if cache is None else Path(cache)


class LLMExtractor:
    """Asks an LLM plugin or a server, once for each different question, and stores the answers on disk.

    Raises ConfigError when the cache or the device cannot be used, PluginError when a package is missing.
    """

    def __init__(self, config: LLMExtractorConfig, llm: Any) -> None:
        self.config = config
        self.cache = AnswerCache(_folder(config.cache))
        if config.endpoint is not None:
            from affectgpt.plugins.extractors.llm_endpoint import ChatServer

            self.model: Any = ChatServer(
                config.endpoint, max_new_tokens=config.max_new_tokens, reasoning_tokens=config.reasoning_tokens
            )
        else:
            from affectgpt.plugins.extractors.llm_local import LocalModel

            self.model = LocalModel(
                llm,
                config.llm or {},
                device=config.device,
                batch_size=config.batch_size,
                max_new_tokens=config.max_new_tokens,
                reasoning_tokens=config.reasoning_tokens,
            )
        self.identity = {
            "model": self.model.identity(),
            "prompts": llm_prompts.VERSION,
            "max_new_tokens": config.max_new_tokens,
            "reasoning_tokens": config.reasoning_tokens,
            "decoding": "greedy",
        }

    def emotions(self, texts: Sequence[str]) -> list[Extraction]:
        """The emotion words of each text; a blank text has none. Raises RunError when there is no answer."""
        limit = self.config.max_characters
        extractions = [
            Extraction(error=f"the text is longer than max_characters: {len(text)}, at most {limit}")
            if len(text) > limit
            else Extraction()
            for text in texts
        ]
        indices = [index for index, text in enumerate(texts) if len(text) <= limit and not llm_prompts.is_blank(text)]
        answers = self._answers([self._ask_emotions(texts[index]) for index in indices])
        for index, answer in zip(indices, answers, strict=True):
            extractions[index] = read_emotions(answer)
        return extractions

    def sentiments(self, texts: Sequence[str]) -> list[Extraction]:
        """The sentiment of each text, asked for with its emotion words, even if there are none.

        For a blank text it is an error. Raises RunError when there is no answer.
        """
        extractions = [
            Extraction(error="the text is empty") if llm_prompts.is_blank(text) else extraction
            for text, extraction in zip(texts, self.emotions(texts), strict=True)
        ]
        indices = [index for index, extraction in enumerate(extractions) if not extraction.error]
        answers = self._answers([self._ask_sentiment(extractions[index].labels) for index in indices])
        for index, answer in zip(indices, answers, strict=True):
            extractions[index] = read_sentiment(answer)
        return extractions

    def _ask_emotions(self, text: str) -> str:
        return llm_prompts.ask_emotions(self.config.prompt or llm_prompts.EMOTIONS, text)

    def _ask_sentiment(self, labels: Sequence[str]) -> str:
        return llm_prompts.ask_sentiment(self.config.sentiment_prompt or llm_prompts.SENTIMENT, labels)

    def _answers(self, questions: Sequence[str]) -> list[LLMAnswer]:
        """The answer of each question: from the cache, else from the model, which is asked once for equal ones."""
        keys = {question: answer_key({**self.identity, "question": question}) for question in questions}
        cache_hits = {question: self.cache.find(key) for question, key in keys.items()}
        missing = [question for question, answer in cache_hits.items() if answer is None]
        new: dict[str, LLMAnswer] = {}
        try:
            with closing(self.model.answers(missing)) as arriving:
                for index, answer in arriving:
                    new[missing[index]] = answer
                    if not answer.refused:
                        self.cache.store(keys[missing[index]], answer)
            if new and all(answer.refused for answer in new.values()):
                # Does the server refuse these texts, or every question?
                self.model.check(self._ask_emotions(_SHORT))
        except RunError as error:
            answer_count = len(cache_hits) - len(missing) + sum(not answer.refused for answer in new.values())
            raise self._with_progress(error, answer_count) from error
        answers = {question: new.get(question) or cache_hits[question] for question in keys}
        return [answers[question] for question in questions]  # type: ignore[misc] # cached or new

    def _with_progress(self, error: RunError, answer_count: int) -> AffectGPTError:
        outcome = f"stored in {self.cache.folder}" if self.cache.folder else "lost, because `cache` is off"
        first = error.problems[0]
        return RunError.from_problems(
            [
                Problem(
                    first.what,
                    first.where,
                    first.found,
                    first.expected,
                    f"{first.hint}; {answer_count} finished answers are {outcome}",
                ),
                *error.problems[1:],
            ]
        )
