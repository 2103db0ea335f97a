"""A comparison as one function: clips read once, finished jobs taken from their folder, the others run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from affectgpt.ablation.comparison import Comparison
from affectgpt.ablation.jobs import Job, JobResult, OnProgress, plain_config, run_jobs
from affectgpt.ablation.metrics import Metric
from affectgpt.ablation.samples import Clips, read_sample_sets
from affectgpt.ablation.stored_results import StoredResults
from affectgpt.core.plan import Plan
from affectgpt.registry.catalog import Catalog
from affectgpt.training.run_settings import clips_digest, result_settings


def compare_plans(
    plans: Mapping[str, Plan],
    train: Clips,
    test: Clips,
    catalog: Catalog,
    *,
    seeds: Sequence[int],
    metric: Metric,
    out: Path | None,
    resume: bool,
    workers: int,
    notes: Sequence[str],
    progress: OnProgress,
) -> Comparison:
    """Train the variants `plans` with each of `seeds` and compare their answers to the test clips.

    Raises ConfigError when `out` holds a result of other settings, DataError when a clip cannot be read, and what
    training raises.
    """
    numbers, sample_sets = read_sample_sets(plans, train, test, catalog, workers=workers, progress=progress)
    settings = {
        name: {
            **{key: value for key, value in result_settings(plan.config).items() if key != "seed"},
            "generation": plan.config.generation.model_dump(mode="json"),
            "training clips": clips_digest(sample_sets[numbers[name]].train),
            "test clips": clips_digest(sample_sets[numbers[name]].test),
        }
        for name, plan in plans.items()
    }
    stored = StoredResults(out) if out is not None else None
    results: dict[tuple[str, int], JobResult] = {}
    jobs = []
    for seed in seeds:
        for name, plan in plans.items():
            result = stored.find(name, seed, settings[name]) if stored is not None and resume else None
            if result is not None:
                results[name, seed] = result
            else:
                jobs.append(Job(name, seed, plain_config(plan.config), numbers[name]))
    for result in run_jobs(jobs, sample_sets, catalog, workers=min(workers, len(jobs)), progress=progress):
        if stored is not None:
            stored.write(result, settings[result.name])
        results[result.name, result.seed] = result
    in_order = [results[name, seed] for name in plans for seed in seeds]
    # Most rows have the same notes.
    notes = list(dict.fromkeys([*notes, *(note for result in in_order for note in result.notes)]))
    return Comparison(in_order, sample_sets[0].test, metric, notes)
