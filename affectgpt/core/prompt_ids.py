"""A pipeline's prompts as rows of token ids and embeddings, ready to be looked up and joined."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from torch import Tensor

from affectgpt.core.plan import Plan
from affectgpt.core.prompt import Part
from affectgpt.core.token_spec import TokenSpec
from affectgpt.core.tokens import Prepared
from affectgpt.registry.errors import CheckpointError, ConfigError
from affectgpt.registry.messages import is_panic, reason, short_repr

_MOST_TOKENS = 16
PromptPiece = list[int] | Tensor
"""Token ids, or a node's tokens in the LLM's width `[T, D]`."""


def start_ids(llm: Any) -> list[int]:
    """The ids that stand before every prompt of `llm`; [] for a plugin without such a method."""
    return list(llm.start_ids()) if callable(getattr(llm, "start_ids", None)) else []


class PromptIds:
    """Writes the prompts of `plan` in the tokens of `llm`."""

    def __init__(self, plan: Plan, llm: Any) -> None:
        self.plan, self.llm = plan, llm
        self.prompt = plan.config.prompt
        self.start = start_ids(llm)
        self._known: dict[str, list[int]] = {}
        self._pieces: dict[str, list[tuple[str, bool]]] = {}

    def rows(
        self,
        projected: Mapping[str, Tensor],
        valid: Mapping[str, Tensor],
        subtitles: Sequence[str],
        questions: Sequence[str],
        *,
        training: bool = False,
    ) -> list[list[PromptPiece]]:
        """One row of pieces per clip; `projected[name] [B, T, D]` where `valid[name] [B, T]`.

        Sections of what a clip lacks are left out. `training` puts the config's `training_prefix` before each.
        """
        rows = []
        for row, (subtitle, question) in enumerate(zip(subtitles, questions, strict=True)):
            absent = {name for name in projected if not bool(valid[name][row].any())}
            if not subtitle.strip():
                absent.add("subtitle")
            pieces: list[PromptPiece] = []
            if training and self.prompt.training_prefix:
                pieces.append(self._text(self.prompt.training_prefix))
            for run in self._runs(absent):
                if run[0].kind == "node":
                    name = run[0].value
                    pieces.append(projected[name][row][valid[name][row]])
                else:
                    pieces.append(self._run(run, subtitle, question))
            first = pieces[0] if pieces else []
            # A template may write the marker itself.
            if isinstance(first, Tensor) or first[: len(self.start)] != self.start:
                pieces.insert(0, self.start)
            rows.append(pieces)
        return rows

    def length(self, media: Mapping[str, Prepared | None], subtitle: str, question: str) -> int:
        """Tokens of a clip's prompt, known before it is encoded; of a node without an exact number, the most."""
        tokens = {}
        for name, node in self.plan.encoders.items():
            prepared = media[name]
            tokens[name] = _token_bound(node.output, len(prepared.values) if prepared is not None else 0)
        for name, fuser in self.plan.fusers.items():
            tokens[name] = _token_bound(fuser.output, sum(tokens[input_name] for input_name in fuser.inputs))
        absent = {name for name, count in tokens.items() if not count} | (set() if subtitle.strip() else {"subtitle"})
        return len(self.start) + sum(
            tokens[run[0].value] if run[0].kind == "node" else len(self._run(run, subtitle, question))
            for run in self._runs(absent)
        )

    def check_subtitle(self, subtitle: str) -> None:
        """Raise CheckpointError when the tokenizer cannot read `subtitle`."""
        self._encode(subtitle, special=False)

    def subtitle_tokens(self, subtitle: str) -> tuple[int, int]:
        """How many tokens of a subtitle a prompt holds, and how many it has; without a place for it, 0 are held."""
        total = len(self._encode(subtitle, special=False)) if subtitle.strip() else 0
        if not any(part.kind == "subtitle" for part in self.plan.parts):
            return 0, total
        if total <= self.prompt.max_subtitle_tokens:
            return total, total
        if self.prompt.joined:
            return len(self._encode(self._cut_subtitle(subtitle), special=False)), total
        return len(self._subtitle_ids(subtitle)), total

    def answer(self, text: str) -> list[int]:
        """The ids of an answer to learn: its end and the LLM's end marker included."""
        ids: list[int] = self._encode(text + self.prompt.answer_end, special=False)
        return [*ids, *self.llm.end_ids()[:1]]

    def check_question(self, question: str, where: str = "question") -> None:
        """Raise ConfigError when `question` and all else that a prompt may hold exceed the LLM's context.

        `where` names the question in the message.
        """
        budget = self.plan.budget
        text = len(self.start) + sum(len(self._text(part.value)) for part in self.plan.parts if part.kind == "text")
        count = len(self._encode(question, special=False))
        room = budget.context - budget.nodes - text - budget.subtitle - budget.answer
        if count > room:
            raise ConfigError(
                "the question does not fit into the LLM's context",
                where=where,
                found=f"{count} tokens of question + {budget.nodes} of nodes + {text} of text + {budget.subtitle} of"
                f" subtitle + {budget.answer} of answer",
                expected=f"at most {budget.context}",
                hint=f"ask in at most {max(0, room)} tokens",
            )

    def _encode(self, text: str, *, special: bool) -> list[int]:
        """The ids of `text`. Raises CheckpointError when the tokenizer fails, or makes far more of it than it holds.

        What a tokenizer does stands in a file that somebody else may have made.
        """
        try:
            ids: list[int] = self.llm.encode(text, special=special)
        except BaseException as error:
            if not is_panic(error):
                raise
            raise CheckpointError(
                "the tokenizer fails on a text",
                where="llm.tokenizer",
                found=f"{reason(error)}, in {short_repr(text)}",
                hint="use another tokenizer: this one's file is damaged, or made to fail",
            ) from error
        if len(ids) > _MOST_TOKENS * (len(text.encode("utf-8", "replace")) + 1):
            raise CheckpointError(
                "the tokenizer makes far more tokens of a text than it has letters",
                where="llm.tokenizer",
                found=f"{len(ids)} tokens of {short_repr(text)}",
                expected=f"at most {_MOST_TOKENS} tokens a byte",
            )
        return ids

    def _runs(self, absent: set[str]) -> Iterator[list[Part]]:
        """The parts that are tokenised together: with `joined` all between two nodes, else one at a time."""
        run: list[Part] = []
        for part in self.plan.parts:
            if part.section in absent or (part.kind != "text" and part.value in absent):
                continue
            if run and (part.kind == "node" or run[0].kind == "node" or not self.prompt.joined):
                yield run
                run = []
            run.append(part)
        if run:
            yield run

    def _run(self, run: list[Part], subtitle: str, question: str) -> list[int]:
        if all(part.kind == "text" for part in run):
            return self._text("".join(part.value for part in run))
        if len(run) == 1:
            # Somebody else's words: markers in them are text, and the length of a subtitle is bounded.
            if run[0].kind == "subtitle":
                return self._subtitle_ids(subtitle)
            return self._encode(question, special=False)
        texts = {"subtitle": self._cut_subtitle(subtitle), "question": question}
        # A marker is a token of its own: the words before it and behind it are tokenised apart.
        row: list[int] = []
        pending = ""
        for part in run:
            if part.kind in texts:
                pending += texts[part.kind]
                continue
            for piece, is_marker in self._split_markers(part.value):
                if is_marker:
                    row += [*self._encode(pending, special=False), *self._encode(piece, special=True)]
                pending = "" if is_marker else pending + piece
        return [*row, *self._encode(pending, special=False)]

    def _subtitle_ids(self, subtitle: str) -> list[int]:
        """The ids of as much of a subtitle as fits its bound, without a last character that would be cut."""
        ids: list[int] = self._encode(subtitle, special=False)
        limit = self.prompt.max_subtitle_tokens
        if len(ids) <= limit:
            return ids
        # A character has at most four bytes: one that is still cut was in the subtitle.
        for end in range(limit, max(limit - 4, 0), -1):
            if not str(self.llm.decode(ids[:end])).endswith("\N{REPLACEMENT CHARACTER}"):
                return ids[:end]
        return [] if limit < 4 else ids[:limit]

    def _cut_subtitle(self, subtitle: str) -> str:
        """As much of a subtitle as fits its bound, cut between two characters."""
        text, limit = subtitle, self.prompt.max_subtitle_tokens
        ids = head = self._encode(text, special=False)
        if len(ids) > limit:
            head = ids[:limit]
            text = self._decode_complete(head)
        while head and len(self._encode(text, special=False)) > limit:
            head = head[:-1]
            text = self._decode_complete(head)
        return text

    def _decode_complete(self, ids: list[int]) -> str:
        # The bytes of a character that was cut are decoded to this mark.
        return str(self.llm.decode(ids)).rstrip("\N{REPLACEMENT CHARACTER}")

    def _split_markers(self, text: str) -> list[tuple[str, bool]]:
        """`text` in pieces, and whether each is a marker such as `<|im_end|>`: read otherwise than as plain text."""
        if text not in self._pieces:
            pieces, remaining = [], text
            while self._has_marker(remaining):
                start, end = self._first_marker(remaining)
                pieces += [(remaining[:start], False), (remaining[start:end], True)]
                remaining = remaining[end:]
            self._pieces[text] = [*pieces, (remaining, False)]
        return self._pieces[text]

    def _first_marker(self, text: str) -> tuple[int, int]:
        end = bisect_left(range(len(text) + 1), True, key=lambda at: self._has_marker(text[:at]))
        return bisect_left(range(end), True, key=lambda at: not self._has_marker(text[at + 1 : end])), end

    def _has_marker(self, text: str) -> bool:
        return bool(self._encode(text, special=True) != self._encode(text, special=False))

    def _text(self, text: str) -> list[int]:
        if text not in self._known:
            self._known[text] = self._encode(text, special=True)
        return self._known[text]


def _token_bound(spec: TokenSpec, count: int) -> int:
    return spec.tokens if count and spec.exact else min(spec.tokens, count)
