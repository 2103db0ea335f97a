"""A Q-Former with a released checkpoint's tensors against transformers' own Q-Former with the same weights."""

from __future__ import annotations

import re
from collections.abc import Mapping

import pytest
import torch
from torch import Tensor
from transformers import Blip2QFormerConfig, Blip2QFormerModel

from affectgpt.core.token_spec import TokenSpec
from affectgpt.core.tokens import Tokens
from affectgpt.plugins.fusers.qformer import QFormer
from affectgpt.plugins.fusers.qformer_config import QFormerConfig
from affectgpt.released.checkpoint_config import parse_config
from affectgpt.released.tensor_names import POSITIONS, Sizes, expected_tensors

WIDTH, HEADS, WIDE, LAYERS = 32, 4, 48, 2
BRANCHES = {"video": ("face",), "audio": ("audio",), "multi": ("face", "audio")}
NODES = {"video": "face_tokens", "audio": "audio_tokens", "multi": "multi"}
WIDTHS = {"face": 48, "audio": 64}
QUERIES = {"video": 8, "audio": 8, "multi": 16}
CONFIG = {
    "model": {
        "llama_model": "Qwen25",
        "visual_encoder": "CLIP_VIT_LARGE",
        "acoustic_encoder": "HUBERT_LARGE",
        **{f"{branch}_fusion_type": "qformer" for branch in BRANCHES},
        **{f"num_{branch}_query_token": count for branch, count in QUERIES.items()},
    },
    "datasets": {"one": {"face_or_frame": "multiface_audio_face_text"}},
}


def make(branch: str) -> QFormer:
    config = QFormerConfig(
        inputs=list(BRANCHES[branch]),
        queries=QUERIES[branch],
        dim=WIDTH,
        heads=HEADS,
        intermediate=WIDE,
        layers=LAYERS,
        positions=POSITIONS[branch],
    )
    specs = {name: TokenSpec(modality=name, dim=WIDTHS[name], tokens=8) for name in BRANCHES[branch]}
    return QFormer(config, specs, config.infer(specs)).eval()


def load(ours: QFormer, state: Mapping[str, Tensor], branch: str) -> None:
    """The tensors of `state` that the table of names gives to this Q-Former: all of its own, and each once."""
    prefix = f"fusers.{NODES[branch]}."
    result = {}
    for name, expected_tensor in expected_tensors(
        parse_config(CONFIG, "test"), Sizes(48, 64, 96, WIDTH, WIDE), None
    ).items():
        result |= {own.removeprefix(prefix): state[name] for own in expected_tensor.targets if own.startswith(prefix)}
    ours.load_state_dict(result)


def original(branch: str) -> Blip2QFormerModel:
    read = max(WIDTHS[name] for name in BRANCHES[branch])
    torch.manual_seed(7)
    model = Blip2QFormerModel(
        Blip2QFormerConfig(
            hidden_size=WIDTH,
            num_hidden_layers=LAYERS,
            num_attention_heads=HEADS,
            intermediate_size=WIDE,
            encoder_hidden_size=read,
            cross_attention_frequency=1,
            hidden_act="gelu",
            layer_norm_eps=1e-12,
        )
    ).eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.copy_(torch.randn_like(weight) * 0.2)
    return model


def released(branch: str, model: Blip2QFormerModel) -> dict[str, Tensor]:
    """The tensors of `model` as a released checkpoint names them, and those around it."""
    prefix = f"{branch}_Qformer.bert."
    state = {
        prefix + re.sub(r"attention\.attention\.", "attention.self.", name): value.detach()
        for name, value in model.named_parameters()
        if not name.startswith("layernorm")
    }
    for key, value in model.layernorm.named_parameters():
        state[f"{prefix}embeddings.LayerNorm.{key}"] = value.detach()
    read = max(WIDTHS[name] for name in BRANCHES[branch])
    table = "video_frame_position_embedding" if branch == "video" else f"{branch}_position_embedding"
    state[f"{table}.weight"] = torch.randn(POSITIONS[branch], read)
    state[f"{branch}_query_tokens"] = torch.randn(1, QUERIES[branch], WIDTH)
    if branch == "multi":
        for theirs, name in (("video", "face"), ("audio", "audio")):
            state[f"multi_{theirs}_embs.weight"] = torch.randn(read, WIDTHS[name]) * 0.1
            state[f"multi_{theirs}_embs.bias"] = torch.randn(read)
    return state


def expected(branch: str, model: Blip2QFormerModel, state: Mapping[str, Tensor], hidden: list[Tensor]) -> Tensor:
    """What the facts say: project (several inputs only), concatenate, add the position, read."""
    if branch == "multi":
        hidden = [
            item @ state[f"multi_{theirs}_embs.weight"].T + state[f"multi_{theirs}_embs.bias"]
            for theirs, item in zip(("video", "audio"), hidden, strict=True)
        ]
    joined = torch.cat(hidden, dim=1)
    table = next(value for name, value in state.items() if "_position_embedding" in name)
    queries = state[f"{branch}_query_tokens"].expand(joined.shape[0], -1, -1)
    with torch.no_grad():
        result: Tensor = model(queries, encoder_hidden_states=joined + table[: joined.shape[1]]).last_hidden_state
    return result


@pytest.mark.parametrize("branch", BRANCHES)
def test_the_released_weights_give_the_original_output(branch: str) -> None:
    model, ours = original(branch), make(branch)
    state = released(branch, model)
    load(ours, state, branch)
    lengths = {"face": 8, "audio": 5}
    hidden = [torch.randn(2, lengths[name], WIDTHS[name]) for name in BRANCHES[branch]]
    out = ours({name: Tokens(each) for name, each in zip(BRANCHES[branch], hidden, strict=True)})
    torch.testing.assert_close(out.values, expected(branch, model, state, hidden), rtol=1e-5, atol=1e-5)
