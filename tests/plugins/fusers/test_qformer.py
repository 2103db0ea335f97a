"""`qformer` against transformers' own Q-Former with the same weights, under the names of the released AffectGPT."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor
from transformers import Blip2QFormerConfig, Blip2QFormerModel

from affectgpt.core.token_spec import TokenSpec
from affectgpt.core.tokens import Tokens
from affectgpt.plugins.fusers.attention_configs import QFormerConfig
from affectgpt.plugins.fusers.qformer import QFormer
from affectgpt.registry.errors import CheckpointError

WIDTH, HEADS, WIDE, LAYERS = 32, 4, 48, 2
BRANCHES = {"video": ("face",), "audio": ("audio",), "multi": ("face", "audio")}
WIDTHS = {"face": 48, "audio": 64}
QUERIES = {"video": 8, "audio": 8, "multi": 16}
POSITIONS = {"video": 32, "audio": 8, "multi": 264}


def make(branch: str) -> QFormer:
    config = QFormerConfig(
        inputs=list(BRANCHES[branch]), queries=QUERIES[branch], dim=WIDTH, heads=HEADS, intermediate=WIDE,
        layers=LAYERS, positions=POSITIONS[branch],
    )  # fmt: skip
    specs = {name: TokenSpec(modality=name, dim=WIDTHS[name], tokens=8) for name in BRANCHES[branch]}
    return QFormer(config, specs, config.infer(specs)).eval()


def original(branch: str) -> Blip2QFormerModel:
    read = max(WIDTHS[name] for name in BRANCHES[branch])
    torch.manual_seed(7)
    model = Blip2QFormerModel(Blip2QFormerConfig(
        hidden_size=WIDTH, num_hidden_layers=LAYERS, num_attention_heads=HEADS, intermediate_size=WIDE,
        encoder_hidden_size=read, cross_attention_frequency=1, hidden_act="gelu", layer_norm_eps=1e-12,
    )).eval()  # fmt: skip
    with torch.no_grad():
        for weight in model.parameters():
            weight.copy_(torch.randn_like(weight) * 0.2)
    return model


def released(branch: str, model: Blip2QFormerModel) -> dict[str, Tensor]:
    """The tensors of `model` as a released checkpoint names them, and those around it."""
    prefix = f"{branch}_Qformer.bert."
    state = {
        prefix + re.sub(r"attention\.attention\.", "attention.self.", name): value.detach()
        for name, value in model.named_parameters() if not name.startswith("layernorm")
    }  # fmt: skip
    for key, value in model.layernorm.named_parameters():
        state[f"{prefix}embeddings.LayerNorm.{key}"] = value.detach()
    state[f"{prefix}embeddings.position_ids"] = torch.arange(40)[None]
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
            each @ state[f"multi_{theirs}_embs.weight"].T + state[f"multi_{theirs}_embs.bias"]
            for theirs, each in zip(("video", "audio"), hidden, strict=True)
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
    ours.load_released(state, branch)
    lengths = {"face": 8, "audio": 5}
    hidden = [torch.randn(2, lengths[name], WIDTHS[name]) for name in BRANCHES[branch]]
    out = ours({name: Tokens(each) for name, each in zip(BRANCHES[branch], hidden, strict=True)})
    torch.testing.assert_close(out.values, expected(branch, model, state, hidden), rtol=1e-5, atol=1e-5)


def test_padding_in_front_does_not_move_the_positions() -> None:
    ours, hidden = make("multi"), [torch.randn(1, 8, 48), torch.randn(1, 5, 64)]
    plain = ours({"face": Tokens(hidden[0]), "audio": Tokens(hidden[1])})
    front = torch.cat([torch.full((1, 3, 48), torch.nan), hidden[0]], dim=1)
    mask = torch.tensor([[False] * 3 + [True] * 8])
    moved = ours({"face": Tokens(front, mask), "audio": Tokens(hidden[1])})
    torch.testing.assert_close(moved.values, plain.values)


def test_what_does_not_fit_is_named() -> None:
    ours, state = make("video"), released("video", original("video"))
    del state["video_query_tokens"]
    state["video_Qformer.bert.encoder.layer.2.extra"] = torch.zeros(1)
    state["video_Qformer.bert.embeddings.LayerNorm.bias"] = torch.zeros(3)
    before = {name: value.clone() for name, value in ours.state_dict().items()}
    with pytest.raises(CheckpointError) as caught:
        ours.load_released(state, "video")
    for part in ("no video_query_tokens", "also video_Qformer.bert.encoder.layer.2.extra", "LayerNorm.bias [3]"):
        assert part in str(caught.value)
    assert all(torch.equal(value, before[name]) for name, value in ours.state_dict().items())


@pytest.mark.parametrize("branch", BRANCHES)
def test_the_key_list_of_the_released_code_loads(branch: str, shared: Path) -> None:
    listing = shared / "oracle" / "KEYS_b.txt"
    if not listing.is_file():
        pytest.skip(f"no key list in {listing}")
    state = {}
    for line in listing.read_text(encoding="utf-8").splitlines():
        found = re.fullmatch(r"[TFB] (\S+) \[(.*)\].*", line)
        if found:
            shape = [int(size) for size in found[2].split(",") if size.strip()]
            state[found[1]] = torch.randn(shape)
    make(branch).load_released(state, branch)
