"""Settings that must match when a run is resumed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from affectgpt.core.config import PipelineConfig
from affectgpt.core.saved.earlier_defaults import SETTINGS, without_earlier_settings
from affectgpt.registry.errors import ConfigError
from affectgpt.registry.messages import flatten
from affectgpt.training.targets import LabelledClip

_IGNORED = (
    "plugins",
    "generation",
    "training.checkpoint_every",
    "training.keep_checkpoints",
    "training.trackers",
)
_TOKENIZER_FILES, _LARGEST_FILE = (".json", ".txt", ".model", ".jinja"), 64 * 2**20
_FROZEN = "frozen weights"
INITIAL_WEIGHTS = "weights that it began with"


def resume_settings(
    config: PipelineConfig,
    clips: Sequence[LabelledClip],
    held_out: Sequence[LabelledClip],
    processes: int,
    features: Sequence[Mapping[str, Any] | None] = (),
    fixed: str = "",
    initial_weights: str = "",
) -> dict[str, Any]:
    """All settings that a run's result depends on, by name, as plain JSON values.

    `features` are the settings of the feature caches of the training and the held-out clips (None: no cache);
    `fixed` is a digest of frozen weights that no model folder holds, `initial_weights` one of a saved model's.
    """
    settings = {
        **result_settings(config),
        "training clips": clips_digest(clips),
        "held-out clips": clips_digest(held_out),
        "processes": processes,
        "feature cache": [feature_settings or "none" for feature_settings in features],
        _FROZEN: fixed,
        INITIAL_WEIGHTS: initial_weights,
    }
    plain: dict[str, Any] = json.loads(json.dumps(settings))
    return plain


def result_settings(config: PipelineConfig) -> dict[str, Any]:
    """The config values that change a run's result, by name, as plain JSON values."""
    settings = flatten(config.model_dump(mode="json"))
    if isinstance(tokenizer := settings.get("llm.tokenizer"), str) and Path(tokenizer).is_dir():
        # By content: the tokenizer folder of a saved model moves with the model.
        settings["llm.tokenizer"] = _files_digest(Path(tokenizer))
    return {
        key: value
        for key, value in settings.items()
        if not any(f"{key}.".startswith(f"{prefix}.") for prefix in _IGNORED)
    }


def _files_digest(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        if path.is_file() and path.suffix in _TOKENIZER_FILES and path.stat().st_size <= _LARGEST_FILE:
            digest.update(path.name.encode(errors="surrogateescape") + b"\0" + path.read_bytes() + b"\0")
    return f"files {digest.hexdigest()[:16]}"


def check_same_settings(earlier: Any, current: Mapping[str, Any], where: str) -> None:
    """Raise ConfigError that names the settings that differ from those of the checkpoint."""
    earlier = without_earlier_settings(_without_idle(earlier if isinstance(earlier, dict) else {}))
    current = without_earlier_settings(_without_idle(current))
    differing = sorted(key for key in {*earlier, *current} if earlier.get(key) != current.get(key))
    # Frozen weights follow from other settings, as random ones do from the seed.
    differing = [key for key in differing if key != _FROZEN] or differing
    if differing:
        raise ConfigError(
            f"the run was begun with other settings: {', '.join(differing[:12])}",
            where=where,
            found=_format_settings(current, differing),
            expected=_format_settings(earlier, differing),
            hint="put back the model that it was begun with, or start another run"
            if differing == [INITIAL_WEIGHTS]
            else "resume with the settings that it was begun with, or start another run",
        )


def _without_idle(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings without one that has no effect beside the others: of one batch, both kinds of mean are the same."""
    micro_batches = [settings.get("training.gradient_accumulation"), settings.get("processes", 1)]
    idle = {"training.step_loss"} if micro_batches == [1, 1] else set()
    return {key: value for key, value in settings.items() if key not in idle}


def _format_settings(settings: Mapping[str, Any], keys: Sequence[str]) -> str:
    texts = []
    for key in keys:
        section = key.partition(".")[0]
        # A section that did not exist yet is told by its one value from before.
        earlier = key not in settings and section in SETTINGS
        name, value = (section, SETTINGS[section]) if earlier else (key, settings.get(key, SETTINGS.get(key)))
        texts.append(f"{name} {json.dumps(value)}"[:80])
    return ", ".join(list(dict.fromkeys(texts))[:12])


def clips_digest(clips: Sequence[LabelledClip]) -> str:
    """The number of clips, and a hash of their names and texts."""
    digest = hashlib.sha256()
    for clip in clips:
        row = [clip.name, getattr(clip, "subtitle", ""), clip.description, list(clip.labels)]
        digest.update(json.dumps(row).encode() + b"\n")
    return f"{len(clips)} clips, {digest.hexdigest()[:16]}"
