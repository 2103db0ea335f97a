"""Names and shapes of a released AffectGPT's tensors, and their names in a converted pipeline. No torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from affectgpt.released.checkpoint_config import BRANCHES, CheckpointConfig

Shape = tuple[int, ...]
PROJECTORS = {"video": "affectgpt_proj", "audio": "audio_llama_proj", "multi": "multi_llama_proj"}
QFORMER_LAYERS = 2
POSITIONS = {"video": 32, "audio": 8, "multi": 264}
"""Rows of the Q-Formers' tables of positions."""
LLM, ADAPTED = "llama_model.base_model.model.", "llm.model."


@dataclass(frozen=True)
class Sizes:
    """Widths of picture and sound tokens, of the LLM, and of the Q-Formers and their feed-forward layers."""

    video: int
    audio: int
    llm: int
    qformer: int = 768
    qformer_wide: int = 3072

    def of(self, branch: str) -> int:
        """The width of a branch's tokens before a Q-Former or a projector."""
        return {"video": self.video, "audio": self.audio, "multi": max(self.video, self.audio)}[branch]


@dataclass(frozen=True)
class TensorName:
    """A tensor of the original: its shape, and the pipeline's tensors that hold it (none: it is not used)."""

    checkpoint_name: str
    shape: Shape | None
    targets: tuple[str, ...] = ()
    why_unused: str = ""


def nodes_of(facts: CheckpointConfig, branch: str) -> tuple[str, ...]:
    """The pipeline's fusers that hold the weights of `branch`: faces and frames share those of video."""
    nodes = {"video": ("face_tokens", "frame_tokens"), "audio": ("audio_tokens",), "multi": ("multi",)}[branch]
    return tuple(name for name in nodes if name in facts.reads.nodes)


def expected_tensors(facts: CheckpointConfig, sizes: Sizes, llm: Mapping[str, Any] | None) -> dict[str, TensorName]:
    """Every tensor of a checkpoint with these `facts`, by its original name; `llm` is the LLM's config.json.

    Without `llm`, tensors of the adapter are excluded.
    """
    names = [*(_adapter(facts.lora_rank, llm) if llm is not None else ()), *_image(sizes)]
    for branch in BRANCHES:
        names += _branch(facts, branch, sizes)
    return {name.checkpoint_name: name for name in names}


def _image(sizes: Sizes) -> Iterator[TensorName]:
    why = "single pictures are no input of the pipeline"
    yield TensorName("image_llama_proj.weight", (sizes.llm, sizes.video), (), why)
    yield TensorName("image_llama_proj.bias", (sizes.llm,), (), why)


def _branch(facts: CheckpointConfig, branch: str, sizes: Sizes) -> Iterator[TensorName]:
    nodes, fusion = nodes_of(facts, branch), facts.fusions[branch]
    why = "" if nodes else f"{facts.reads.name} does not read it"
    width = sizes.qformer if fusion == "qformer" else sizes.of(branch)
    shapes: dict[str, Shape] = {"weight": (sizes.llm, width), "bias": (sizes.llm,)}
    for part, shape in shapes.items():
        targets = tuple(f"projectors.{node}.{part}" for node in nodes)
        yield TensorName(f"{PROJECTORS[branch]}.{part}", shape, targets, why)
    for checkpoint_name, inner, shape in _fuser(branch, fusion, facts.tokens[branch], sizes):
        yield TensorName(checkpoint_name, shape, tuple(f"fusers.{node}.{inner}" for node in nodes), why)
    if fusion == "qformer":
        yield TensorName(
            f"{branch}_Qformer.bert.embeddings.position_ids", None, (), "nothing reads these positions of BERT"
        )


def _fuser(branch: str, fusion: str, tokens: int, sizes: Sizes) -> Iterator[tuple[str, str, Shape]]:
    """Name in the original, name inside the fuser, shape."""
    top = sizes.of(branch)
    if branch == "multi":
        yield from _linear("multi_video_embs", "projections.0", sizes.video, top)
        yield from _linear("multi_audio_embs", "projections.1", sizes.audio, top)
        if fusion == "attention":
            yield from _linear("attention_mlp", "mix", 2 * top, top)
            yield from _linear("fc_att", "score", top, 2)
    elif fusion == "attention":
        yield from _linear(f"{branch}_attention_mlp", "score", top, 1)
    if fusion == "qformer":
        table = f"{branch}{'_frame' if branch == 'video' else ''}_position_embedding.weight"
        yield table, "positions.weight", (POSITIONS[branch], top)
        yield f"{branch}_query_tokens", "queries", (1, tokens, sizes.qformer)
        yield from _norm(f"{branch}_Qformer.bert.embeddings.LayerNorm", "norm", sizes.qformer)
        for layer in range(QFORMER_LAYERS):
            yield from _layer(f"{branch}_Qformer.bert.encoder.layer.{layer}", f"layers.{layer}", top, sizes)


