"""A converted saved model -> a checkpoint in the original's format."""

from __future__ import annotations

import os
import secrets
from collections import OrderedDict
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import torch
from torch import Tensor

from affectgpt.core.saved.model import ADAPTER, ADAPTER_WEIGHTS, WEIGHTS
from affectgpt.core.saved.tensors import read_tensors
from affectgpt.registry.catalog import Catalog
from affectgpt.registry.errors import CheckpointError
from affectgpt.registry.messages import first_of
from affectgpt.released.checkpoint_config import Facts, facts_of
from affectgpt.released.export_check import refuse_inexpressible
from affectgpt.released.pipeline_file import Bert
from affectgpt.released.report import Account, Row, row_of
from affectgpt.released.sidecar import Beside, read_beside
from affectgpt.released.tensor_check import measured, refuse_misfits
from affectgpt.released.tensor_names import ADAPTED, Name, adapter_place, names_of

_STORED = "base_model.model."
_FLOATS = (torch.float32, torch.float16, torch.bfloat16)


def convert_back(folder: Path, out: Path, catalog: Catalog) -> Account:
    """Write the converted model in `folder`, trained further or not, as the checkpoint file `out`.

    Every tensor of the original's `model` is there again, in its order, with its type and shape; the optimizer's
    state, which was not carried, is not. Raises CheckpointError when the model was not converted, when its tensors
    are no longer those of the original's layout, when an option of its nodes is one that the original has not, and
    when there is something at `out` or it cannot be written.
    """
    if os.path.lexists(out):
        raise CheckpointError("there is something at this place already", where=str(out), hint="choose a new file")
    beside = read_beside(folder)
    facts = facts_of(beside.config, str(folder), beside.reads)
    refuse_inexpressible(folder, facts, _bert(beside), catalog)
    own = _own_tensors(folder)
    names = _names(beside, facts)
    model, rows = _gathered(folder, beside, names, own)
    sizes = measured(model, facts, _bert(beside))
    refuse_misfits(model, names_of(facts, sizes, None) | _adapter(beside), facts, str(folder))
    _write({"model": model, "config": dict(beside.config), "epoch": beside.epoch}, out)
    return Account(rows, ["the optimizer's state is not in the file: training goes on from the weights alone"])


def _own_tensors(folder: Path) -> dict[str, Tensor]:
    """The saved model's tensors, by their names in the pipeline."""
    own = read_tensors(folder / WEIGHTS)
    for name, tensor in read_tensors(folder / ADAPTER / ADAPTER_WEIGHTS).items():
        inside = name.removeprefix(_STORED).replace(".lora_A.weight", ".lora_A.default.weight")
        own[ADAPTED + inside.replace(".lora_B.weight", ".lora_B.default.weight")] = tensor
    odd = [f"{name} {tensor.dtype}" for name, tensor in own.items() if tensor.dtype not in _FLOATS]
    if odd:
        raise CheckpointError(
            "tensors of the saved model are of a type that it was not saved with",
            where=str(folder),
            found=first_of(odd),
            expected="float32, float16 or bfloat16",
        )
    return own


def _bert(beside: Beside) -> Bert:
    hidden, wide, heads = (beside.bert.get(key) for key in ("hidden", "wide", "heads"))
    if not (isinstance(hidden, int) and isinstance(wide, int) and isinstance(heads, int)):
        raise CheckpointError("the sizes of the Q-Former beside the model are no numbers", found=str(beside.bert)[:80])
    return Bert(hidden, wide, heads)


def _adapter(beside: Beside) -> dict[str, Name]:
    every = {name: adapter_place(name) for name in beside.order}
    return {name: Name(name, beside.shapes.get(name, ()), place) for name, place in every.items() if place}


def _names(beside: Beside, facts: Facts) -> dict[str, Name]:
    unmeasured = measured({}, facts, Bert())
    return names_of(facts, unmeasured, None) | _adapter(beside)


def _gathered(
    folder: Path, beside: Beside, names: Mapping[str, Name], own: Mapping[str, Tensor]
) -> tuple[dict[str, Tensor], list[Row]]:
    model: dict[str, Tensor] = OrderedDict()
    rows, lost, apart, used = [], [], [], set()
    tied = set(beside.tied)
    for name in beside.order:
        ours = names[name].ours if name in names else ()
        used |= set(ours)
        held = [own[each] for each in ours if each in own]
        tensor = held[0].to(torch.float32) if held else beside.tensors.get(name)
        if tensor is None or len(held) != len(ours):
            lost.append(name)
            continue
        if any(not torch.equal(held[0], each) for each in held[1:]):
            apart.append(name)
        model[name] = tensor
        rows.append(row_of(name, tensor, "mapped" if ours else "tied" if name in tied else "kept", ours))
    strays = [each for each in own if each not in used]
    for what, found in (
        ("tensors of the original are not in this saved model", lost),
        ("the saved model holds tensors that the original has no place for", strays),
        ("faces and frames no longer share their weights, as the original's do", apart),
    ):
        if found:
            raise CheckpointError(
                what,
                where=str(folder),
                found=first_of(found),
                hint="only a model with the fusion that it was converted with can be converted back",
            )
    return model, rows


def _write(content: Mapping[str, object], out: Path) -> None:
    part = out.with_name(f".affectgpt-{secrets.token_hex(8)}")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with part.open("xb") as file:
            torch.save(content, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, out)
    except (OSError, RuntimeError) as error:
        # torch reports a full disk as a RuntimeError.
        raise CheckpointError(
            "the checkpoint cannot be written at this place",
            where=str(out),
            found=str(error).splitlines()[0][:200],
            hint="choose another place",
        ) from error
    finally:
        # Left only when it was not written to its end, an interrupt included.
        with suppress(OSError):
            part.unlink(missing_ok=True)
