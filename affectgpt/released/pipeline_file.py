"""The pipeline file of a converted checkpoint, with every setting written out. No torch."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from affectgpt.registry.errors import ConfigError
from affectgpt.released.checkpoint_config import CheckpointConfig
from affectgpt.released.tensor_names import POSITIONS, QFORMER_LAYERS, nodes_of
from affectgpt.released.wording import Wording

PICTURES, WINDOWS = 8, 8
ANSWER_END, TRAINING_PREFIX = "###", "<|im_start|>"
ANSWER_TOKENS, SUBTITLE_TOKENS = 1200, 512
LORA = {"alpha": 32, "dropout": 0.05}


@dataclass(frozen=True)
class BertSizes:
    """Sizes of the BERT that the Q-Formers come from; the defaults are those of bert-base-uncased."""

    hidden: int = 768
    wide: int = 3072
    heads: int = 12
    dropout: float = 0.1

    @classmethod
    def of(cls, folder: Path) -> BertSizes:
        """Read the sizes from a folder's config.json. Raises ConfigError when it is missing or not that of a BERT."""
        file = folder / "config.json"
        keys = ("hidden_size", "intermediate_size", "num_attention_heads")
        try:
            if file.stat().st_size > 2**20:
                raise ValueError("it is larger than 1 MiB")
            values = json.loads(file.read_text(encoding="utf-8"))
            hidden, wide, heads = (values[key] for key in keys)
            dropout = values.get("hidden_dropout_prob", 0.1)
            if not all(type(each) is int and each > 0 for each in (hidden, wide, heads)) or not 0 <= float(dropout) < 1:
                raise ValueError(f"{', '.join(keys)} must be whole numbers above 0, hidden_dropout_prob below 1")
        except (OSError, ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
            raise ConfigError(
                "the sizes of the Q-Former's BERT cannot be read",
                where=str(file),
                found=str(error)[:120],
                expected=f"a config.json with {', '.join(keys)}",
            ) from None
        return cls(hidden, wide, heads, float(dropout))


@dataclass(frozen=True)
class ModelPaths:
    """The three public models, by name or folder, the LLM's dtype, and whether pickles may be read."""

    llm: str
    vision: str
    speech: str
    dtype: str = "bfloat16"
    allow_pickle: bool = False


def pipeline_tree(
    facts: CheckpointConfig, wording: Wording, models: ModelPaths, bert: BertSizes, *, sample: bool
) -> dict[str, Any]:
    """The content of the pipeline file. With `sample`, generation samples as the original does."""
    return {
        "seed": facts.seed,
        "encoders": _encoders(facts, models),
        "fusers": {name: node for branch in facts.fusions for name, node in _fusers(facts, branch, bert)},
        "llm": {
            "plugin": "causal-lm",
            "model": resolve_model_path(models.llm),
            "dtype": models.dtype,
            "begin_marker": False,
            "lora": {"r": facts.lora_rank, **LORA},
        },
        # The original shows the whole frame where it finds no face, and hears any sound as a voice.
        "presence": "off",
        "prompt": {
            "template": wording.template,
            "question": wording.question,
            "labels_question": wording.labels_question,
            "labels_answer": wording.labels_answer,
            "answer_end": ANSWER_END,
            "training_prefix": TRAINING_PREFIX,
            "joined": True,
            "max_subtitle_tokens": SUBTITLE_TOKENS,
        },
        "generation": {
            "max_new_tokens": ANSWER_TOKENS,
            "stop": [ANSWER_END],
            **({"sample": True, "top_p": 0.9, "top_k": 20} if sample else {}),
        },
        "training": {
            "steps": facts.steps,
            "batch_size": facts.batch_size,
            "lr": facts.lr,
            "min_lr": facts.min_lr,
            "warmup_steps": 0,
            "weight_decay": facts.weight_decay,
            "max_grad_norm": None,
            "precision": "bf16" if facts.half_precision else "no",
            "target": facts.target,
        },
    }


def resolve_model_path(model: str) -> str:
    """The full path of an existing folder, so that the saved model can be moved; other names unchanged."""
    return str(Path(model).resolve()) if Path(model).is_dir() else model


def _encoders(facts: CheckpointConfig, models: ModelPaths) -> dict[str, Any]:
    pickled = {"allow_pickle": True} if models.allow_pickle else {}
    pictures = {
        "plugin": "clip-vision",
        "model": resolve_model_path(models.vision),
        "frames": PICTURES,
        "spread": "released",
        "resize": "squash",
        **pickled,
    }
    every = {
        "face": {**pictures, "channel_order": "bgr"},
        "frame": pictures,
        "audio": {
            "plugin": "speech",
            "padding": "read",
            "model": resolve_model_path(models.speech),
            "clips": WINDOWS,
            "spread": "released",
            "normalize": "batch",
            "resample": "sinc",
            **pickled,
        },
    }
    return {name: every[name] for name in ("face", "frame", "audio") if name in facts.reads.streams}


def _fusers(facts: CheckpointConfig, branch: str, bert: BertSizes) -> list[tuple[str, dict[str, Any]]]:
    fusion, tokens = facts.fusions[branch], facts.tokens[branch]
    options: dict[str, Any] = {"copies": tokens}
    if fusion == "qformer":
        options = {
            "queries": tokens,
            "dim": bert.hidden,
            "heads": bert.heads,
            "intermediate": bert.wide,
            "layers": QFORMER_LAYERS,
            "positions": POSITIONS[branch],
            "dropout": bert.dropout,
        }
    elif fusion == "attention":
        options |= {"normalize": "none"}
    single = {"qformer": "qformer", "attention": "temporal-attention", "mean": "mean"}
    joint = {"qformer": "qformer", "attention": "modality-attention"}
    plugin = (joint if branch == "multi" else single)[fusion]
    fusers = []
    for node in nodes_of(facts, branch):
        inputs = [facts.reads.pictures, "audio"] if branch == "multi" else [node.removesuffix("_tokens")]
        fusers.append((node, {"plugin": plugin, "inputs": inputs, **options}))
    return fusers