def _layer(checkpoint_name: str, target: str, read: int, sizes: Sizes) -> Iterator[tuple[str, str, Shape]]:
    width, wide = sizes.qformer, sizes.qformer_wide
    for block, name, inputs in (("attention", "ask", width), ("crossattention", "read", read)):
        yield from _linear(f"{checkpoint_name}.{block}.self.query", f"{target}.{name}.query", width, width)
        yield from _linear(f"{checkpoint_name}.{block}.self.key", f"{target}.{name}.key", inputs, width)
        yield from _linear(f"{checkpoint_name}.{block}.self.value", f"{target}.{name}.value", inputs, width)
        yield from _linear(f"{checkpoint_name}.{block}.output.dense", f"{target}.{name}.out", width, width)
        yield from _norm(f"{checkpoint_name}.{block}.output.LayerNorm", f"{target}.{name}_norm", width)
    yield from _linear(f"{checkpoint_name}.intermediate_query.dense", f"{target}.widen", width, wide)
    yield from _linear(f"{checkpoint_name}.output_query.dense", f"{target}.narrow", wide, width)
    yield from _norm(f"{checkpoint_name}.output_query.LayerNorm", f"{target}.narrow_norm", width)


def _linear(checkpoint_name: str, target: str, inputs: int, outputs: int) -> Iterator[tuple[str, str, Shape]]:
    yield f"{checkpoint_name}.weight", f"{target}.weight", (outputs, inputs)
    yield f"{checkpoint_name}.bias", f"{target}.bias", (outputs,)


def _norm(checkpoint_name: str, target: str, width: int) -> Iterator[tuple[str, str, Shape]]:
    yield f"{checkpoint_name}.weight", f"{target}.weight", (width,)
    yield f"{checkpoint_name}.bias", f"{target}.bias", (width,)


def _adapter(rank: int, llm: Mapping[str, Any]) -> Iterator[TensorName]:
    hidden, inner, heads = llm["hidden_size"], llm["intermediate_size"], llm["num_attention_heads"]
    head = llm.get("head_dim") or hidden // heads
    query, key = heads * head, llm["num_key_value_heads"] * head
    shapes = {
        "self_attn.q_proj": (hidden, query),
        "self_attn.k_proj": (hidden, key),
        "self_attn.v_proj": (hidden, key),
        "self_attn.o_proj": (query, hidden),
        "mlp.gate_proj": (hidden, inner),
        "mlp.up_proj": (hidden, inner),
        "mlp.down_proj": (inner, hidden),
    }
    for layer in range(llm["num_hidden_layers"]):
        for module, (inputs, outputs) in shapes.items():
            for part, shape in (("lora_A", (rank, inputs)), ("lora_B", (outputs, rank))):
                module_name = f"model.layers.{layer}.{module}.{part}.default.weight"
                yield TensorName(LLM + module_name, shape, adapter_target(LLM + module_name))


def adapter_target(checkpoint_name: str) -> tuple[str, ...]:
    """The pipeline's name for a tensor of the adapter; () for another tensor."""
    if checkpoint_name.startswith(LLM) and ".lora_" in checkpoint_name:
        return (ADAPTED + checkpoint_name.removeprefix(LLM),)
    return ()


def frozen_targets(checkpoint_name: str) -> tuple[str, ...] | None:
    """The pipeline's names for a frozen tensor of the LLM or an encoder; None for another tensor."""
    if checkpoint_name.startswith(LLM) and ".lora_" not in checkpoint_name:
        return (ADAPTED + checkpoint_name.removeprefix(LLM),)
    for prefix, streams in (("visual_encoder.model.", ("face", "frame")), ("acoustic_encoder.model.", ("audio",))):
        if checkpoint_name.startswith(prefix):
            return tuple(f"encoders.{stream}.model.{checkpoint_name.removeprefix(prefix)}" for stream in streams)
    return None
