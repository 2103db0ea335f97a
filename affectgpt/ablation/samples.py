"""Clips read once for all variants whose encoders prepare them alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeAlias

from affectgpt.ablation.jobs import OnProgress, SampleSet
from affectgpt.core.config import PresenceConfig
from affectgpt.core.plan import Plan
from affectgpt.core.streams import prepare_present
from affectgpt.core.tokens import Prepared
from affectgpt.data.example import Example
from affectgpt.data.samples import Sample, Target, read_samples
from affectgpt.registry.catalog import Catalog

Clips: TypeAlias = "Sequence[Example] | Sequence[Sample]"


@dataclass
class _Group:
    """Variants that read the same samples.

    They have one target and one `presence`, and no two of their encoders have one name and different options.
    """

    target: Target
    presence: PresenceConfig
    encoders: dict[str, tuple[Plan, object]] = field(default_factory=dict)

    def fits(self, plan: Plan) -> bool:
        options = _encoder_options(plan)
        alike = all(self.encoders[name][1] == options[name] for name in options.keys() & self.encoders.keys())
        return alike and plan.config.training.target == self.target and plan.config.presence == self.presence

    def add(self, plan: Plan) -> None:
        for name, options in _encoder_options(plan).items():
            self.encoders.setdefault(name, (plan, options))


class _Preparer:
    """What each encoder needs of an open clip; it can be sent to worker processes."""

    def __init__(self, group: _Group, encoders: Mapping[str, Any]) -> None:
        self.encoders, self.presence = dict(encoders), group.presence
        self.configs = {name: plan.encoders[name].config for name, (plan, _) in group.encoders.items()}

    def __call__(self, clip: Any) -> dict[str, Prepared | None]:
        return prepare_present(self.presence, self.configs, self.encoders, clip)


def group_plans(plans: Mapping[str, Plan]) -> tuple[dict[str, int], list[_Group]]:
    """For each variant the number of its group, and the groups."""
    groups: list[_Group] = []
    numbers: dict[str, int] = {}
    for name, plan in plans.items():
        fitting = [number for number, group in enumerate(groups) if group.fits(plan)]
        if not fitting:
            groups.append(_Group(plan.config.training.target, plan.config.presence))
        numbers[name] = fitting[0] if fitting else len(groups) - 1
        groups[numbers[name]].add(plan)
    return numbers, groups


def read_sample_sets(
    plans: Mapping[str, Plan], train: Clips, test: Clips, catalog: Catalog, *, workers: int, progress: OnProgress
) -> tuple[dict[str, int], list[SampleSet]]:
    """For each variant the number of its sample set, and the sets; a list of samples is taken as it is.

    Raises DataError when a clip cannot be read or lacks what is learned.
    """
    numbers, groups = group_plans(plans)
    sets = []
    for group in groups:
        prepare = None
        parts = []
        for what, clips in (("train", train), ("test", test)):
            if all(isinstance(clip, Sample) for clip in clips):
                parts.append(clips)
                continue
            prepare = prepare or _Preparer(group, _build_encoders(group, catalog))
            report = partial(progress, f"reading {what} clips")
            target = group.target if what == "train" else "mixed"
            parts.append(read_samples(clips, prepare, target, workers=workers, progress=report)[0])  # type: ignore[arg-type]
        sets.append(SampleSet(*parts))  # type: ignore[arg-type]
    return numbers, sets


def _build_encoders(group: _Group, catalog: Catalog) -> dict[str, Any]:
    from affectgpt.core.assembly import build_encoders
    from affectgpt.training.random_state import preserve_random_state

    encoders: dict[str, Any] = {}
    with preserve_random_state():
        for name, (plan, _) in group.encoders.items():
            encoders[name] = build_encoders(plan, skip_encoders=set(plan.encoders) - {name})[name]
    return encoders


def _encoder_options(plan: Plan) -> dict[str, object]:
    """All that decides what an encoder prepares; whether it is trained does not."""
    nodes = {name: node.model_dump(mode="json") for name, node in plan.config.encoders.items()}
    return {name: {key: value for key, value in node.items() if key != "frozen"} for name, node in nodes.items()}
