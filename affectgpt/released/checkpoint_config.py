"""Read the config inside a released checkpoint: the model and its training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from affectgpt.registry.errors import CheckpointError, join_names
from affectgpt.registry.messages import count_and_first, did_you_mean, short_repr
from affectgpt.released.input_types import InputType, input_type

BRANCHES = ("video", "audio", "multi")
FUSIONS = {
    "video": ("attention", "mean", "qformer"),
    "audio": ("attention", "mean", "qformer"),
    "multi": ("attention", "qformer"),
}
_PARTS = {"llama_model": "Qwen25", "visual_encoder": "CLIP_VIT_LARGE", "acoustic_encoder": "HUBERT_LARGE"}
_TARGETS = {"hybird": "mixed", "description": "description", "ovlabel": "labels"}
LORA_RANK = 16
"""Default, for a config without one."""


@dataclass(frozen=True)
class CheckpointConfig:
    """Input type, `fusions` and `tokens` (their number in the prompt) by branch, and training settings."""

    reads: InputType
    fusions: Mapping[str, str]
    tokens: Mapping[str, int]
    lora_rank: int
    datasets: tuple[str, ...]
    target: str
    steps: int
    batch_size: int
    lr: float
    min_lr: float
    weight_decay: float
    half_precision: bool
    seed: int
    remarks: tuple[str, ...] = ()


def parse_config(config: Mapping[str, Any], where: str, face_or_frame: str | None = None) -> CheckpointConfig:
    """Read the `config` of a checkpoint; `face_or_frame` overrides its input type.

    Raises CheckpointError when something that is needed is missing, has another type, or is not supported.
    """
    reader = _Reader(where)
    model, run = reader.section(config, "model"), reader.section(config, "run", needed=False)
    data = {
        name: dataset for name, dataset in reader.section(config, "datasets").items() if isinstance(dataset, Mapping)
    }
    for key, expected in _PARTS.items():
        value = reader.text(model, key, "model")
        if value != expected:
            raise CheckpointError(
                f"a model with this {key} cannot be converted", where=where, found=short_repr(value), expected=expected
            )
    fusions = {branch: reader.fusion(model, branch) for branch in BRANCHES}
    tokens = {branch: reader.number(model, f"num_{branch}_query_token", "model", most=256) for branch in BRANCHES}
    steps = reader.number(run, "max_epoch", "run", 60) * reader.number(run, "iters_per_epoch", "run", 5000)
    lr = reader.rate(run, "init_lr", 1e-5, above=0.0)
    labels = {str(dataset["label_type"]) for dataset in data.values() if "label_type" in dataset}
    return CheckpointConfig(
        input_type(reader.input_type(data) if face_or_frame is None else face_or_frame, where),
        fusions,
        tokens,
        reader.number(model, "lora_r", "model", LORA_RANK, most=1024),
        tuple(data),
        _TARGETS.get(next(iter(labels)), "description") if len(labels) == 1 else "mixed",
        steps,
        reader.number(run, "batch_size_train", "run", 3),
        lr,
        min(lr, reader.rate(run, "min_lr", lr)),
        reader.rate(run, "weight_decay", 0.05),
        run.get("amp") is True,
        reader.number(run, "seed", "run", 42, least=0),
        tuple(
            f"its label_type {short_repr(dataset)} is unknown here: training.target was chosen without it"
            for dataset in sorted(labels - _TARGETS.keys())
        ),
    )


@dataclass(frozen=True)
class _Reader:
    where: str

    def section(self, config: Mapping[str, Any], key: str, *, needed: bool = True) -> Mapping[str, Any]:
        value = config.get(key)
        if value is None and not needed:
            return {}
        if not isinstance(value, Mapping):
            raise CheckpointError(
                f"the checkpoint's config has no section {key!r}",
                where=self.where,
                found=short_repr(value),
                expected="the config of the training run, as the released code stores it",
            )
        return value

    def text(self, section: Mapping[str, Any], key: str, name: str) -> str:
        value = section.get(key)
        if not isinstance(value, str):
            raise CheckpointError(
                f"the checkpoint's config does not say {name}.{key}",
                where=self.where,
                found=short_repr(value),
                expected="a text",
            )
        return value

    def number(
        self,
        section: Mapping[str, Any],
        key: str,
        name: str,
        default: int | None = None,
        *,
        least: int = 1,
        most: int = 2**31,
    ) -> int:
        value = section.get(key, default)
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise CheckpointError(
                f"the checkpoint's config gives no usable {name}.{key}",
                where=self.where,
                found=short_repr(value),
                expected=f"a whole number from {least} to {most}",
            )
        return value

    def rate(self, section: Mapping[str, Any], key: str, default: float, *, above: float = -1.0) -> float:
        value = section.get(key, default)
        if not isinstance(value, int | float) or isinstance(value, bool) or not (0 <= value < 1e3 and value > above):
            raise CheckpointError(
                f"the checkpoint's config gives no usable run.{key}",
                where=self.where,
                found=short_repr(value),
                expected="a number above 0" if above >= 0 else "a number of at least 0",
            )
        return float(value)

    def fusion(self, model: Mapping[str, Any], branch: str) -> str:
        key = f"{branch}_fusion_type"
        value, choices = self.text(model, key, "model"), FUSIONS[branch]
        if value not in choices:
            raise CheckpointError(
                f"the fusion type of {branch} is unknown",
                where=self.where,
                found=f"{key} {short_repr(value)}",
                expected=f"one of {join_names(choices)}",
                hint=did_you_mean(value, choices),
            )
        return value

    def input_type(self, data: Mapping[str, Any]) -> str:
        input_types = sorted({str(dataset["face_or_frame"]) for dataset in data.values() if "face_or_frame" in dataset})
        if len(input_types) != 1:
            raise CheckpointError(
                "the checkpoint's config does not name one input type",
                where=self.where,
                found=f"face_or_frame {count_and_first([short_repr(dataset) for dataset in input_types])}"
                if input_types
                else "none",
                expected="one face_or_frame for all data sets",
                hint="name it with face_or_frame=",
            )
        return input_types[0]
