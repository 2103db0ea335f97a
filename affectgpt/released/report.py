"""What became of every tensor of a checkpoint. No torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from torch import Tensor

Fate = Literal["mapped", "tied", "kept", "not carried"]


@dataclass(frozen=True)
class Row:
    """One tensor (or, "not carried", one other entry of the file): `to` names the tensors that hold it now.

    "mapped": part of the saved model. "tied": equal to a tensor of the LLM's or an encoder's own folder. "kept": the
    pipeline has no place for it; it lies beside the model, for the way back, as tied ones do.
    """

    name: str
    fate: Fate
    shape: tuple[int, ...] | None = None
    dtype: str = ""
    to: tuple[str, ...] = ()
    why: str = ""


def row_of(name: str, tensor: Tensor, fate: Fate, to: tuple[str, ...] = (), why: str = "") -> Row:
    """The row of a tensor."""
    return Row(name, fate, tuple(tensor.shape), str(tensor.dtype).removeprefix("torch."), to, why)


@dataclass(frozen=True)
class Account:
    """All rows, in the order of the checkpoint, and remarks on what the result does otherwise."""

    rows: Sequence[Row]
    notes: Sequence[str] = ()

    def count(self, fate: Fate) -> int:
        """How many rows have this fate."""
        return sum(row.fate == fate for row in self.rows)

    def of(self, fate: Fate) -> list[Row]:
        """The rows of this fate."""
        return [row for row in self.rows if row.fate == fate]

    def as_json(self) -> dict[str, Any]:
        """The whole table as JSON values."""
        fates: tuple[Fate, ...] = ("mapped", "tied", "kept", "not carried")
        return {
            "counts": {fate: self.count(fate) for fate in fates},
            "rows": [asdict(row) for row in self.rows],
            "notes": list(self.notes),
        }
