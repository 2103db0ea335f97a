"""A prompt as embeddings -> the body of a request to vLLM's `/v1/completions`.

The form is that of vLLM's documentation, "Prompt Embedding Inputs": the field `prompt_embeds` holds, in base64, what
`torch.save` writes of a tensor `[T, D]`; the server must run with `--enable-prompt-embeds`.
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
    """Raise ConfigError when the config's `generation` asks for what the server does not do with embeddings."""
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

    `settings` are the pipeline's with the text that ends an answer among the stop texts ([generation_settings][]);
    `end_ids` are the LLM's ids that end one. Every sampling option is sent, also where it does nothing: for what a
    request leaves open, the server takes the defaults of the model's own `generation_config.json`. Raises
    InterfaceError when `embeds` is not what the server reads.
    """
    return {"model": model, "prompt": "", "prompt_embeds": base64_tensor(embeds), **sampling(settings, end_ids, seed)}


def sampling(settings: GenerationConfig, end_ids: Sequence[int] = (), seed: int = 0) -> dict[str, Any]:
    """The fields of [request_body][] that say how the answer is written; greedy is temperature 0."""
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
    """`embeds [T, D]` as the server reads it: base64 of what `torch.save` writes. Raises InterfaceError."""
    if embeds.dim() != 2 or embeds.shape[0] == 0 or embeds.dtype not in DTYPES:
        raise InterfaceError(
            "these are not the embeddings of a prompt",
            found=f"{list(embeds.shape)} {embeds.dtype}",
            expected=f"[T, D] with T above 0, of {', '.join(str(dtype) for dtype in DTYPES)}",
        )
    written = io.BytesIO()
    # A copy: of a view, torch would write all that lies behind it, which may be other clips.
    torch.save(embeds.detach().cpu().clone(memory_format=torch.contiguous_format), written)
    return base64.b64encode(written.getvalue()).decode("ascii")
