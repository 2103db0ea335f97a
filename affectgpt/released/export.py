"""A converted saved model -> a checkpoint in the original's format."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from affectgpt.core.saved.config import ADAPTER, ADAPTER_WEIGHTS, WEIGHTS
from affectgpt.core.saved.tensors import read_tensors
from affectgpt.files.unfinished import unfinished
from affectgpt.registry.catalog import Catalog
from affectgpt.registry.errors import CheckpointError
from affectgpt.registry.messages import count_and_first
from affectgpt.released.checkpoint_config import CheckpointConfig, parse_config
from affectgpt.released.export_check import check_exportable
from affectgpt.released.pipeline_file import BertSizes
from affectgpt.released.report import ConversionReport, TensorRow, tensor_row
from affectgpt.released.sidecar import Sidecar, read_sidecar
from affectgpt.released.tensor_check import check_shapes, measure_widths
from affectgpt.released.tensor_names import ADAPTED, TensorName, adapter_target, expected_tensors

_STORED = "base_model.model."
_FLOATS = (torch.float32, torch.float16, torch.bfloat16)


def export_checkpoint(folder: Path, out: Path, catalog: Catalog) -> ConversionReport:
    """Write the converted model in `folder`, trained further or not, as the checkpoint file `out`.

    Every tensor of the original's `model` is there again, in its order, with its type and shape; the optimizer's
    state, which was not carried, is not. Raises CheckpointError when the model was not converted, when its tensors
    are no longer those of the original's layout, when an option of its nodes is one that the original has not, and
    when there is something at `out` or it cannot be written.
    """
    if os.path.lexists(out):
        raise CheckpointError("there is something at this place already", where=str(out), hint="choose a new file")
    sidecar = read_sidecar(folder)
    facts = parse_config(sidecar.config, str(folder), sidecar.reads)
    check_exportable(folder, facts, _bert(sidecar), catalog)
    saved_tensors = _saved_tensors(folder)
    names = _names(sidecar, facts)
    model, rows = _original_tensors(folder, sidecar, names, saved_tensors)
    sizes = measure_widths(model, facts, _bert(sidecar))
    check_shapes(model, expected_tensors(facts, sizes, None) | _adapter(sidecar), facts, str(folder))
    _write({"model": model, "config": dict(sidecar.config), "epoch": sidecar.epoch}, out)
    return ConversionReport(rows, ["the optimizer's state is not in the file: training goes on from the weights alone"])


def _saved_tensors(folder: Path) -> dict[str, Tensor]:
    """The saved model's tensors, by their names in the pipeline."""
    saved_tensors = read_tensors(folder / WEIGHTS)
    for name, tensor in read_tensors(folder / ADAPTER / ADAPTER_WEIGHTS).items():
        module_name = name.removeprefix(_STORED).replace(".lora_A.weight", ".lora_A.default.weight")
        saved_tensors[ADAPTED + module_name.replace(".lora_B.weight", ".lora_B.default.weight")] = tensor
    odd = [f"{name} {tensor.dtype}" for name, tensor in saved_tensors.items() if tensor.dtype not in _FLOATS]
    if odd:
        raise CheckpointError(
            "tensors of the saved model are of a type that it was not saved with",
            where=str(folder),
            found=count_and_first(odd),
            expected="float32, float16 or bfloat16",
        )
    return saved_tensors


def _bert(sidecar: Sidecar) -> BertSizes:
    hidden, wide, heads = (sidecar.bert.get(key) for key in ("hidden", "wide", "heads"))
    if not (isinstance(hidden, int) and isinstance(wide, int) and isinstance(heads, int)):
        raise CheckpointError("the sizes of the Q-Former beside the model are no numbers", found=str(sidecar.bert)[:80])
    return BertSizes(hidden, wide, heads)


def _adapter(sidecar: Sidecar) -> dict[str, TensorName]:
    every = {name: adapter_target(name) for name in sidecar.order}
    return {name: TensorName(name, sidecar.shapes.get(name, ()), place) for name, place in every.items() if place}


def _names(sidecar: Sidecar, facts: CheckpointConfig) -> dict[str, TensorName]:
    unmeasured = measure_widths({}, facts, BertSizes())
    return expected_tensors(facts, unmeasured, None) | _adapter(sidecar)


def _original_tensors(
    folder: Path, sidecar: Sidecar, names: Mapping[str, TensorName], saved_tensors: Mapping[str, Tensor]
) -> tuple[dict[str, Tensor], list[TensorRow]]:
    model: dict[str, Tensor] = OrderedDict()
    rows, lost, diverged, used = [], [], [], set()
    tied = set(sidecar.tied)
    for name in sidecar.order:
        targets = names[name].targets if name in names else ()
        used |= set(targets)
        parts = [saved_tensors[part] for part in targets if part in saved_tensors]
        tensor = parts[0].to(torch.float32) if parts else sidecar.tensors.get(name)
        if tensor is None or len(parts) != len(targets):
            lost.append(name)
            continue
        if any(not torch.equal(parts[0], part) for part in parts[1:]):
            diverged.append(name)
        model[name] = tensor
        rows.append(tensor_row(name, tensor, "mapped" if targets else "tied" if name in tied else "kept", targets))
    strays = [part for part in saved_tensors if part not in used]
    for what, names_with_problem in (
        ("tensors of the original are not in this saved model", lost),
        ("the saved model holds tensors that the original has no place for", strays),
        ("faces and frames no longer share their weights, as the original's do", diverged),
    ):
        if names_with_problem:
            raise CheckpointError(
                what,
                where=str(folder),
                found=count_and_first(names_with_problem),
                hint="only a model with the fusion that it was converted with can be converted back",
            )
    return model, rows


def _write(content: Mapping[str, object], out: Path) -> None:
    try:
        with unfinished(out) as path, path.open("xb") as file:
            torch.save(content, file)
            file.flush()
            os.fsync(file.fileno())
    except (OSError, RuntimeError) as error:
        # torch reports a full disk as a RuntimeError.
        raise CheckpointError(
            "the checkpoint cannot be written at this place",
            where=str(out),
            found=str(error).splitlines()[0][:200],
            hint="choose another place",
        ) from error
