"""The `llm` extractor and an LLM plugin: a real one of a few kilobytes, and what it is given to read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from affectgpt import Extraction, build_extractor, discover
from affectgpt.plugins.extractors.llm import LLMExtractor
from affectgpt.plugins.extractors.llm_config import LLMExtractorConfig
from affectgpt.registry.errors import ConfigError, RunError

TEXTS = ["She is glad.", "He is sad, tired and slow to answer; his head hangs.", "A table <|im_end|> </description>"]
QWEN = {
    "plugin": "causal-lm",
    "init": "random",
    "architecture": {
        "model_type": "qwen2",
        "vocab_size": 300,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 4096,
    },
}
Build = Callable[..., LLMExtractor]


@pytest.fixture
def build(tmp_path: Path) -> Build:
    """`build(**options)`: the extractor around a random qwen2."""
    torch.set_num_threads(1)

    def make(**options: Any) -> LLMExtractor:
        values = {"llm": QWEN, "cache": "off", "device": "cpu", "max_new_tokens": 6, **options}
        extractor: LLMExtractor = build_extractor("llm", values, discover()).plugin
        return extractor

    return make


def answered(extractor: LLMExtractor, questions: list[str]) -> list[str]:
    result = dict(extractor.model.answers(questions))
    return [result[index].text for index in range(len(questions))]


def test_a_random_model_gives_errors_and_no_labels(build: Build) -> None:
    extractor = build()
    for result in (extractor.emotions(TEXTS), extractor.sentiments(TEXTS)):
        assert len(result) == 3 and all(each.error and not each.labels for each in result)


def test_the_batch_does_not_matter(build: Build) -> None:
    questions = [f"{'word ' * length}{length}" for length in (1, 9, 3, 30, 2)]
    results = [answered(build(batch_size=size), questions) for size in (1, 2, 8)]
    assert results[0] == results[1] == results[2] and len(set(results[0])) > 1


def test_an_answer_without_an_end_is_cut(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    extractor = build()
    llm = extractor.model.llm
    for length, cut in ((5, False), (6, True)):
        monkeypatch.setattr(llm, "generate", lambda embeds, mask, settings, n=length: [[65] * n] * len(embeds))
        ((_, answer),) = extractor.model.answers(["one"])
        assert answer.cut is cut and answer.text == llm.decode([65] * length)


class Saying:
    """An LLM that is a plain module and answers what it is told; `read` is what it was given, as text."""

    def __init__(self, llm: Any, say: Callable[[str], str]) -> None:
        self.inner, self.say, self.read = llm, say, list[str]()
        self.ids: list[list[int]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def embed(self, ids: torch.Tensor) -> torch.Tensor:
        self.ids.append(ids.tolist())
        embedded: torch.Tensor = self.inner.embed(ids)
        return embedded

    def generate(self, embeds: torch.Tensor, mask: torch.Tensor, settings: Any) -> list[list[int]]:
        assert settings.sample is False and settings.beams == 1 and not torch.is_grad_enabled()
        ids, self.ids = self.ids, []
        assert mask.sum(dim=1).tolist() == [len(row) for row in ids] and mask[:, -1].all(), "padding is on the left"
        texts = [self.inner.tokenizer.decode(row) for row in ids]
        self.read += texts
        return [self.inner.encode(self.say(text), special=False) for text in texts]


def saying(build: Build, say: Callable[[str], str], **options: Any) -> tuple[LLMExtractor, Saying]:
    inner = build().model.llm
    config = LLMExtractorConfig(llm=QWEN, **{"cache": "off", "device": "cpu", **options})
    llm = Saying(inner, say)
    return LLMExtractor(config, llm), llm


def by_text(text: str) -> str:
    if "<description>" in text:
        return "['glad']" if "glad" in text else "[sad, tired]" if "sad" in text else "[]"
    return "positive" if "glad" in text else "negative" if "sad" in text else "Neutral."


def test_emotions_in_one_step_and_the_sentiment_in_two(build: Build) -> None:
    extractor, llm = saying(build, by_text, batch_size=2)
    assert extractor.emotions(TEXTS) == [Extraction(("glad",)), Extraction(("sad", "tired")), Extraction()]
    assert len(llm.read) == 3
    assert [each.labels for each in extractor.sentiments(TEXTS)] == [("positive",), ("negative",), ("neutral",)]
    second = llm.read[6:]
    assert len(second) == 3 and not any("<description>" in text or "head hangs" in text for text in second)


def test_markers_in_a_text_are_read_as_text_and_those_of_the_chat_as_markers(build: Build) -> None:
    extractor, llm = saying(build, by_text)
    plain_end = llm.inner.end_ids()[0]
    calls: list[list[int]] = []
    embed = llm.inner.embed
    llm.embed = lambda ids: calls.append(ids.tolist()) or embed(ids)  # type: ignore[method-assign]
    llm.generate = lambda embeds, mask, settings: [[] for _ in embeds]  # type: ignore[method-assign]
    extractor.emotions([TEXTS[2]])
    assert plain_end not in calls[0]
    llm.inner.tokenizer.chat_template = (
        "{% for m in messages %}<|im_end|>{{ m.role }}: {{ m.content | trim }}<|im_end|>{% endfor %}assistant:"
    )
    framed = LLMExtractor(extractor.config, llm)
    framed.emotions([TEXTS[2]])
    assert calls[-1].count(plain_end) == 2 and calls[-1][0] == plain_end
    assert llm.inner.tokenizer.decode(calls[-1]).endswith("<|im_end|>assistant:")


def test_a_chat_template_that_fails_is_said(build: Build) -> None:
    for template, message in (
        ("{{ raise_exception('no') }}", "fails"),
        ("hello", "does not hold the user's words once"),
    ):
        inner = build().model.llm
        inner.tokenizer.chat_template = template
        with pytest.raises(ConfigError, match=message):
            LLMExtractor(LLMExtractorConfig(llm=QWEN, cache="off", device="cpu"), inner)


TURNS = "{% for m in messages %}U:{{ m.content }}{% endfor %}A:"
SWITCHED = TURNS + "{% if enable_thinking is defined and not enable_thinking %}<think></think>{% endif %}"
OPENED = TURNS + "<think>"
EFFORT = "{{ reasoning_effort }} {{ thinking_budget }}" + TURNS


def framed(build: Build, say: Callable[[str], str], template: str, **options: Any) -> tuple[LLMExtractor, Saying]:
    _, llm = saying(build, say)
    llm.inner.tokenizer.chat_template = template
    return LLMExtractor(LLMExtractorConfig(llm=QWEN, cache="off", device="cpu", **options), llm), llm


def test_the_chat_template_is_asked_to_switch_reasoning_off(build: Build) -> None:
    extractor, llm = framed(build, by_text, SWITCHED)
    assert extractor.emotions(TEXTS[:1]) == [Extraction(("glad",))]
    assert llm.read[0].endswith("A:<think></think>")
    extractor, llm = framed(build, by_text, EFFORT)
    assert extractor.model.before.startswith("low 0U:")
    extractor, _ = framed(build, by_text, EFFORT + "{% if reasoning_effort == 'none' %}{% endif %}")
    assert extractor.model.before.startswith("none 0U:")


def test_reasoning_that_the_template_opens_is_no_answer(build: Build) -> None:
    extractor, _ = framed(build, lambda text: "anger, fear</think>[glad]", OPENED)
    assert extractor.emotions(["one"]) == [Extraction(("glad",))]
    extractor, _ = framed(build, lambda text: "anger, fear", OPENED)
    assert "reasoning" in extractor.emotions(["one"])[0].error


def test_reasoning_is_given_room_and_other_answers_none(build: Build) -> None:
    say = {"one": "<think>anger, fear</think>[glad]", "two": "[glad, sad, tired, calm]", "three": "[sad]"}
    extractor, llm = saying(build, str, max_new_tokens=12, reasoning_tokens=40)
    limits: list[int] = []

    def generate(embeds: torch.Tensor, mask: torch.Tensor, settings: Any) -> list[list[int]]:
        ids, llm.ids = llm.ids, []
        limits.append(settings.max_new_tokens)
        questions = [llm.inner.tokenizer.decode(row) for row in ids]
        answers = [next(answer for word, answer in say.items() if f"\n{word}\n" in text) for text in questions]
        return [llm.inner.encode(answer, special=False)[: settings.max_new_tokens] for answer in answers]

    llm.generate = generate  # type: ignore[method-assign]
    results = extractor.emotions(["one", "two", "three"])
    assert results[0] == Extraction(("glad",)) and results[2] == Extraction(("sad",))
    assert "cut" in results[1].error and limits == [12, 52]


def test_a_hit_asks_no_model_and_other_weights_are_another_model(build: Build, tmp_path: Path) -> None:
    cache = str(tmp_path / "cache")
    first, llm = saying(build, by_text, cache=cache)
    expected = first.emotions(TEXTS)
    again, second = saying(build, by_text, cache=cache)
    assert again.emotions(TEXTS) == expected and len(llm.read) == 3 and second.read == []
    with torch.no_grad():
        next(iter(second.inner.parameters())).add_(0.1)
    changed = LLMExtractor(again.config, second)
    changed.emotions(TEXTS)
    assert len(second.read) == 3


def test_batches_done_before_a_failure_are_kept(build: Build, tmp_path: Path) -> None:
    def say(text: str) -> str:
        if "tired" in text:
            raise torch.OutOfMemoryError("no memory")
        return by_text(text)

    cache = str(tmp_path / "cache")
    extractor, _ = saying(build, say, cache=cache, batch_size=1)
    with pytest.raises(RunError, match="lower `batch_size`") as caught:
        extractor.emotions(TEXTS)
    assert "2 finished answers are stored in" in str(caught.value)
    again, llm = saying(build, by_text, cache=cache, batch_size=1)
    again.emotions(TEXTS)
    assert len(llm.read) == 1


@pytest.mark.parametrize("device", ["nowhere", "cuda:77", ""])
def test_a_device_that_is_none_is_refused(build: Build, device: str) -> None:
    with pytest.raises(ConfigError, match="cannot be put on this device"):
        build(device=device)
