"""What a pickle would call and how deep its tuples are, found without building anything.

A pickle may name one tuple twice from another, that one twice from a third, and so on: sixty lines that take no memory
and, used as the key of a dict, would be hashed longer than anyone can wait. And it may call a `bytearray` of any size.
"""

from __future__ import annotations

import pickletools
from io import BytesIO

_NOT_HASHED = {"APPEND", "APPENDS", "SETITEM", "SETITEMS", "ADDITEMS", "BUILD", "LIST", "DICT"}
_CALLING = {"INST", "OBJ", "NEWOBJ", "NEWOBJ_EX", "STACK_GLOBAL", "EXT1", "EXT2", "EXT4"}
_STORAGES = ("Float", "Half", "BFloat16", "Double", "Long", "Int", "Short", "Char", "Byte", "Bool")
ALLOWED = {
    "collections OrderedDict", "torch._utils _rebuild_tensor_v2", "torch._utils _rebuild_parameter",
    *(f"torch {kind}Storage" for kind in _STORAGES),
}  # fmt: skip
"""What tensors, parameters and ordered dicts are made of: all that a checkpoint of a training run calls."""


class CallingPickleError(ValueError):
    """The pickle asks for what is not `ALLOWED`; the text of the error names it."""


def nested(pickle: bytes, limit: int) -> bool:
    """Whether a value that can be hashed is nested deeper than `limit`.

    Each instruction is followed by what [pickletools][] says that it takes from the stack and puts there. Raises
    CallingPickleError for a pickle that calls what is not `ALLOWED`, ValueError for a damaged one.
    """
    stack: list[int | None] = []
    memo: dict[int, int] = {}
    for code, argument, _ in pickletools.genops(BytesIO(pickle)):
        name = code.name
        if name in _CALLING or (name == "GLOBAL" and argument not in ALLOWED):
            raise CallingPickleError(".".join(argument.split(" ")) if isinstance(argument, str) else name)
        if name in ("BINGET", "LONG_BINGET", "GET"):
            stack.append(memo.get(argument if isinstance(argument, int) else -1, 0))
            continue
        if name in ("BINPUT", "LONG_BINPUT", "PUT", "MEMOIZE"):
            place = argument if isinstance(argument, int) else len(memo)
            memo[place] = (stack[-1] if stack else 0) or 0
            continue
        if name == "MARK":
            stack.append(None)
            continue
        taken = _take(stack, code)
        hashed = bool(taken) and name not in _NOT_HASHED
        depth = 1 + max(taken) if hashed else 0
        if depth > limit:
            return True
        stack += [depth] * len(code.stack_after)
    return False


def _take(stack: list[int | None], code: pickletools.OpcodeInfo) -> list[int]:
    taken = []
    for kind in reversed(code.stack_before):
        if kind is pickletools.stackslice:
            continue
        if kind is pickletools.markobject:
            while stack and (top := stack.pop()) is not None:
                taken.append(top)
        elif stack:
            taken.append(stack.pop() or 0)
    return taken
