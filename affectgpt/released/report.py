"""Conversion report: where each tensor of the checkpoint went. No torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from torch import Tensor

TensorFate = Literal["mapped", "tied", "kept", "not carried"]


@dataclass(frozen=True)
class TensorRow:
    """One tensor (or, "not carried", one other entry of the file): `to` names the tensors that hold its values now.

    "mapped": part of the saved model. "tied": equal to a tensor of the LLM's or an encoder's own folder. "kept": no
    part of the pipeline; stored in the sidecar, as tied ones are, for the export to the original's format.
    """

    name: str
    fate: TensorFate
    shape: tuple[int, ...] | None = None
    dtype: str = ""
    to: tuple[str, ...] = ()
    why: str = ""


def tensor_row(name: str, tensor: Tensor, fate: TensorFate, to: tuple[str, ...] = (), why: str = "") -> TensorRow:
    """The row of a tensor."""
    return TensorRow(name, fate, tuple(tensor.shape), str(tensor.dtype).removeprefix("torch."), to, why)


@dataclass(frozen=True)
class ConversionReport:
    """All rows, in the order of the checkpoint, and notes on differences of the converted model."""

    rows: Sequence[TensorRow]
    notes: Sequence[str] = ()

    def count(self, fate: TensorFate) -> int:
        """How many rows have this fate."""
        return sum(row.fate == fate for row in self.rows)

    def with_fate(self, fate: TensorFate) -> list[TensorRow]:
        """The rows of this fate."""
        return [row for row in self.rows if row.fate == fate]

    def as_json(self) -> dict[str, object]:
        """The whole table as JSON values."""
        fates: tuple[TensorFate, ...] = ("mapped", "tied", "kept", "not carried")
        return {
            "counts": {fate: self.count(fate) for fate in fates},
            "rows": [asdict(row) for row in self.rows],
            "notes": list(self.notes),
        }
