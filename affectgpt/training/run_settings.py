"""What a resumed run must share with the run that it goes on with, or its numbers would be others."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from affectgpt.core.config import PipelineConfig
from affectgpt.registry.errors import ConfigError
from affectgpt.training.targets import Told

_WITHOUT_EFFECT = (
    "plugins",
    "generation",
    "training.checkpoint_every",
    "training.keep_checkpoints",
    "training.trackers",
)
_TOKENIZER_FILES, _LARGEST_FILE = (".json", ".txt", ".model", ".jinja"), 64 * 2**20
_FROZEN = "frozen weights"
BEGAN_WITH = "weights that it began with"


def settings_of(
    config: PipelineConfig,
    clips: Sequence[Told],
    held_out: Sequence[Told],
    processes: int,
    features: Sequence[Mapping[str, Any] | None] = (),
    fixed: str = "",
    began_with: str = "",
) -> dict[str, Any]:
    """All that a run's numbers depend on, by name, as plain JSON values.

    `features` says what a feature cache was made with, of the training and the held-out clips (None: no cache);
    `fixed` is a hash of frozen weights that no model folder holds, `began_with` one of a saved model's.
    """
    found = {
        **numbers_of(config),
        "training clips": clips_digest(clips),
        "held-out clips": clips_digest(held_out),
        "processes": processes,
        "feature cache": [each or "none" for each in features],
        _FROZEN: fixed,
        BEGAN_WITH: began_with,
    }
    plain: dict[str, Any] = json.loads(json.dumps(found))
    return plain


def numbers_of(config: PipelineConfig) -> dict[str, Any]:
    """The values of a config that change a run's numbers, by name, as plain JSON values."""
    settings = flat(config.model_dump(mode="json"))
    if isinstance(tokenizer := settings.get("llm.tokenizer"), str) and Path(tokenizer).is_dir():
        # By its files: that of a saved model moves along with the model.
        settings["llm.tokenizer"] = _files_digest(Path(tokenizer))
    return {
        key: value
        for key, value in settings.items()
        if not any(f"{key}.".startswith(f"{each}.") for each in _WITHOUT_EFFECT)
    }


def _files_digest(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        if path.is_file() and path.suffix in _TOKENIZER_FILES and path.stat().st_size <= _LARGEST_FILE:
            digest.update(path.name.encode(errors="surrogateescape") + b"\0" + path.read_bytes() + b"\0")
    return f"files {digest.hexdigest()[:16]}"


def refuse_other(before: Any, now: Mapping[str, Any], where: str) -> None:
    """Raise ConfigError that names what differs from the settings that a checkpoint holds."""
    before = before if isinstance(before, dict) else {}
    other = sorted(key for key in {*before, *now} if before.get(key) != now.get(key))
    # They follow from the others, as random weights do from the seed.
    other = [key for key in other if key != _FROZEN] or other
    if other:
        raise ConfigError(
            f"the run was begun with other settings: {', '.join(other[:12])}",
            where=where,
            found=_shown(now, other),
            expected=_shown(before, other),
            hint="put back the model that it was begun with, or start another run"
            if other == [BEGAN_WITH]
            else "resume with the settings that it was begun with, or start another run",
        )


def _shown(settings: Mapping[str, Any], keys: Sequence[str]) -> str:
    return ", ".join(f"{key} {json.dumps(settings.get(key))}"[:80] for key in keys[:12])


def flat(tree: Any, name: str = "") -> dict[str, Any]:
    """A tree of dicts as one dict: `{"a": {"b": 1}}` -> `{"a.b": 1}`."""
    if not isinstance(tree, dict) or not tree:
        return {name: tree}
    return {
        key: value
        for part, each in tree.items()
        for key, value in flat(each, f"{name}.{part}" if name else str(part)).items()
    }


def clips_digest(clips: Sequence[Told]) -> str:
    """The number of clips, and a hash of their names and texts."""
    digest = hashlib.sha256()
    for each in clips:
        row = [each.name, getattr(each, "subtitle", ""), each.description, list(each.labels)]
        digest.update(json.dumps(row).encode() + b"\n")
    return f"{len(clips)} clips, {digest.hexdigest()[:16]}"
