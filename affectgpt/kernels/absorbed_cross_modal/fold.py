"""Products of weights that do not change from call to call, and a cache of them that notices when they do."""

from __future__ import annotations

import weakref
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import linear
from torch.optim.optimizer import register_optimizer_step_post_hook

from affectgpt.kernels.absorbed_cross_modal.weights import FusionWeights


class Folded(NamedTuple):
    """Per modality: W_k E_m and W_v E_m `[D, D_m]`, and the offset through W_k and W_v, `[T_m or 1, D]` or None.

    queries: the projected queries `[B or 1, Q, D]`, or None.
    """

    keys: tuple[Tensor, ...]
    values: tuple[Tensor, ...]
    key_offsets: tuple[Tensor | None, ...]
    value_offsets: tuple[Tensor | None, ...]
    queries: Tensor | None = None


def fold(weights: FusionWeights, queries: Tensor | None = None) -> Folded:
    """The products, differentiable; with `queries [B or 1, Q, D]` also their projection."""
    offsets = [weights.offset(m) for m in range(len(weights.inputs))]
    return Folded(
        tuple(weights.key if e is None else weights.key @ e for e in weights.inputs),
        tuple(weights.value if e is None else weights.value @ e for e in weights.inputs),
        tuple(None if o is None else linear(o, weights.key) for o in offsets),
        tuple(None if o is None else linear(o, weights.value) for o in offsets),
        None if queries is None else linear(queries, weights.query, weights.query_bias),
    )


class Fold:
    """Keeps the products of one layer's weights, and its projected learned queries, between calls.

    A product is computed again when a tensor it was made of is another object, has been written to in place
    (`_version`), or has other memory or another dtype, after a step of any torch optimizer (the fused ones write
    without a new version) and after a call that trains. Writing through `tensor.data` changes none of these: call
    `clear` after that. Tensors made in inference mode have no version and are never kept.
    """

    def __init__(self) -> None:
        _count_steps()
        self.clear()

    def clear(self) -> None:
        """Forgets what is kept."""
        self._folded: tuple[_Key, Folded] | None = None
        self._queries: tuple[_Key, Tensor] | None = None

    def folded(self, weights: FusionWeights) -> Folded:
        """`fold(weights)`, without gradient."""
        sources = [weights.key, weights.value, *weights.inputs, *weights.input_biases, *weights.positions]
        if self._folded is None or not _same(self._folded[0], sources):
            self._folded = None  # the old products go before the new ones are made
            with _plain(weights.key):
                products = fold(weights)
            key = _key(sources)
            if key is None:
                return products
            self._folded = key, products
        return self._folded[1]

    def queries(self, queries: Tensor, weights: FusionWeights) -> Tensor:
        """The projected queries, `[1, Q, D]`, without gradient."""
        sources = [queries, weights.query, weights.query_bias]
        if self._queries is None or not _same(self._queries[0], sources):
            self._queries = None
            with _plain(queries):
                projected = linear(queries, weights.query, weights.query_bias)
            key = _key(sources)
            if key is None:
                return projected
            self._queries = key, projected
        return self._queries[1]

    def __deepcopy__(self, memo: object) -> Fold:
        return Fold()

    def __reduce__(self) -> tuple[type[Fold], tuple[()]]:
        return Fold, ()


_steps = 0
_counting = False


def _count_steps() -> None:
    global _counting
    if not _counting:
        _counting = True
        register_optimizer_step_post_hook(_step)


def _step(*_: object) -> None:
    global _steps
    _steps += 1


_State = tuple["weakref.ref[Tensor]", int, int, torch.dtype]
_Key = tuple[int, list[_State | None]]


def _key(tensors: list[Tensor | None]) -> _Key | None:
    if any(t is not None and t.is_inference() for t in tensors):
        return None
    return _steps, [None if t is None else (weakref.ref(t), t._version, t.data_ptr(), t.dtype) for t in tensors]


def _same(key: _Key, tensors: list[Tensor | None]) -> bool:
    steps, states = key
    if steps != _steps or len(states) != len(tensors):
        return False
    for state, tensor in zip(states, tensors, strict=True):
        if state is None or tensor is None:
            if state is not None or tensor is not None:
                return False
        elif (
            state[0]() is not tensor
            or tensor._version != state[1]
            or tensor.data_ptr() != state[2]
            or tensor.dtype != state[3]
        ):
            return False
    return True


class _plain:
    # What is kept must serve a later call under any mode: no gradient, no autocast, no inference tensors.
    def __init__(self, tensor: Tensor) -> None:
        plain = torch.autocast(tensor.device.type, enabled=False)
        self._modes: list[Any] = [torch.inference_mode(False), torch.no_grad(), plain]

    def __enter__(self) -> None:
        for mode in self._modes:
            mode.__enter__()

    def __exit__(self, *exception: object) -> None:
        for mode in reversed(self._modes):
            mode.__exit__(*exception)
