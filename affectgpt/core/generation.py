"""Generate the answers of a [Pipeline][]: whole, or piece by piece."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from affectgpt.core.batch import Batch, pad
from affectgpt.core.config import GenerationConfig, PipelineConfig
from affectgpt.core.stop_text import StreamedText, cut_at_stop
from affectgpt.core.tokens import Tokens
from affectgpt.registry.errors import ConfigError

if TYPE_CHECKING:
    from affectgpt.core.pipeline import Pipeline, Question


@dataclass(frozen=True)
class Answer:
    """Generated `text`, the number of new `tokens`, and per fuser that reports it how much each input counted."""

    text: str
    tokens: int
    attribution: Mapping[str, Mapping[str, float]]


@dataclass(frozen=True)
class TextPiece:
    """The next `text` of the clip in `row` of the batch; with the last piece of a clip comes its whole `answer`."""

    row: int
    text: str
    answer: Answer | None = None


def generation_settings(config: PipelineConfig) -> GenerationConfig:
    """The config's `generation`, with the text that ends an answer among the stop texts."""
    end = config.prompt.answer_end
    stops = [*config.generation.stop, *([end] if end else [])]
    return config.generation.model_copy(update={"stop": stops})


@torch.no_grad()
def generate(
    pipeline: Pipeline, batch: Batch, question: Question = None, encoded: Mapping[str, Tokens] | None = None
) -> list[Answer]:
    """See [Pipeline.generate][]."""
    settings = generation_settings(pipeline.plan.config)
    tokens, embeds, mask = _prompts(pipeline, batch, question, encoded)
    rows = pipeline.llm.generate(embeds, mask, settings, **_seeds(pipeline.llm.generate, pipeline, batch, question))
    return [
        Answer(cut_at_stop(pipeline.llm.decode(row), settings.stop), len(row), _attribution(pipeline, tokens, index))
        for index, row in enumerate(rows)
    ]


def stream(
    pipeline: Pipeline, batch: Batch, question: Question = None, encoded: Mapping[str, Tokens] | None = None
) -> Iterator[TextPiece]:
    """See [Pipeline.generate_pieces][]."""
    check_stream(pipeline)
    return _pieces(pipeline, batch, question, encoded)


def check_stream(pipeline: Pipeline) -> None:
    """Raise ConfigError when the answers of `pipeline` cannot be streamed."""
    beams = pipeline.plan.config.generation.beams
    if beams > 1:
        raise ConfigError(
            "beams cannot be streamed: which of them is the answer is known at the end only",
            where="generation.beams",
            found=str(beams),
            expected="1",
        )
    if not callable(getattr(pipeline.llm, "stream", None)):
        raise ConfigError(
            "this language model cannot stream",
            where="llm",
            found=f"plugin {pipeline.plan.llm.entry.spec.name!r}",
            expected="a plugin with a method `stream`",
            hint="generate whole answers instead",
        )


@torch.no_grad()
def _pieces(
    pipeline: Pipeline, batch: Batch, question: Question, encoded: Mapping[str, Tokens] | None
) -> Iterator[TextPiece]:
    settings = generation_settings(pipeline.plan.config)
    tokens, embeds, mask = _prompts(pipeline, batch, question, encoded)
    steps = pipeline.llm.stream(embeds, mask, settings, **_seeds(pipeline.llm.stream, pipeline, batch, question))
    texts = [StreamedText(pipeline.llm.decode, settings.stop) for _ in range(len(batch))]
    texts_so_far = ["" for _ in texts]
    unfinished = set(range(len(texts)))

    def last(row: int, piece: str) -> TextPiece:
        unfinished.discard(row)
        piece += texts[row].end()
        return TextPiece(
            row, piece, Answer(texts_so_far[row] + piece, texts[row].tokens, _attribution(pipeline, tokens, row))
        )

    for step in steps:
        for row in sorted(unfinished):
            token = step[row]
            piece = "" if token is None else texts[row].add(token)
            if token is None or texts[row].stopped:
                yield last(row, piece)
            elif piece:
                texts_so_far[row] += piece
                yield TextPiece(row, piece)
        if not unfinished:
            break
    for row in sorted(unfinished):
        yield last(row, "")


def _prompts(
    pipeline: Pipeline, batch: Batch, question: Question, encoded: Mapping[str, Tokens] | None
) -> tuple[dict[str, Tokens], torch.Tensor, torch.Tensor]:
    tokens = pipeline.fuse(pipeline.encode(batch, one_by_one=True) if encoded is None else encoded)
    embeds, mask = pad(pipeline.prompts(tokens, batch.subtitles, question), "left")
    return tokens, embeds, mask


def _attribution(pipeline: Pipeline, tokens: Mapping[str, Tokens], row: int) -> dict[str, dict[str, float]]:
    shares = {}
    for name, node in pipeline.plan.fusers.items():
        share = tokens[name].attribution
        if share is not None:
            shares[name] = dict(zip(node.inputs, share[row].float().tolist(), strict=True))
    return shares


def _seeds(method: Any, pipeline: Pipeline, batch: Batch, question: Question) -> dict[str, Sequence[int]]:
    """With sampling, a seed per clip from the config's seed and all that is known of the clip: its company does not
    matter, and neither does its place. An LLM that takes no seeds is seeded as a whole."""
    config = pipeline.plan.config
    if not config.generation.sample:
        return {}
    if "seeds" not in inspect.signature(method).parameters:
        torch.manual_seed(config.seed)
        return {}
    text = config.prompt.question if question is None else question
    questions = [text] * len(batch) if isinstance(text, str) else text
    return {"seeds": [_seed(config.seed, batch, row, each) for row, each in enumerate(questions)]}


def _seed(seed: int, batch: Batch, row: int, question: str) -> int:
    digest = hashlib.blake2b(repr((seed, batch.subtitles[row], question)).encode(), digest_size=6)
    for name, media in sorted(batch.media.items()):
        if media is not None and media.mask[row].any():
            digest.update(name.encode())
            digest.update(media.values[row][media.mask[row]].cpu().contiguous().view(torch.uint8).numpy().tobytes())
    return int.from_bytes(digest.digest(), "big")
