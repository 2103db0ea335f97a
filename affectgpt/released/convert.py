"""A released checkpoint -> a saved model of this project."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from torch import Tensor

from affectgpt.core.assembly import assemble
from affectgpt.core.load_config import validate
from affectgpt.core.pipeline import Pipeline
from affectgpt.core.plan import Plan, make_plan
from affectgpt.core.saved.model import own_tensors, save
from affectgpt.core.saved.tensors import fill
from affectgpt.core.yaml_source import Source
from affectgpt.registry.catalog import Catalog
from affectgpt.registry.errors import ConfigError
from affectgpt.released.checkpoint_config import Facts, facts_of
from affectgpt.released.frozen_check import refuse_strange_frozen
from affectgpt.released.pipeline_file import Bert, Models, pipeline_tree
from affectgpt.released.read_checkpoint import ReleasedCheckpoint, read_checkpoint
from affectgpt.released.report import Account, Row, row_of
from affectgpt.released.sidecar import Beside, write_beside
from affectgpt.released.source_wording import find_wording
from affectgpt.released.tensor_check import (
    llm_values,
    measured,
    refuse_misfits,
    refuse_other_fusion,
    refuse_other_widths,
    tied_to,
)
from affectgpt.released.tensor_names import Name, names_of
from affectgpt.released.wording import Wording, read_prompt_file


@dataclass(frozen=True)
class Request:
    """What is to be converted with what: `source` is the original's code, or `prompt` a file with the wording."""

    checkpoint: Path
    models: Models
    source: Path | None = None
    prompt: Path | None = None
    bert: Path | None = None
    face_or_frame: str | None = None
    sample: bool = False


def convert(request: Request, out: Path, catalog: Catalog, on_node: Callable[[str], None] | None = None) -> Account:
    """Write the checkpoint of `request` to the folder `out` as a saved model, and give an account of its tensors.

    Nothing in the checkpoint or the source is executed. Everything is checked before a weight of the three models is
    read. Raises CheckpointError when the checkpoint is not one, is damaged, or does not fit its own config or the
    models, and ConfigError when the wording or a model is not found.
    """
    where = str(request.checkpoint)
    checkpoint = read_checkpoint(request.checkpoint)
    facts = facts_of(checkpoint.config, where, request.face_or_frame)
    refuse_other_fusion(checkpoint.model, facts, where)
    bert = Bert.of(request.bert) if request.bert else Bert()
    wording = _wording(request, facts)
    tree = pipeline_tree(facts, wording, request.models, bert, sample=request.sample)
    source = Source(Path("the converted pipeline"), tree)
    plan = make_plan(validate(source, catalog), catalog, source)
    names = _checked_names(checkpoint, facts, plan, bert)
    pipeline = assemble(plan, catalog, on_node)
    tied = tied_to(checkpoint.model, pipeline.state_dict(), where)
    _fill(pipeline, checkpoint, names)
    rows = [_row(name, tensor, names, tied) for name, tensor in checkpoint.model.items()]
    beside = {row.name: checkpoint.model[row.name] for row in rows if row.fate != "mapped"}
    shapes = {name: tuple(tensor.shape) for name, tensor in checkpoint.model.items()}
    stored = Beside(
        checkpoint.config,
        checkpoint.epoch,
        facts.reads.name,
        asdict(bert),
        tuple(checkpoint.model),
        beside,
        shapes,
        tuple(row.name for row in rows if row.fate == "tied"),
    )
    save(pipeline, out, also=lambda folder: write_beside(folder, stored))
    rows += [Row(name, "not carried", why="a training run here starts its own") for name in checkpoint.others]
    return Account(rows, _notes(facts, wording, request))


def _wording(request: Request, facts: Facts) -> Wording:
    if (request.source is None) == (request.prompt is None):
        raise ConfigError(
            "the wording of the prompt is needed",
            where="the command line",
            expected="either --source or --prompt",
            hint="--source FOLDER names your copy of the original's source, --prompt FILE a file with the wording",
        )
    if request.prompt is not None:
        return read_prompt_file(request.prompt, facts.reads)
    assert request.source is not None
    return find_wording(request.source, facts)


def _checked_names(checkpoint: ReleasedCheckpoint, facts: Facts, plan: Plan, bert: Bert) -> dict[str, Name]:
    sizes = measured(checkpoint.model, facts, bert)
    refuse_other_widths(sizes, plan, bert, checkpoint.where)
    names = names_of(facts, sizes, llm_values(plan))
    refuse_misfits(checkpoint.model, names, facts, checkpoint.where)
    refuse_strange_frozen(checkpoint.model, plan, checkpoint.where)
    return names


def adapter_tensors(pipeline: Pipeline) -> dict[str, Tensor]:
    """The tensors of the LLM's adapter, by their names in the pipeline."""
    return {name: tensor for name, tensor in pipeline.state_dict().items() if ".lora_" in name}


def _fill(pipeline: Pipeline, checkpoint: ReleasedCheckpoint, names: Mapping[str, Name]) -> None:
    stored = {ours: checkpoint.model[name] for name, each in names.items() for ours in each.ours}
    fill(own_tensors(pipeline) | adapter_tensors(pipeline), stored, checkpoint.where)


def _row(name: str, tensor: Tensor, names: Mapping[str, Name], tied: Mapping[str, tuple[str, ...]]) -> Row:
    if name in names:
        each = names[name]
        return row_of(name, tensor, "mapped" if each.ours else "kept", each.ours, each.why_no_place)
    if tied[name]:
        return row_of(name, tensor, "tied", tied[name], "equal to the model folder's")
    return row_of(name, tensor, "kept", (), "a frozen part that the pipeline does not use, and not compared")


def _notes(facts: Facts, wording: Wording, request: Request) -> list[str]:
    notes = [*facts.remarks, *wording.remarks]
    if request.bert and "qformer" not in facts.fusions.values():
        notes.append("no branch of this checkpoint is a Q-Former: --bert did nothing")
    if facts.tokens["video"] and {"face_tokens", "frame_tokens"} <= set(facts.reads.nodes):
        notes.append("faces and frames shared their weights: here each has its own, equal until it is trained")
    if facts.half_precision:
        notes.append("it was trained with float16 autocast: training.precision is bf16 here")
    return notes
