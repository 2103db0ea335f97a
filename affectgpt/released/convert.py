"""Convert a released checkpoint into a saved model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from torch import Tensor

from affectgpt.core.assembly import assemble
from affectgpt.core.load_config import validate
from affectgpt.core.pipeline import Pipeline
from affectgpt.core.plan import Plan, make_plan
from affectgpt.core.saved.model import save, tensors_to_save
from affectgpt.core.saved.tensors import copy_into
from affectgpt.core.yaml_source import Source
from affectgpt.registry.catalog import Catalog
from affectgpt.registry.errors import ConfigError
from affectgpt.released.checkpoint_config import CheckpointConfig, parse_config
from affectgpt.released.frozen_check import check_frozen_tensors
from affectgpt.released.pipeline_file import BertSizes, ModelPaths, pipeline_tree
from affectgpt.released.read_checkpoint import ReleasedCheckpoint, read_checkpoint
from affectgpt.released.report import ConversionReport, TensorRow, tensor_row
from affectgpt.released.sidecar import Sidecar, write_sidecar
from affectgpt.released.source_wording import find_wording
from affectgpt.released.tensor_check import (
    check_fusion,
    check_shapes,
    check_widths,
    find_tied,
    llm_values,
    measure_widths,
)
from affectgpt.released.tensor_names import TensorName, expected_tensors
from affectgpt.released.wording import Wording, read_prompt_file


@dataclass(frozen=True)
class ConversionRequest:
    """What to convert and with which models; `source` is the original's code, or `prompt` a file with the wording."""

    checkpoint: Path
    models: ModelPaths
    source: Path | None = None
    prompt: Path | None = None
    bert: Path | None = None
    face_or_frame: str | None = None
    sample: bool = False


def convert(
    request: ConversionRequest, out: Path, catalog: Catalog, on_node: Callable[[str], None] | None = None
) -> ConversionReport:
    """Convert the checkpoint of `request` into a saved model in the folder `out`. Returns where each tensor went.

    No code of the checkpoint or the source is run. All checks come before the weights of the three models are read.
    Raises CheckpointError when the file is no checkpoint, is damaged, or does not fit its own config or the
    models, and ConfigError when the wording or a model is not found.
    """
    where = str(request.checkpoint)
    checkpoint = read_checkpoint(request.checkpoint)
    facts = parse_config(checkpoint.config, where, request.face_or_frame)
    check_fusion(checkpoint.model, facts, where)
    bert = BertSizes.of(request.bert) if request.bert else BertSizes()
    wording = _wording(request, facts)
    tree = pipeline_tree(facts, wording, request.models, bert, sample=request.sample)
    source = Source(Path("the converted pipeline"), tree)
    plan = make_plan(validate(source, catalog))
    names = _checked_names(checkpoint, facts, plan, bert)
    pipeline = assemble(plan, on_node)
    tied = find_tied(checkpoint.model, pipeline.state_dict(), where)
    _fill(pipeline, checkpoint, names)
    rows = [_row(name, tensor, names, tied) for name, tensor in checkpoint.model.items()]
    sidecar_tensors = {row.name: checkpoint.model[row.name] for row in rows if row.fate != "mapped"}
    shapes = {name: tuple(tensor.shape) for name, tensor in checkpoint.model.items()}
    stored = Sidecar(
        checkpoint.config,
        checkpoint.epoch,
        facts.reads.name,
        asdict(bert),
        tuple(checkpoint.model),
        sidecar_tensors,
        shapes,
        tuple(row.name for row in rows if row.fate == "tied"),
    )
    save(pipeline, out, write_extras=lambda folder: write_sidecar(folder, stored))
    rows += [
        TensorRow(name, "not carried", why="a training run here starts its own") for name in checkpoint.other_entries
    ]
    return ConversionReport(rows, _notes(facts, wording, request))


def _wording(request: ConversionRequest, facts: CheckpointConfig) -> Wording:
    if (request.source is None) == (request.prompt is None):
        raise ConfigError(
            "the wording of the prompt is needed",
            where="prompt",
            expected="source or prompt, one of the two",
            hint='pass source="FOLDER", your copy of the original source, or prompt="FILE", a file with the wording',
        )
    if request.prompt is not None:
        return read_prompt_file(request.prompt, facts.reads)
    assert request.source is not None
    return find_wording(request.source, facts)


def _checked_names(
    checkpoint: ReleasedCheckpoint, facts: CheckpointConfig, plan: Plan, bert: BertSizes
) -> dict[str, TensorName]:
    sizes = measure_widths(checkpoint.model, facts, bert)
    check_widths(sizes, plan, bert, checkpoint.where)
    names = expected_tensors(facts, sizes, llm_values(plan))
    check_shapes(checkpoint.model, names, facts, checkpoint.where)
    check_frozen_tensors(checkpoint.model, plan, checkpoint.where)
    return names


def adapter_tensors(pipeline: Pipeline) -> dict[str, Tensor]:
    """The tensors of the LLM's adapter, by their names in the pipeline."""
    return {name: tensor for name, tensor in pipeline.state_dict().items() if ".lora_" in name}


def _fill(pipeline: Pipeline, checkpoint: ReleasedCheckpoint, names: Mapping[str, TensorName]) -> None:
    stored = {target: checkpoint.model[name] for name, tensor_name in names.items() for target in tensor_name.targets}
    copy_into(tensors_to_save(pipeline) | adapter_tensors(pipeline), stored, checkpoint.where)


def _row(name: str, tensor: Tensor, names: Mapping[str, TensorName], tied: Mapping[str, tuple[str, ...]]) -> TensorRow:
    if name in names:
        tensor_name = names[name]
        return tensor_row(
            name,
            tensor,
            "mapped" if tensor_name.targets else "kept",
            tensor_name.targets,
            tensor_name.why_unused,
        )
    if tied[name]:
        return tensor_row(name, tensor, "tied", tied[name], "equal to the model folder's")
    return tensor_row(name, tensor, "kept", (), "a frozen part that the pipeline does not use, and not compared")


def _notes(facts: CheckpointConfig, wording: Wording, request: ConversionRequest) -> list[str]:
    notes = [*facts.remarks, *wording.remarks]
    if request.bert and "qformer" not in facts.fusions.values():
        notes.append("no branch of this checkpoint is a Q-Former: bert was not used")
    if facts.tokens["video"] and {"face_tokens", "frame_tokens"} <= set(facts.reads.nodes):
        notes.append("faces and frames shared their weights: here each has its own, equal until it is trained")
    if facts.half_precision:
        notes.append("it was trained with float16 autocast: training.precision is bf16 here")
    return notes
