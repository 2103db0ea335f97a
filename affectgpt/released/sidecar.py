"""The sidecar `released/` of a converted model: all parts of the checkpoint that are not in the pipeline.

checkpoint.json       the original's config, the epoch, and the names of all tensors in their order
tensors.safetensors   the tensors that are not in the model
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor

from affectgpt.core.saved.config import CONFIG
from affectgpt.core.saved.tensors import read_tensors
from affectgpt.registry.errors import CheckpointError
from affectgpt.released.read_checkpoint import MAX_EPOCH, check_tensor, is_json

FOLDER, TABLE, TENSORS = "released", "checkpoint.json", "tensors.safetensors"
FORMAT = 1
_LARGEST_TABLE = 8 * 2**20


@dataclass(frozen=True)
class Sidecar:
    """`config` and `epoch` of the original, `reads` (its face_or_frame), the `order` of names, the other `tensors`.

    `shapes` are those of all tensors of the original by name; `tied` the names that were equal to a model folder's.
    """

    config: Mapping[str, Any]
    epoch: int
    reads: str
    bert: Mapping[str, Any]
    order: tuple[str, ...]
    tensors: Mapping[str, Tensor]
    shapes: Mapping[str, tuple[int, ...]]
    tied: tuple[str, ...] = ()


def write_sidecar(folder: Path, sidecar: Sidecar) -> None:
    """Write `released/` into the folder of a model that is being saved."""
    target = folder / FOLDER
    target.mkdir()
    table = {
        "format": FORMAT,
        "epoch": sidecar.epoch,
        "reads": sidecar.reads,
        "bert": dict(sidecar.bert),
        "config": sidecar.config,
        "order": sidecar.order,
        "shapes": dict(sidecar.shapes),
        "tied": sidecar.tied,
    }
    text = json.dumps(table) + "\n"
    if len(text) > _LARGEST_TABLE:
        raise CheckpointError(
            "the checkpoint's config and names are too large for the sidecar",
            found=f"{len(text):,} bytes",
            expected=f"at most {_LARGEST_TABLE:,}",
        )
    (target / TABLE).write_text(text, encoding="utf-8")
    tensors = {name: tensor.detach().clone().contiguous() for name, tensor in sidecar.tensors.items()}
    save_file(tensors, target / TENSORS, metadata={"format": "pt"})


def read_sidecar(folder: Path) -> Sidecar:
    """Read `released/` of a saved model. Raises CheckpointError when it is missing or damaged."""
    path = folder / FOLDER / TABLE
    if not (folder / CONFIG).is_file():
        raise CheckpointError("this is not a saved model", where=str(folder), found=f"no {CONFIG}")
    if not path.is_file():
        raise CheckpointError(
            "this saved model was not converted from a checkpoint of the released AffectGPT",
            where=str(folder),
            found=f"no {FOLDER}/{TABLE}",
            hint="only what `affectgpt convert affectgpt` made can be converted back",
        )
    try:
        if path.stat().st_size > _LARGEST_TABLE:
            raise ValueError(f"it is larger than {_LARGEST_TABLE:,} bytes")
        table = json.loads(path.read_text(encoding="utf-8"))
        order, config, bert = table["order"], table["config"], table["bert"]
        shapes, tied = table["shapes"], table["tied"]
        fits = (
            table["format"] == FORMAT
            and type(table["epoch"]) is int
            and 0 <= table["epoch"] <= MAX_EPOCH
            and type(table["reads"]) is str
            and isinstance(order, list)
            and all(isinstance(name, str) for name in order)
            and len(set(order)) == len(order)
            and isinstance(bert, dict)
            and isinstance(config, dict)
            and is_json(config)
            and isinstance(shapes, dict)
            and isinstance(tied, list)
            and all(isinstance(shape, list) and all(type(size) is int for size in shape) for shape in shapes.values())
        )
        if not fits:
            raise ValueError("a value has the wrong type")
    except (OSError, ValueError, LookupError, TypeError, RecursionError) as error:
        raise CheckpointError(
            "the sidecar of the converted model cannot be read", where=str(path), found=str(error)[:200]
        ) from None
    tensors = read_tensors(folder / FOLDER / TENSORS)
    for name, tensor in tensors.items():
        check_tensor(name, tensor, str(folder / FOLDER / TENSORS))
    return Sidecar(
        config,
        table["epoch"],
        table["reads"],
        bert,
        tuple(order),
        tensors,
        {name: tuple(shape) for name, shape in shapes.items()},
        tuple(map(str, tied)),
    )
