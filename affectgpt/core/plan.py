"""What a pipeline will be, known before torch is imported: the graph, every width, the token budget.

[make_plan][] checks names, cycles, unused nodes, arity, widths, the prompt and the LLM's context, and reports
all problems at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Generic, TypeVar

from pydantic import BaseModel

from affectgpt.core.budget import Budget, context_problem, prompt_budget, rate_notes
from affectgpt.core.config import RESERVED, EncoderNode, FuserNode, LLMNode, PipelineConfig, PromptConfig
from affectgpt.core.contracts import EncoderConfig, FuserConfig, LLMConfig
from affectgpt.core.former_forms import accepts_catalog
from affectgpt.core.kinds import arity_bounds
from affectgpt.core.plan_facts import plan_facts, plan_html, plan_text
from affectgpt.core.prompt import TEMPLATES, Part, build_parts, prompt_nodes, turn_notes
from affectgpt.core.token_spec import TokenSpec
from affectgpt.core.yaml_source import Source, YamlPath
from affectgpt.registry.entry import PluginEntry
from affectgpt.registry.errors import AffectGPTError, ConfigError, Problem, join_names
from affectgpt.registry.messages import did_you_mean, one_line

Config_co = TypeVar("Config_co", bound=BaseModel, covariant=True)


@dataclass(frozen=True)
class PlannedNode(Generic[Config_co]):
    """One node: its plugin, config, input and output types, and number of weights (None: unknown)."""

    name: str
    entry: PluginEntry
    config: Config_co
    inputs: Mapping[str, TokenSpec]
    output: TokenSpec
    parameters: int | None


@dataclass(frozen=True)
class Plan:
    """A checked pipeline. `fusers` are in the order they run; `projected` are the nodes the LLM reads."""

    config: PipelineConfig
    encoders: dict[str, PlannedNode[EncoderConfig]]
    fusers: dict[str, PlannedNode[FuserConfig]]
    llm: PlannedNode[LLMConfig]
    projected: tuple[str, ...]
    parts: tuple[Part, ...]
    budget: Budget
    notes: tuple[str, ...] = field(default=())

    def output(self, name: str) -> TokenSpec:
        """What the encoder or fuser `name` gives. Raises ConfigError when there is none of this name."""
        node = self.encoders.get(name) or self.fusers.get(name)
        if node is None:
            names = [*self.encoders, *self.fusers]
            raise ConfigError(
                "there is no such node",
                where="the plan",
                found=repr(name),
                expected=f"one of {', '.join(names)}",
                hint=did_you_mean(str(name), names),
            )
        return node.output

    def projector_parameters(self, name: str) -> int:
        """Weights and biases of the linear layer from a node's width to the LLM's."""
        return (self.output(name).dim + 1) * self.llm.output.dim

    def to_dict(self) -> dict[str, object]:
        """The plan as values of JSON: `nodes`, `trained` (parameters, None: unknown), `prompt` and `notes`."""
        return plan_facts(self)

    def __repr__(self) -> str:
        return plan_text(self)

    def _repr_html_(self) -> str:
        return plan_html(self)


@dataclass(frozen=True)
class Nodes:
    """What of a pipeline file could be read. None is a node that failed: its name still counts for the others.

    `inputs` are the names that each fuser reads, as far as they are known.
    """

    encoders: Mapping[str, EncoderNode | None]
    fusers: Mapping[str, FuserNode | None]
    inputs: Mapping[str, Sequence[str]]
    llm: LLMNode | None
    prompt: PromptConfig | None
    source: Source | None


@accepts_catalog
def make_plan(config: PipelineConfig) -> Plan:
    """Check how the nodes of a validated config fit together. Raises ConfigError holding every problem found."""
    inputs = {name: node.config.inputs for name, node in config.fusers.items()}
    planner = _Planner(Nodes(config.encoders, config.fusers, inputs, config.llm, config.prompt, config.source))
    plan = planner.plan(config)
    if planner.problems or plan is None:
        raise ConfigError.from_problems(planner.problems)
    return plan


def problems_between(nodes: Nodes) -> list[Problem]:
    """What is wrong between the nodes of a file of which some failed; those failures are not repeated."""
    planner = _Planner(nodes)
    planner.connect()
    return planner.problems


def plan_llm(node: LLMNode, source: Source) -> PlannedNode[LLMConfig]:
    """A language model by itself, outside a pipeline. Raises ConfigError holding every problem found."""
    planner = _NodePlanner(source)
    planned = planner.node("llm", "llm", node, ("llm",), {})
    if planner.problems or planned is None:
        raise ConfigError.from_problems(planner.problems)
    return planned


class _NodePlanner:
    def __init__(self, source: Source | None) -> None:
        self.source = source
        self.problems: list[Problem] = []

    def add(self, what: str, path: YamlPath, *, found: str = "", expected: str = "", hint: str = "") -> None:
        where = self.source.location(path) if self.source else ".".join(str(part) for part in path)
        self.problems.append(Problem(what, where, found, expected, hint))

    def call_plugin(self, what: str, path: YamlPath, call: Any) -> Any:
        """A plugin's own method, its failure turned into a problem with a place."""
        try:
            return call()
        except AffectGPTError as error:
            for problem in error.problems:
                place = (*path, *problem.path)
                self.add(problem.what, place, found=problem.found, expected=problem.expected, hint=problem.hint)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            self.add(f"{what} failed", path, found=one_line(error), hint="this is a fault of the plugin")
        return None

    def _spec(self, what: str, path: YamlPath, call: Any) -> TokenSpec | None:
        count = len(self.problems)
        output = self.call_plugin(what, path, call)
        if not isinstance(output, TokenSpec) and len(self.problems) == count:
            self.add(f"{what} must return a TokenSpec", path, found=repr(output), hint="this is a fault of the plugin")
        return output if isinstance(output, TokenSpec) else None

    def node(
        self, kind: Any, name: str, node: Any, path: YamlPath, inputs: dict[str, TokenSpec]
    ) -> PlannedNode[Any] | None:
        arguments = (inputs,) if kind == "fuser" else ()
        output = self._spec(f"infer() of {kind} {node.plugin!r}", path, lambda: node.config.infer(*arguments))
        if output is None:
            return None
        count = self.call_plugin(
            f"parameters() of {kind} {node.plugin!r}", path, lambda: node.config.parameters(*arguments)
        )
        return PlannedNode(name, node.entry, node.config, inputs, output, count)


