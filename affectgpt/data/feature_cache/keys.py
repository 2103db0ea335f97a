"""Keys of stored features: the content of a clip's files; an encoder with its options and weights."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from affectgpt.core.contracts import EncoderConfig
from affectgpt.core.plan import PlannedNode
from affectgpt.core.saved.earlier_defaults import without_earlier_options
from affectgpt.registry.plugin_code import code_of

_BYTES = 20


def content_key(hashes: Sequence[str | None], subtitle: str | None = None) -> str:
    """The key of a clip whose media, separate sound and face pictures have these hashes (None: no such file).

    `subtitle` is None where no encoder of the cache reads it.
    """
    return json_digest([*hashes] if subtitle is None else [*hashes, {"subtitle": subtitle}])


def encoder_key(plugin: str, options: dict[str, Any], weights: str, code: Mapping[str, str]) -> str:
    """The key of an encoder: its plugin, its options ([options_of][]), its code ([code_of_encoder][]), its weights.

    Of these the [tensors_digest][].
    """
    return json_digest([plugin, options, weights, dict(code)])


def code_of_encoder(node: PlannedNode[EncoderConfig], module: type | None = None) -> dict[str, str]:
    """What identifies the code of an encoder: the `feature_version` that its own config sets, else its sources.

    `module` is the class of the encoder that was built, by default the one that would be. Raises PluginError as
    [code_of][affectgpt.registry.plugin_code.code_of].
    """
    config = type(node.config)
    # A class that derives from another one may do something else.
    feature_version = vars(config).get("feature_version")
    if feature_version is not None:
        return {"feature_version": str(feature_version)}
    return code_of(module or node.entry.target_class(), config)


def options_of(node: PlannedNode[EncoderConfig]) -> dict[str, Any]:
    """The options that decide what an encoder gives: all but `frozen`.

    Options that did not exist when a cache was written are left out while they have no effect.
    """
    config: EncoderConfig = node.config
    options = config.model_dump(mode="json", exclude={"frozen"})
    return without_earlier_options("encoder", node.entry.spec.name, options)


def tensors_digest(tensors: Mapping[str, Tensor]) -> str:
    """A hash of tensors, as of a module's state dict: names, dtypes, shapes and bytes."""
    hasher = hashlib.blake2b(digest_size=_BYTES)
    for name, tensor in sorted(tensors.items()):
        hasher.update(json.dumps([name, str(tensor.dtype), list(tensor.shape)]).encode())
        hasher.update(bytes_of(tensor))
    return hasher.hexdigest()


def checksum(tensor: Tensor) -> str:
    """BLAKE2b of a tensor's bytes in memory order, hexadecimal."""
    return hashlib.blake2b(bytes_of(tensor), digest_size=_BYTES).hexdigest()


def bytes_of(tensor: Tensor) -> memoryview:
    """The bytes of a tensor of any dtype, in memory order."""
    return tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data


def json_digest(value: Any) -> str:
    """A hash of plain JSON values."""
    return hashlib.blake2b(json.dumps(value, sort_keys=True).encode(), digest_size=_BYTES).hexdigest()
