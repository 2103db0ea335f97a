"""What of a decoder of transformers shows only when it is built: the names of its layers, and whether it is causal."""

from __future__ import annotations

import dataclasses
import re
import sys
from typing import Any

NOT_SIZES = {
    "transformers_version",
    "architectures",
    "output_hidden_states",
    "return_dict",
    "dtype",
    "is_encoder_decoder",
    "id2label",
    "label2id",
    "problem_type",
    "num_labels",
    "torch_dtype",
    "name_or_path",
    "quantization_config",
    "attn_implementation",
    "experts_implementation",
    "output_attentions",
    "auto_map",
    "model_type",
}
_CAUSAL = ("is_decoder", "causal", "is_causal")
_NOT_FOR_MAMBA = {"out_proj", "conv1d"}  # PEFT: the fused kernels read these weights without an adapter
# Sizes with which a model of any kind is built in a moment.
_SMALL = (
    (r"vocab_size", 300),
    (r"^(hidden_size|d_model|n_embd|dim|embedding_size|emb_dim)$", 32),
    (r"intermediate|ffn", 64),
    (r"^(num_hidden_layers|n_layers?|num_layers|(en|de)coder_layers)$", 2),
    (r"head_dim", 8),
    (r"heads|n_head", 4),
    (r"token_id$", 1),
)


def built_facts(config_class: Any, entry: dict[str, Any]) -> dict[str, Any]:
    """What only a built model shows; nothing of it where one with the class's own sizes cannot be built."""
    try:
        config = config_class()
        built = _built_layers(config)
    except Exception as error:
        print(f"{config_class.model_type}: not built: {error}"[:160], file=sys.stderr)
        return {}
    facts: dict[str, Any] = {"targets": sorted(built - no_targets(config_class.model_type))}
    more = _more_targets(config_class, set(entry.get("targets", ())) - built)
    turned = (getattr(config, "rope_parameters", None) or {}).get("partial_rotary_factor", 1.0)
    causal_keys = _causal_by(config_class)
    return (
        facts
        | ({"more": more} if more else {})
        | ({"turned": turned} if turned != 1.0 else {})
        | ({} if causal_keys is None else {"backward": causal_keys})
    )


def no_targets(kind: str) -> set[str]:
    return _NOT_FOR_MAMBA if "mamba" in kind or kind == "falcon_h1" else set()


def _built_layers(config: Any) -> set[str]:
    """The names of the layers of the decoder that `config` builds, without memory."""
    import torch
    from torch import nn
    from transformers import AutoModelForCausalLM
    from transformers.pytorch_utils import Conv1D

    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    decoder = model.get_decoder() if config.get_text_config(decoder=True) is not config else model
    kinds = (nn.Linear, nn.Embedding, nn.Conv1d, nn.Conv2d, Conv1D)
    names = {name.rpartition(".")[2] for name, layer in decoder.named_modules() if isinstance(layer, kinds)}
    head = next((name for name, layer in model.named_modules() if layer is model.get_output_embeddings()), "")
    return {name for name in {*names, head.rpartition(".")[2]} if name and not name.isdigit()}


def _more_targets(config_class: Any, names: set[str]) -> dict[str, list[str]]:
    """Layers among `names` that another value of one key brings -> those keys."""
    more: dict[str, list[str]] = {}
    defaults = {field.name: field.default for field in dataclasses.fields(config_class)} if names else {}
    for key, value in defaults.items():
        # Attention to another model's states gets none here: such layers are never used.
        if key in NOT_SIZES or "cross_attention" in key or key.startswith("is_"):
            continue
        if not isinstance(value, bool) and not key.endswith(("_dim", "_rank")):
            continue
        try:
            built = _built_layers(config_class(**{key: not value if isinstance(value, bool) else 8}))
        except Exception:  # most changes of one size alone fit nothing
            continue
        for name in sorted(names & built):
            more.setdefault(name, []).append(key)
    return more


def _causal_by(config_class: Any) -> list[str] | None:
    """None for a model whose tokens read those before them alone, else the keys that make it so when they are true."""
    if not _reads_backward(config_class, {}):
        return None
    names = {field.name for field in dataclasses.fields(config_class)}
    return [key for key in _CAUSAL if key in names and not _reads_backward(config_class, {key: True})]


def _reads_backward(config_class: Any, changes: dict[str, Any]) -> bool:
    """Whether the last of 9 tokens changes what is said of the first; False where no small model can be built."""
    import torch
    from transformers import AutoModelForCausalLM

    try:
        config = config_class(**changes)
        _make_small(config)
        _make_small(config.get_text_config(decoder=True))
        with torch.device("meta"):
            model = AutoModelForCausalLM.from_config(config)
        if sum(weights.numel() for weights in model.parameters()) > 3e8:
            return False
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_config(config).eval()
        width = model.get_input_embeddings().weight.shape[1]
        first, last = torch.randn(1, 8, width), torch.randn(2, 1, width)
        rows = torch.cat([first.expand(2, -1, -1), last], dim=1)
        mask = torch.ones(2, 9, dtype=torch.long)
        with torch.no_grad():
            logits = model(inputs_embeds=rows, attention_mask=mask, use_cache=False).logits
    except Exception:
        return False
    difference = (logits[0, :8] - logits[1, :8]).abs().max()
    return bool(difference > 1e-5 * logits.abs().max())


def _make_small(config: Any) -> None:
    for key, value in list(vars(config).items()):
        small = next((size for pattern, size in _SMALL if re.search(pattern, key)), None)
        if type(value) is int and small is not None and value > small:
            setattr(config, key, small)