class _Planner(_NodePlanner):
    def __init__(self, nodes: Nodes) -> None:
        super().__init__(nodes.source)
        self.nodes = nodes
        self.encoders: dict[str, PlannedNode[EncoderConfig]] = {}
        self.fusers: dict[str, PlannedNode[FuserConfig]] = {}
        self.llm: PlannedNode[LLMConfig] | None = None
        self.parts: list[Part] | None = None

    def plan(self, config: PipelineConfig) -> Plan | None:
        self.connect()
        if self.problems or self.llm is None or self.parts is None:
            return None
        used = prompt_nodes(config.prompt)
        return Plan(
            config,
            self.encoders,
            self.fusers,
            self.llm,
            tuple(used),
            tuple(self.parts),
            self._budget(config, self.parts, used, self.llm),
            (
                *(self.source.notes if self.source else ()),
                *self._llm_notes(self.llm, config.prompt),
                *rate_notes(config),
            ),
        )

    def _llm_notes(self, llm: PlannedNode[LLMConfig], prompt: PromptConfig) -> list[str]:
        what = f"notes() of llm {llm.entry.spec.name!r}"
        markers = self.call_plugin("turn_markers() of the llm", ("llm",), llm.config.turn_markers)
        turns = turn_notes(prompt, self.parts or [], markers)
        return [*(self.call_plugin(what, ("llm",), llm.config.notes) or []), *turns]

    def connect(self) -> None:
        """Plan every node after those it reads. What failed is None or absent, and its problem is kept."""
        nodes = self.nodes
        for name in nodes.fusers:
            if name in nodes.encoders:
                self.add(f"an encoder and a fuser are both called {name!r}", ("fusers", name), hint="rename one")
        for name, encoder in nodes.encoders.items():
            planned = self.node("encoder", name, encoder, ("encoders", name), {}) if encoder else None
            if planned:
                self.encoders[name] = planned
        for name in self._fuser_order():
            fuser = nodes.fusers[name]
            fused = self._fuser(name, fuser) if fuser else None
            if fused:
                self.fusers[name] = fused
        if nodes.llm:
            self.llm = self.node("llm", "llm", nodes.llm, ("llm",), {})
        if nodes.prompt:
            self._check_unused(prompt_nodes(nodes.prompt))
            self.parts = self._parts(nodes.prompt)

    def _fuser_order(self) -> list[str]:
        """Fusers, each after its inputs. Problems: inputs that do not exist, and cycles."""
        node_names = {*self.nodes.encoders, *self.nodes.fusers}
        for name, inputs in self.nodes.inputs.items():
            for index, input_name in enumerate(inputs):
                path: YamlPath = ("fusers", name, "inputs", index)
                if input_name not in node_names:
                    self.add(
                        f"there is no node {input_name!r}",
                        path,
                        expected=f"one of {join_names(node_names - {name})}",
                        hint=did_you_mean(input_name, node_names - {name}),
                    )
                if inputs.index(input_name) != index:
                    self.add(f"the input {input_name!r} is named twice", path, hint="remove one of them")
        order: list[str] = []
        unordered = {name: self.nodes.inputs.get(name, ()) for name in self.nodes.fusers}
        while unordered:
            ready = [
                name for name, inputs in unordered.items() if not any(input_name in unordered for input_name in inputs)
            ]
            if not ready:
                cycle = self._cycle(unordered)
                self.add(
                    "these fusers feed each other in a circle",
                    ("fusers", cycle[0], "inputs"),
                    found=" <- ".join([*cycle, cycle[0]]),
                )
                break
            order += ready
            for name in ready:
                del unordered[name]
        return order

    def _cycle(self, unordered: Mapping[str, Sequence[str]]) -> list[str]:
        path = [next(iter(unordered))]
        while True:
            following = next(name for name in unordered[path[-1]] if name in unordered)
            if following in path:
                return path[path.index(following) :]
            path.append(following)

    def _fuser(self, name: str, node: FuserNode) -> PlannedNode[FuserConfig] | None:
        path = ("fusers", name)
        bounds = self.call_plugin(f"arity of fuser {node.plugin!r}", path, lambda: arity_bounds(node.config))
        if bounds is None:
            return None
        least, most = bounds
        count = len(node.config.inputs)
        if count < least or (most is not None and count > most):
            amount = f"{least}" if most == least else f"{least} or more" if most is None else f"{least} to {most}"
            self.add(
                f"{node.plugin!r} takes {amount} input{'' if amount == '1' else 's'}",
                (*path, "inputs"),
                found=f"{count}: {', '.join(node.config.inputs)}",
            )
            return None
        planned = {**self.encoders, **self.fusers}
        inputs = {input_name: planned[input_name].output for input_name in node.config.inputs if input_name in planned}
        # An input that failed has been reported at its own place.
        return self.node("fuser", name, node, path, inputs) if len(inputs) == count else None

    def _check_unused(self, used: list[str]) -> None:
        needed, queue = set(used), list(used)
        while queue:
            for input_name in self.nodes.inputs.get(queue.pop(), ()):
                if input_name not in needed:
                    needed.add(input_name)
                    queue.append(input_name)
        # What a fuser reads is not known where its inputs could not be read.
        unclear = self.nodes.fusers.keys() - self.nodes.inputs.keys()
        sections = {"encoders": self.nodes.encoders, "fusers": self.nodes.fusers}
        for section, names in sections.items() if not unclear else ():
            for name in names:
                if name not in needed:
                    self.add(
                        f"{name!r} is computed but nothing uses it",
                        (section, name),
                        hint="name it in `inputs` of a fuser or in `prompt.order`, or remove it",
                    )

    def _parts(self, prompt: PromptConfig) -> list[Part] | None:
        names = [*self.nodes.encoders, *self.nodes.fusers]
        unknown = [] if prompt.inline else [n for n in prompt.order if n not in names and n not in RESERVED]
        for name in unknown:
            self.add(
                f"the prompt names {name!r}, which is no node of this pipeline",
                ("prompt", "order", prompt.order.index(name)),
                expected=f"one of {join_names([*names, *RESERVED])}",
                hint=did_you_mean(name, [*names, *RESERVED]),
            )
        stand_in = TokenSpec(modality="unknown", dim=1, tokens=1)
        planned = {**self.encoders, **self.fusers}
        # Nodes that failed were reported where they failed: here they still count as names.
        specs = {name: planned[name].output if name in planned else stand_in for name in [*names, *unknown]}
        setting = "order" if prompt.template in TEMPLATES else "template"
        return self.call_plugin(  # type: ignore[no-any-return]
            "the prompt", ("prompt", setting), lambda: build_parts(prompt, specs)
        )

    def _budget(
        self, config: PipelineConfig, parts: list[Part], used: list[str], llm: PlannedNode[LLMConfig]
    ) -> Budget:
        planned = {**self.encoders, **self.fusers}
        budget = prompt_budget(config, parts, sum(planned[name].output.tokens for name in used), llm.output.tokens)
        if budget.total > budget.context:
            budget = replace(budget, text_tokens=self._count_text(parts, config.prompt.question, llm))
            problem = context_problem(budget)
            if problem:
                self.add(problem.what, ("prompt",), found=problem.found, expected=problem.expected, hint=problem.hint)
        return budget

    def _count_text(self, parts: list[Part], question: str, llm: PlannedNode[LLMConfig]) -> int | None:
        """Tokens of the prompt's text and question, as `Pipeline.check_question` counts them; None if unknown."""
        texts = [(part.value, True) for part in parts if part.kind == "text"] + [(question, False)]
        what = f"count_tokens() of llm {llm.entry.spec.name!r}"
        counts = [
            self.call_plugin(what, ("llm",), partial(llm.config.count_tokens, text, special=special))
            for text, special in texts
        ]
        return None if None in counts else sum(counts)
