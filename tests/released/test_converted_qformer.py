"""A converted checkpoint's Q-Formers, as the saved model loads them, against the BERT that they were made of."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from transformers import BertConfig, Blip2QFormerConfig, Blip2QFormerModel

from affectgpt.core.saved.model import load
from affectgpt.core.tokens import Tokens
from affectgpt.registry.catalog import Catalog

BRANCHES = {
    "video": ("face_tokens", ("face",)),
    "audio": ("audio_tokens", ("audio",)),
    "multi": ("multi", ("face", "audio")),
}


def reference(branch: str, state: dict[str, torch.Tensor], bert: BertConfig, hidden: list[torch.Tensor]) -> Any:
    """Project (several inputs only), concatenate, add the position, read with transformers' Q-Former."""
    if branch == "multi":
        hidden = [
            item @ state[f"multi_{name}_embs.weight"].T + state[f"multi_{name}_embs.bias"]
            for name, item in zip(("video", "audio"), hidden, strict=True)
        ]
    joined = torch.cat(hidden, dim=1)
    model = Blip2QFormerModel(
        Blip2QFormerConfig(
            hidden_size=bert.hidden_size,
            num_hidden_layers=2,
            num_attention_heads=bert.num_attention_heads,
            intermediate_size=bert.intermediate_size,
            encoder_hidden_size=joined.shape[-1],
            cross_attention_frequency=1,
            hidden_act="gelu",
            layer_norm_eps=1e-12,
        )
    ).eval()
    own_values = {
        name: state[
            f"{branch}_Qformer.bert." + name.replace("attention.attention.", "attention.self.")
            if not name.startswith("layernorm.")
            else f"{branch}_Qformer.bert.embeddings.LayerNorm.{name.partition('.')[2]}"
        ]
        for name, _ in model.named_parameters()
    }
    model.load_state_dict(own_values, strict=False)
    table = state[f"{branch}{'_frame' if branch == 'video' else ''}_position_embedding.weight"]
    queries = state[f"{branch}_query_tokens"].expand(joined.shape[0], -1, -1)
    with torch.no_grad():
        return model(queries, encoder_hidden_states=joined + table[: joined.shape[1]]).last_hidden_state


def test_every_branch_gives_what_its_bert_gives(
    original: Callable[..., Path], converted: Callable[..., Any], models: Any, catalog: Catalog, tmp_path: Path
) -> None:
    def louder(content: dict[str, Any]) -> None:
        # Attention over nearly equal scores would not tell the number of heads.
        for name, value in content["model"].items():
            if "Qformer" in name and value.is_floating_point():
                value.mul_(8)

    checkpoint = original("qformer", "qformer", "qformer", tokens=(4, 5, 6), change=louder)
    converted(checkpoint)
    pipeline = load(tmp_path / "out", catalog)
    state = torch.load(checkpoint, weights_only=True)["model"]
    bert = BertConfig.from_pretrained(models.bert)
    assert bert.num_attention_heads > 1
    torch.manual_seed(0)
    hidden = {"face": torch.randn(2, 8, 24), "audio": torch.randn(2, 8, 40)}
    for branch, (node, inputs) in BRANCHES.items():
        with torch.no_grad():
            out = pipeline.fusers[node]({name: Tokens(hidden[name]) for name in inputs}).values
        expected = reference(branch, state, bert, [hidden[name] for name in inputs])
        torch.testing.assert_close(out, expected, rtol=1e-4, atol=1e-4)
