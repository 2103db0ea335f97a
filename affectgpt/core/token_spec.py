"""The declared type of [Tokens][]: modality, width and number. No torch."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

NO_BOUND = 2**31 - 1
"""The context length of an LLM that states none: it reads sequences of any length."""


class TokenSpec(BaseModel):
    """What one node of a pipeline produces per clip.

    - `modality`: what the tokens are about: a stream ("face", "frame", "audio", "sound"), "text", or streams joined
      by "+" ("face+audio") after a fusion.
    - `dim`: width D of a token. For an LLM, the width of its embeddings.
    - `tokens`: number of tokens T per clip; for an LLM, its context length, [NO_BOUND][] where it states none.
    - `exact`: True when every clip gives exactly `tokens`, False when it gives at most that many.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    modality: str = Field(min_length=1)
    dim: int = Field(gt=0)
    tokens: int = Field(gt=0)
    exact: bool = True

    def __str__(self) -> str:
        return f"{self.modality} [{'' if self.exact else '<='}{self.tokens}, {self.dim}]"


def joined_modality(specs: dict[str, TokenSpec]) -> str:
    """The modality of a fusion of `specs`: its distinct streams in order, joined by "+"."""
    streams = dict.fromkeys(part for spec in specs.values() for part in spec.modality.split("+"))
    return "+".join(streams)
