"""Read a released checkpoint without running its code and without using much more memory than the file's size."""

from __future__ import annotations

import json
import math
import stat
import warnings
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from affectgpt.registry.errors import CheckpointError
from affectgpt.registry.messages import short_repr
from affectgpt.released.archive import TABLE, AmbiguousArchiveError, table_size
from affectgpt.released.saved_pickle import CallingPickleError, check_pickle

MAX_BYTES = 64 * 2**30
MAX_PICKLE = 8 * 2**20
"""Bytes of the part of the file that is a pickle: names and shapes, no values."""
MAX_CONFIG = 2**20
MAX_VALUES = 100_000
MAX_EPOCH = 2**31
MAX_DEPTH = 32
_MOST_SHARED = 4
_LARGEST_SHAPE = 2**40
DTYPES = (torch.float32, torch.float16, torch.bfloat16, torch.int64)
_EXPECTED = "a checkpoint as the released AffectGPT saves it (torch.save of model, optimizer, config, scaler, epoch)"


@dataclass(frozen=True)
class ReleasedCheckpoint:
    """The `model` tensors by name, in order; the `config` (JSON values), the `epoch`, and other entries' names."""

    where: str
    model: dict[str, Tensor]
    config: dict[str, Any]
    epoch: int
    other_entries: tuple[str, ...]


def read_checkpoint(path: Path) -> ReleasedCheckpoint:
    """Read a `.pth` file. Raises CheckpointError when it is missing, damaged, no such checkpoint, or contains code."""
    where = str(path)
    check_archive(path)
    content = _loaded(path)
    if not isinstance(content, Mapping) or not isinstance(content.get("model"), Mapping):
        keys = ", ".join(map(_key, list(content)[:8])) if isinstance(content, Mapping) else type(content).__name__
        raise CheckpointError("this is not a checkpoint of AffectGPT", where=where, found=keys, expected=_EXPECTED)
    model = dict(content["model"])
    config = content.get("config")
    if not isinstance(config, Mapping) or not is_json(config):
        raise CheckpointError(
            "the checkpoint holds no config",
            where=where,
            found="keys that are no texts, values of other kinds, or too many of them"
            if isinstance(config, Mapping)
            else type(config).__name__,
            expected="the config of the training run, as the released code stores it",
        )
    epoch = content.get("epoch", 0)
    if not isinstance(epoch, int) or isinstance(epoch, bool) or not 0 <= epoch <= MAX_EPOCH:
        raise CheckpointError("the checkpoint's epoch is no number of epochs", where=where, found=short_repr(epoch))
    for name, tensor in model.items():
        check_tensor(name, tensor, where)
    unfolded = sum(tensor.numel() * tensor.element_size() for tensor in model.values())
    if unfolded > _MOST_SHARED * path.stat().st_size:
        raise CheckpointError(
            "the checkpoint's tensors share their values so often that they would unfold to much more than the file",
            where=where,
            found=f"{unfolded:,} bytes of tensors",
            expected=f"at most {_MOST_SHARED} times its size",
        )
    other_entries = tuple(_key(key) for key in content if key not in ("model", "config", "epoch"))
    return ReleasedCheckpoint(where, model, json.loads(json.dumps(config)), epoch, other_entries)


def check_archive(path: Path) -> None:
    """Raise CheckpointError unless `path` is an archive as torch.save writes it: no compressed or hidden records."""
    where = str(path)
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise CheckpointError("this is not a file", where=where, expected=_EXPECTED)
        if status.st_size > MAX_BYTES:
            raise CheckpointError(
                "the checkpoint is too large",
                where=where,
                found=f"{status.st_size:,} bytes",
                expected=f"at most {MAX_BYTES:,}",
            )
        size = table_size(path)
    except AmbiguousArchiveError as error:
        raise CheckpointError(
            "this is not a file that torch.save made",
            where=where,
            found=str(error),
            expected="records of one folder that are stored as they are, one of them data.pkl",
        ) from None
    except (OSError, ValueError) as error:
        raise CheckpointError("the checkpoint cannot be read", where=where, found=_words(error)) from None
    except (zipfile.BadZipFile, NotImplementedError, EOFError, RuntimeError) as error:
        raise CheckpointError(
            "this is not a whole checkpoint",
            where=where,
            found=f"no archive of torch.save ({_words(error)})",
            expected=_EXPECTED,
            hint="if it was downloaded or copied, do that again",
        ) from None
    if size > MAX_PICKLE:
        raise CheckpointError(
            "the checkpoint's table of tensors is too large",
            where=where,
            found=f"{size:,} bytes",
            expected=f"at most {MAX_PICKLE:,}",
        )


