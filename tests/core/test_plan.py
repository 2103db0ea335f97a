"""The checks that need the whole graph: names, cycles, unused nodes, widths, prompt, context."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import pytest

from affectgpt.bundled import bundled_config
from affectgpt.core.contracts import FuserConfig
from affectgpt.core.kinds import fuser
from affectgpt.core.load_config import read_config
from affectgpt.core.plan import Plan, make_plan
from affectgpt.core.token_spec import TokenSpec
from affectgpt.registry.catalog import Catalog
from affectgpt.registry.errors import ConfigError

Edited = Callable[..., Path]


class OddConfig(FuserConfig):
    arity = (1, 1)


@fuser("odd", config=OddConfig)
class Odd:
    """A fuser whose config is faulty."""


def plan_of(path: Path, catalog: Catalog, *overrides: str) -> Plan:
    config = read_config(path, catalog, overrides)
    return make_plan(config)


def problems(path: Path, catalog: Catalog, *overrides: str) -> str:
    with pytest.raises(ConfigError) as caught:
        plan_of(path, catalog, *overrides)
    return str(caught.value)


def test_widths_and_tokens_flow_through_the_graph(small: Path, catalog: Catalog) -> None:
    plan = plan_of(small, catalog)
    assert plan.encoders["audio"].output.dim == 160
    assert plan.fusers["multi"].output == TokenSpec(modality="face+audio", dim=160, tokens=1)
    assert plan.projected == ("multi", "audio_tokens")
    assert plan.budget.nodes == 2 and plan.budget.subtitle == 40 and plan.budget.answer == 12


def test_fusers_run_after_their_inputs_whatever_the_order_in_the_file(small: Path, catalog: Catalog) -> None:
    plan = plan_of(
        small, catalog, "fusers.multi.inputs=[late, audio]", "fusers.late.plugin=mean", "fusers.late.inputs=[face]"
    )
    assert list(plan.fusers).index("late") < list(plan.fusers).index("multi")


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["fusers.multi.inputs=[face, audoi]"], "did you mean 'audio'"),
        (["fusers.multi.inputs=[face, face]"], "named twice"),
        (["fusers.audio_tokens.inputs=[face, audio]"], "takes 1 input"),
        (["fusers.multi.inputs=[face]"], "takes 2 or more inputs"),
        (["fusers.audio_tokens.inputs=[multi]", "fusers.multi.inputs=[audio_tokens, face]"], "in a circle"),
        (["fusers.audio_tokens.inputs=[audio_tokens]"], "in a circle"),
        (["fusers.face.plugin=mean", "fusers.face.inputs=[audio]"], "both called 'face'"),
        (["prompt.order=[audio_tokens]"], "'multi' is computed but nothing uses it"),
        (["prompt.order=[multi, audio_tokens, subtitel]"], "did you mean 'subtitle'"),
        (["prompt.order=[multi, multi, audio_tokens]"], "twice"),
        (["prompt.template=affectgtp"], "did you mean 'affectgpt'"),
        (["prompt.template='{multi} {audio_tokens}'", "prompt.order=[]"], "no {question}"),
        (["prompt.template='{multi} {nope} {question}'", "prompt.order=[]"], "no node of this pipeline"),
        (["prompt.template='{multi {question}'", "prompt.order=[]"], "brace"),
        (["generation.max_new_tokens=1020"], "do not fit into the LLM's context"),
        (["llm.architecture.hidden_size=wide"], "hidden_size of qwen2 has the wrong type"),
    ],
)
def test_a_graph_that_does_not_fit_is_refused_with_its_place(
    small: Path, catalog: Catalog, overrides: list[str], words: str
) -> None:
    message = problems(small, catalog, *overrides)
    assert words in message and ("small.yaml" in message or "changes: " in message)


def test_all_graph_problems_come_at_once(small: Path, catalog: Catalog) -> None:
    message = problems(
        small,
        catalog,
        "fusers.multi.inputs=[face, audoi]",
        "fusers.spare.plugin=mean",
        "fusers.spare.inputs=[face]",
        "prompt.order=[multi, audio_tokens, subtitel]",
    )
    assert "audoi" in message and "'spare' is computed" in message and "subtitel" in message


MISTAKES = {
    "encoder plugin": ("encoders.audio.plugin=mell", "there is no encoder plugin 'mell'"),
    "encoder option": ("encoders.face.frames=many", "encoders.face.frames"),
    "fuser plugin": ("fusers.audio_tokens.plugin=meen", "there is no fuser plugin 'meen'"),
    "input of a fuser": ("fusers.multi.inputs=[face, audoi]", "there is no node 'audoi'"),
    "model": ("llm.architecture.hidden_size=wide", "has the wrong type"),
    "order": ("prompt.order=[multi, audio_tokens, subtitel]", "the prompt names 'subtitel'"),
    "prompt": ("prompt.jioned=true", "did you mean 'joined'"),
    "generation": ("generation.beams=0", "generation.beams"),
    "training": ("training.lr=-1", "training.lr"),
    "unknown section": ("promt={order: [multi]}", "did you mean 'prompt'"),
}


@pytest.mark.parametrize(("first", "second"), combinations(MISTAKES, 2))
def test_a_mistake_hides_no_other_and_sets_off_none(small: Path, catalog: Catalog, first: str, second: str) -> None:
    changes, words = zip(MISTAKES[first], MISTAKES[second], strict=True)
    with pytest.raises(ConfigError) as caught:
        plan_of(small, catalog, *changes)
    assert all(word in str(caught.value) for word in words), caught.value
    assert len(caught.value.problems) == 2, caught.value


def test_what_reads_a_failed_fuser_without_inputs_is_not_called_unused(edited: Edited, catalog: Catalog) -> None:
    path = edited(("{plugin: temporal-attention, inputs: [audio]}", "{plugin: temporal-atention}"))
    with pytest.raises(ConfigError) as caught:
        plan_of(path, catalog, "fusers.multi.inputs=[face, face]")
    first, second = caught.value.problems
    assert "did you mean 'temporal-attention'" in str(first) and "named twice" in str(second)


def test_a_failed_node_does_not_set_off_more_errors(small: Path, catalog: Catalog) -> None:
    config = read_config(small, catalog, ["encoders.face.model=no_such_model", "encoders.face.features=null"])
    with pytest.raises(ConfigError) as caught:
        make_plan(config)
    assert len(caught.value.problems) == 1


def test_parameter_counts_are_those_of_the_built_modules(small: Path, catalog: Catalog) -> None:
    from affectgpt.core.assembly import assemble

    plan = plan_of(
        small,
        catalog,
        "fusers.joint.plugin=concat",
        "fusers.joint.inputs=[face, audio]",
        "prompt.order=[multi, audio_tokens, joint]",
    )
    pipeline = assemble(plan)
    for name, node in plan.fusers.items():
        assert sum(parameter.numel() for parameter in pipeline.fusers[name].parameters()) == node.parameters
    assert sum(parameter.numel() for parameter in pipeline.llm.parameters()) == plan.llm.parameters
    for name in plan.projected:
        count = sum(parameter.numel() for parameter in pipeline.projectors[name].parameters())
        assert count == plan.projector_parameters(name)


def test_the_paper_pipeline_has_the_sizes_of_the_paper(catalog: Catalog) -> None:
    root = Path(__file__).resolve().parents[2]
    plan = plan_of(root / "configs" / "affectgpt-paper.yaml", catalog)
    assert [plan.output(name).dim for name in ("face", "audio", "multi")] == [768, 1024, 1024]
    assert plan.llm.output.dim == 3584 and plan.llm.parameters == 7_615_616_512
    assert plan.llm.config.adapter_parameters() == 40_370_176
    assert plan.projected == ("multi", "audio_tokens", "face_tokens")


def test_the_default_pipeline_reads_every_patch_and_frame(catalog: Catalog) -> None:
    plan = plan_of(Path(__file__).resolve().parents[2] / "configs" / "affectgpt.yaml", catalog)
    assert [plan.output(name).tokens for name in ("face", "audio", "multi")] == [8 * 257, 8 * 99, 16]


@pytest.mark.parametrize(
    ("attributes", "words"),
    [
        ({"infer": lambda self, inputs: None}, "infer() of fuser 'odd' must return a TokenSpec"),
        ({"infer": lambda self, inputs: 3}, "infer() of fuser 'odd' must return a TokenSpec"),
        ({"infer": lambda self, inputs: inputs["nope"]}, "infer() of fuser 'odd' failed"),
        ({"arity": "x"}, "arity of fuser 'odd' failed"),
        ({"arity": (1, "2")}, "arity of fuser 'odd' failed"),
    ],
)
def test_a_faulty_plugin_is_a_problem_with_a_place(
    small: Path, catalog: Catalog, monkeypatch: pytest.MonkeyPatch, attributes: dict[str, object], words: str
) -> None:
    for name, value in attributes.items():
        monkeypatch.setattr(OddConfig, name, value)
    catalog.add(Odd)
    text = problems(small, catalog, "fusers.multi={plugin: odd, inputs: [face]}")
    assert words in text and "fusers.multi" in text


def test_text_and_question_count_in_the_context(catalog: Catalog) -> None:
    long = ["generation.max_new_tokens=950", f"prompt.question={'What is shown here, and why? ' * 3}"]
    with pytest.raises(ConfigError, match=r"of text and question"):
        make_plan(read_config(bundled_config("tiny"), catalog, long))
    plan = make_plan(read_config(bundled_config("tiny"), catalog, ["generation.max_new_tokens=890", long[1]]))
    assert plan.budget.total > plan.budget.context and (plan.budget.text_tokens or 0) < plan.budget.text


@pytest.mark.parametrize(
    ("part", "is_there"),
    [
        ("llm", True),
        ("llm.model", True),
        ("fusers", True),
        ("fusers.multi", True),
        ("encoders.face.model", True),
        ("lm", False),
        ("fusers.mlti", False),
        ("multi", False),
    ],
)
def test_a_rate_of_a_part_that_is_not_there_is_noted(small: Path, catalog: Catalog, part: str, is_there: bool) -> None:
    notes = plan_of(small, catalog, f"training.rates.{part}=0.001").notes
    assert any(f"training.rates.{part}: there is no such part" in note for note in notes) is not is_there
