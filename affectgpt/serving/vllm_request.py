"""Build the body of a request to vLLM's `/v1/completions` from a prompt as embeddings.

The format is documented in vLLM's "Prompt Embedding Inputs": the field `prompt_embeds` is the output of `torch.save`
for a tensor `[T, D]`, in base64; the server must run with `--enable-prompt-embeds`.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from affectgpt.core.config import GenerationConfig, PipelineConfig
from affectgpt.registry.errors import ConfigError, InterfaceError

DTYPES = (torch.float32, torch.bfloat16, torch.float16)


def check_servable(config: PipelineConfig) -> None:
    """Raise ConfigError when the config's `generation` has options that the server does not support with embeddings."""
    if config.generation.beams > 1:
        raise ConfigError(
            "a server is not asked for beams",
            where="generation.beams",
            found=str(config.generation.beams),
            expected="1",
            hint="set generation.beams to 1 in the model's pipeline.yaml, or use `affectgpt describe`",
        )


def request_body(
    embeds: Tensor, settings: GenerationConfig, *, model: str, end_ids: Sequence[int] = (), seed: int = 0
) -> dict[str, Any]:
    """The JSON body that asks `model` (a served model's or adapter's name) to continue `embeds [T, D]`.

    `settings` are those of [generation_settings][], whose stop texts include the text that ends an answer; `end_ids`
    are the LLM's ids that end one. Every sampling option is sent, even at a value without effect, because the server
    takes missing ones from the model's `generation_config.json`. The field `prompt` is null: vLLM refuses a text
    without characters, also beside embeddings. Raises InterfaceError when the server cannot read `embeds`.
    """
    return {"model": model, "prompt": None, "prompt_embeds": base64_tensor(embeds), **sampling(settings, end_ids, seed)}


def sampling(settings: GenerationConfig, end_ids: Sequence[int] = (), seed: int = 0) -> dict[str, Any]:
    """The sampling fields of [request_body][]; temperature 0 is greedy."""
    fields: dict[str, Any] = {
        "max_tokens": settings.max_new_tokens,
        "temperature": settings.temperature if settings.sample else 0.0,
        "top_p": settings.top_p,
        "top_k": settings.top_k or -1,
        "min_p": 0.0,
        "repetition_penalty": settings.repetition_penalty,
        "presence_penalty": 0.0,
        "frequency_penalty": 0.0,
        "stop": list(settings.stop),
        "stop_token_ids": list(end_ids),
        "skip_special_tokens": True,
    }
    return fields | ({"seed": seed} if settings.sample else {})


def base64_tensor(embeds: Tensor) -> str:
    """`embeds [T, D]` in the server's format: the output of `torch.save` in base64. Raises InterfaceError."""
    if embeds.dim() != 2 or embeds.shape[0] == 0 or embeds.dtype not in DTYPES:
        raise InterfaceError(
            "these are not the embeddings of a prompt",
            found=f"{list(embeds.shape)} {embeds.dtype}",
            expected=f"[T, D] with T above 0, of {', '.join(str(dtype) for dtype in DTYPES)}",
        )
    buffer = io.BytesIO()
    # A copy: for a view, torch would save the whole storage, which may hold other clips.
    torch.save(embeds.detach().cpu().clone(memory_format=torch.contiguous_format), buffer)
    return base64.b64encode(buffer.getvalue()).decode("ascii")