def _key(key: Any) -> str:
    if not isinstance(key, str):
        return f"a {type(key).__name__}"
    return key[:40] if key.isprintable() else ascii(key[:40])


def _loaded(path: Path) -> Any:
    try:
        # torch's own reader returns exactly the record that torch.load reads later.
        with path.open("rb") as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            check_pickle(torch._C.PyTorchFileReader(file).get_record(TABLE))
            file.seek(0)
            # Not memory-mapped: only reading complete records compares their sizes with those in the pickle.
            return torch.load(file, map_location="cpu", weights_only=True)
    except CallingPickleError as error:
        raise CheckpointError(
            "the checkpoint asks for code to be run: it is refused, and nothing in it was run",
            where=str(path),
            found=ascii(str(error)[:120]),
            expected="dense tensors, texts and numbers only",
            hint="get it from its authors again; a file that needs code is not one of theirs",
        ) from None
    except Exception as error:
        raise CheckpointError(
            "this is not a whole checkpoint",
            where=str(path),
            found=_words(error),
            expected=_EXPECTED,
            hint="if it was downloaded or copied, do that again",
        ) from None


def check_tensor(name: Any, tensor: Any, where: str) -> None:
    """Raise CheckpointError unless this is a dense tensor as the original stores it, no larger than its storage."""
    plain = (
        isinstance(name, str)
        and len(name) <= 300
        and name.isprintable()
        and isinstance(tensor, Tensor)
        and tensor.layout == torch.strided
        and tensor.device.type == "cpu"
        and tensor.dtype in DTYPES
        and tensor.ndim <= 8
        and math.prod(max(size, 1) for size in tensor.shape) < _LARGEST_SHAPE
        and tensor.numel() * tensor.element_size() <= tensor.untyped_storage().nbytes()
    )
    if not plain:
        raise CheckpointError(
            "an entry of the checkpoint's model is no plain tensor",
            where=where,
            found=f"{short_repr(name)}: {tensor.dtype if isinstance(tensor, Tensor) else type(tensor).__name__}",
            expected="names and dense tensors of float32, float16, bfloat16 or int64",
        )


def is_json(value: Any) -> bool:
    """Whether `value` consists of JSON types and is small enough for a config, counting its items and their lengths.

    A shared item counts each time, because a short file can refer to one long text many times.
    """
    stack, count, length = [(value, 0)], 0, 0
    while stack:
        node, depth = stack.pop()
        count += 1
        if isinstance(node, Mapping):
            if not all(isinstance(key, str) for key in node):
                return False
            children = list(node.values())
            length += sum(map(len, node))
        elif isinstance(node, list | tuple):
            children = list(node)
        elif node is None or isinstance(node, str | int | float | bool):
            children = []
            length += len(node) if isinstance(node, str) else 1
        else:
            return False
        deep = bool(children) and depth > MAX_DEPTH
        if deep or length > MAX_CONFIG or count + len(stack) + len(children) > MAX_VALUES:
            return False
        stack += [(part, depth + 1) for part in children]
    try:
        return len(json.dumps(value)) <= MAX_CONFIG
    except ValueError:  # An integer with thousands of digits.
        return False


def _words(error: BaseException) -> str:
    # In torch's message, the damage is named after some lines about its options.
    text = str(error).rpartition("WeightsUnpickler error:")[2].strip()
    return (text.splitlines() or [type(error).__name__])[0][:200]
