"""The [Pipeline][]: an `nn.Module` from prepared clips to text. Built by `assemble`, checked before by the plan."""

from __future__ import annotations

import warnings
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, overload

import torch
from torch import Tensor, nn

from affectgpt.core.answer_losses import answer_losses
from affectgpt.core.batch import Batch, pad
from affectgpt.core.describing import OneClip, load_describer
from affectgpt.core.description import Description
from affectgpt.core.generation import Answer, TextPiece, generate, stream
from affectgpt.core.node_modules import NodeModules
from affectgpt.core.plan import Plan
from affectgpt.core.prompt_ids import PromptIds
from affectgpt.core.streams import check_readable, prepare_streams
from affectgpt.core.tokens import MediaBatch, Prepared, Tokens

if TYPE_CHECKING:
    from affectgpt.media.clip import Clip
    from affectgpt.workers.progress import Progress

Question = str | Sequence[str] | None
"""What is asked: of all clips, of each one, or (None) what the config says."""


class Pipeline(nn.Module):
    """Encoders, fusers in running order, one linear projector per node that the LLM reads, and the LLM.

    Nothing is checked here: the plan was. `encoders`, `fusers` and `projectors` are [NodeModules][] by node name.
    """

    def __init__(self, plan: Plan, encoders: NodeModules, fusers: NodeModules, llm: nn.Module) -> None:
        super().__init__()
        self.plan = plan
        self.encoders, self.fusers = encoders, fusers
        self.projectors = NodeModules(
            {name: nn.Linear(plan.output(name).dim, plan.llm.output.dim) for name in plan.projected}
        )
        self.llm: Any = llm
        self._ids = PromptIds(plan, llm)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device

    def train(self, mode: bool = True) -> Pipeline:
        """Training mode for what is trained; frozen encoders stay in evaluation mode (no dropout, fixed statistics)."""
        super().train(mode)
        for name, encoder in self.encoders.items():
            if self.plan.encoders[name].config.frozen:
                encoder.eval()
        return self

    def prepare(self, clip: Clip) -> dict[str, Prepared | None]:
        """What each encoder needs of an open clip; None for a stream that the clip lacks. Runs on the CPU."""
        return prepare_streams(self.plan, dict(self.encoders.items()), clip)

    def prepare_or_raise(self, clip: Clip) -> dict[str, Prepared | None]:
        """As [Pipeline.prepare][]. Raises MediaError when nothing of the clip would stand in the prompt."""
        media = self.prepare(clip)
        check_readable(self.plan, clip, media)
        return media

    def encode(self, batch: Batch, *, one_by_one: bool = False) -> dict[str, Tokens]:
        """Tokens per encoder. Where no clip of the batch has the stream: one position, all-False mask.

        With `one_by_one`, an encoder that reads the whole batch is given one clip at a time.
        """
        tokens = {}
        for name, node in self.plan.encoders.items():
            media = batch.media[name]
            if media is None:
                tokens[name] = self._absent_tokens(name, len(batch))
            elif media.encoded:
                tokens[name] = Tokens(media.values.float(), media.mask, media.times)
            else:
                with torch.set_grad_enabled(torch.is_grad_enabled() and not node.config.frozen):
                    tokens[name] = self._encode_rows(name, media, one_by_one and node.config.reads_whole_batch())
        return tokens

    def _encode_rows(self, name: str, media: MediaBatch, one_by_one: bool) -> Tokens:
        if not one_by_one:
            tokens: Tokens = self.encoders[name](media)
            return tokens
        rows = [self.encoders[name](row) if row is not None else self._absent_tokens(name, 1) for row in media.rows()]
        values, mask = pad([row.values[0] for row in rows], "right")
        places, _ = pad([row.valid()[0] for row in rows], "right")
        times = [row.times for row in rows if row.times is not None]
        return Tokens(values, mask & places, pad([each[0] for each in times], "right")[0] if times else None)

    def _absent_tokens(self, name: str, clips: int) -> Tokens:
        shape, width = (clips, 1), self.plan.encoders[name].output.dim
        return Tokens(
            torch.zeros(*shape, width, device=self.device),
            torch.zeros(shape, dtype=torch.bool, device=self.device),
            torch.zeros(shape, device=self.device),
        )

    def fuse(self, encoded: Mapping[str, Tokens]) -> dict[str, Tokens]:
        """Encoder tokens -> the tokens of every node, fusers run in order."""
        tokens = dict(encoded)
        for name, fuser in self.fusers.items():
            tokens[name] = fuser({given: tokens[given] for given in self.plan.fusers[name].inputs})
        return tokens

    def prompts(
        self,
        tokens: Mapping[str, Tokens],
        subtitles: Sequence[str],
        question: Question = None,
        *,
        training: bool = False,
    ) -> list[Tensor]:
        """One prompt per clip as embeddings `[T_i, D]`. Sections of what a clip lacks are left out."""
        projected = {name: self.projectors[name](tokens[name].zeroed()) for name in self.plan.projected}
        valid = {name: tokens[name].valid() for name in self.plan.projected}
        text = self.plan.config.prompt.question if question is None else question
        questions = [text] * len(subtitles) if isinstance(text, str) else text
        return self.embed_rows(self._ids.rows(projected, valid, subtitles, questions, training=training))

    def check_question(self, question: str, where: str = "question") -> None:
        """Raise ConfigError when `question` and all else that a prompt may hold exceed the LLM's context.

        `where` names the question in the message.
        """
        self._ids.check_question(question, where)

    def check_subtitle(self, subtitle: str) -> None:
        """Raise CheckpointError when the tokenizer cannot read `subtitle`."""
        self._ids.check_subtitle(subtitle)

    def subtitle_tokens(self, subtitle: str) -> tuple[int, int]:
        """How many tokens of a subtitle the LLM reads, and how many it has: more, where it is cut.

        It is cut after `prompt.max_subtitle_tokens`, and not read by a prompt without a place for it.
        """
        return self._ids.subtitle_tokens(subtitle)

    def prompt_length(self, media: Mapping[str, Prepared | None], subtitle: str, question: str | None = None) -> int:
        """About how many tokens the prompt of a prepared clip has: what clips are put into batches by."""
        text = self.plan.config.prompt.question if question is None else question
        return self._ids.length(media, subtitle, text)

    def embed_rows(self, rows: Sequence[Sequence[list[int] | Tensor]]) -> list[Tensor]:
        """Rows of ids and embeddings -> one `[T_i, D]` each, with a single look-up for the whole batch."""
        ids = [index for row in rows for piece in row if isinstance(piece, list) for index in piece]
        table = self.llm.embed(torch.tensor(ids, dtype=torch.long, device=self.device))
        embedded, start = [], 0
        for row in rows:
            pieces = []
            for piece in row:
                if isinstance(piece, list):
                    pieces.append(table[start : start + len(piece)])
                    start += len(piece)
                else:
                    pieces.append(piece.to(table.dtype))
            embedded.append(torch.cat(pieces))
        return embedded

    @overload
    def forward(
        self, batch: Batch, answers: Sequence[str], question: Question = None, *, components: Literal[False] = False
    ) -> Tensor: ...
    @overload
    def forward(
        self, batch: Batch, answers: Sequence[str], question: Question = None, *, components: Literal[True]
    ) -> tuple[Tensor, Tensor]: ...
    def forward(
        self, batch: Batch, answers: Sequence[str], question: Question = None, *, components: bool = False
    ) -> Tensor | tuple[Tensor, Tensor]:
        """The training loss: mean cross-entropy over the answers' tokens, end marker included (a scalar, in nats).

        With `components`: the sum over these tokens (a float32 scalar) and their number (an int64 scalar), of which
        several batches make one mean.
        """
        fused = self.fuse(self.encode(batch))
        losses = torch.cat(answer_losses(self, fused, batch.subtitles, answers, question, training=True))
        total, count = losses.sum(), torch.tensor(len(losses), device=losses.device)
        return (total, count) if components else total / count

    def count_answer_tokens(self, answers: Sequence[str]) -> int:
        """Over how many tokens [Pipeline.forward][] takes the loss of these answers: an end marker is one of each."""
        return sum(len(self.answer_ids(answer)) for answer in answers)

    def answer_ids(self, answer: str) -> list[int]:
        """The ids of an answer's tokens, the end marker included."""
        return self._ids.answer(answer)

    @torch.no_grad()
    def log_likelihood(self, batch: Batch, answers: Sequence[str], question: Question = None) -> Tensor:
        """The log-probability of each answer given its clip, `[B]` in nats, float32 (float64 of a float64 model)."""
        fused = self.fuse(self.encode(batch, one_by_one=True))
        losses = answer_losses(self, fused, batch.subtitles, answers, question, training=False)
        return -torch.stack([row.sum() for row in losses])

    def generate(
        self, batch: Batch, question: Question = None, *, encoded: Mapping[str, Tokens] | None = None
    ) -> list[Answer]:
        """Answer for every clip of a batch, as the config's `generation` says; the module must be in eval mode.

        A clip's greedy text is the same alone and in any batch, up to ties: logits differ by the rounding of float32.
        With sampling it is also the same for the same seed. `encoded` is what `encode(batch, one_by_one=True)` gave,
        where it is known: then no encoder runs.
        """
        return generate(self, batch, question, encoded)

    def generate_pieces(
        self, batch: Batch, question: Question = None, *, encoded: Mapping[str, Tokens] | None = None
    ) -> Iterator[TextPiece]:
        """The text of [Pipeline.generate][] while it is written: the pieces of a clip, put together, are its text.

        Pieces hold whole characters and no part of a stop text; with a clip's last one comes its answer. Raises
        ConfigError with beams, and when the LLM's plugin has no method `stream`.
        """
        return stream(self, batch, question, encoded)

    # A `str` is an iterable of `str`, too; it is always one path.
    @overload
    def describe(  # type: ignore[overload-overlap]
        self,
        what: OneClip,
        *,
        subtitle: str | None = None,
        question: str | None = None,
        batch_size: int = 8,
        workers: int = 0,
        shares: bool = True,
        progress: Progress = None,
    ) -> Description: ...
    @overload
    def describe(
        self,
        what: Iterable[OneClip],
        *,
        subtitle: str | None = None,
        question: str | None = None,
        batch_size: int = 8,
        workers: int = 0,
        shares: bool = True,
        progress: Progress = None,
    ) -> list[Description]: ...
    def describe(
        self,
        what: OneClip | Iterable[OneClip],
        *,
        subtitle: str | None = None,
        question: str | None = None,
        batch_size: int = 8,
        workers: int = 0,
        shares: bool = True,
        progress: Progress = None,
    ) -> Description | list[Description]:
        """Describe one clip, or several in batches of `batch_size`.

        `what` is the path of a file, the `bytes` of one, or a [Clip][]: the result is one [Description][], and
        MediaError is raised when the clip cannot be read; a clip without anything to describe, such as a black picture
        in silence, has `error`. With a folder or an iterable of these the result is a list, one row a clip in order,
        and a clip that cannot be read has `error`. (The type of a folder's path is that of a
        file's; a type checker takes its result for one row.)

        `subtitle` is what is said in each clip; None reads the sidecar file of each path. `question` replaces that of
        the config. `workers` processes read clips ahead of the model. Without `shares` it is not measured how much each
        modality counted, which takes a part of the time: `counted` is empty. Raises ConfigError when the question does
        not fit into the LLM's context, RunError when `workers` need a main guard that the script lacks.
        """
        return load_describer().describe(
            self,
            what,
            subtitle=subtitle,
            question=question,
            batch_size=batch_size,
            workers=workers,
            shares=shares,
            progress=progress,
        )

    def stream(
        self,
        what: OneClip | Iterable[OneClip],
        *,
        subtitle: str | None = None,
        question: str | None = None,
        batch_size: int = 1,
        workers: int = 0,
        shares: bool = True,
    ) -> Generator[tuple[int, str | Description]]:
        """As [Pipeline.describe][], with each text while it is written: pairs of a clip's index and a piece of text.

        A clip's last pair holds its [Description][]; its pieces, put together, are the text. Pieces of the clips of one
        batch come mixed. Raises ConfigError as `describe`, with beams, and when the LLM's plugin cannot stream.
        """
        if isinstance(what, Batch):
            return self._stream_batch(what, question)
        return load_describer().stream(
            self,
            what,
            subtitle=subtitle,
            question=question,
            batch_size=batch_size,
            workers=workers,
            shares=shares,
        )

    def _stream_batch(self, batch: Batch, question: str | None) -> Any:
        warnings.warn(
            "affectgpt.Pipeline.stream(batch): use Pipeline.generate_pieces(batch); goes in 0.3",
            DeprecationWarning,
            stacklevel=3,
        )
        return self.generate_pieces(batch, question)

    def __repr__(self) -> str:
        return f"Pipeline({self._summary()})\n{self.plan!r}"

    def _repr_html_(self) -> str:
        return f"<p>{self._summary()}</p>{self.plan._repr_html_()}"

    def _summary(self) -> str:
        count = sum(weight.numel() for weight in self.parameters())
        trained = sum(weight.numel() for weight in self.parameters() if weight.requires_grad)
        return f"{count:,} parameters, {trained:,} of them trained, on {self.device}"
