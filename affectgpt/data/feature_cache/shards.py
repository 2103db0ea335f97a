"""The files that hold features: written whole or not at all, and read only as they were written."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from affectgpt.data.feature_cache.index import shard_name
from affectgpt.data.feature_cache.journal import error_unwritable
from affectgpt.data.feature_cache.keys import checksum
from affectgpt.files.atomic import write_bytes_atomic
from affectgpt.registry.errors import DataError

REPAIR = "the cache was damaged: move the folder away and run encode again, or copy it again"


def write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> int:
    """Write a safetensors file by way of `.NAME.part` beside it; gives its size. Raises RunError.

    The file is on the disk, under its name, when this returns.
    """
    content = save({name: tensor.contiguous() for name, tensor in tensors.items()})
    try:
        write_bytes_atomic(path, content)
    except OSError as error:
        raise error_unwritable(path, error) from None
    return len(content)


def tensor_names(clip: str, encoder: str) -> tuple[str, str]:
    """The names of a clip's values and times in its shard."""
    return f"{clip}.{encoder}.values", f"{clip}.{encoder}.times"


class Shards:
    """The shards of the cache in `folder`, memory-mapped when they are first read, in each process anew."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._open: dict[int, Any] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {"folder": self.folder, "_open": {}}

    def read(self, shard: int, name: str, sum_: str, shape: tuple[int, ...], dtype: torch.dtype, clip: str) -> Tensor:
        """A copy of a tensor. Raises DataError naming file and `clip` unless it is as the index has it, and finite."""
        path = self.folder / shard_name(shard)
        try:
            tensor: Tensor = self._file(shard, path).get_tensor(name).clone()
        except (SafetensorError, OSError, ValueError) as error:
            raise _damaged(path, clip, str(error).splitlines()[0][:200], "a whole shard") from None
        if tuple(tensor.shape) != shape or tensor.dtype != dtype:
            raise _damaged(path, clip, f"{list(tensor.shape)} {tensor.dtype}", f"{list(shape)} {dtype}")
        if checksum(tensor) != sum_:
            raise _damaged(path, clip, "another checksum", "the features that were written")
        if not bool(torch.isfinite(tensor).all()):
            raise _damaged(path, clip, "values that are not finite", "finite values")
        return tensor

    def _file(self, shard: int, path: Path) -> Any:
        if shard not in self._open:
            # Opening a pipe would wait for a writer.
            if not path.is_file():
                raise OSError("there is no such file")
            self._open[shard] = safe_open(path, framework="pt")
        return self._open[shard]


def _damaged(path: Path, clip: str, reason: str, expected: str) -> DataError:
    return DataError(
        "the stored features of a clip cannot be used",
        where=f"{path}: {clip}",
        found=reason,
        expected=expected,
        hint=REPAIR,
    )
