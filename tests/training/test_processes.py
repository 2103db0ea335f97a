"""Several processes train as one does that accumulates as many micro-batches."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from accelerate.commands.launch import launch_command_parser
from accelerate.utils.launch import prepare_multi_gpu_env

SCRIPT = Path(__file__).with_name("in_processes.py")
SETTINGS = (
    "training.gradient_accumulation=2",
    "training.steps=6",
    "training.batch_size=2",
    "training.modality_dropout=0.3",
    "training.target=mixed",
    "training.warmup_steps=1",
    "training.checkpoint_every=2",
    "training.validation_share=0.3",
    "training.validate_every=2",
    "llm.frozen=true",
    "llm.lora={r: 2, dropout: 0.2}",
)


@dataclass(frozen=True)
class Outcome:
    """The exit code, what the main process wrote, and what was printed."""

    code: int
    written: Any
    printed: str


def launch(
    folder: Path,
    name: str,
    *settings: str,
    run: Path | None = None,
    resume: bool = False,
    stop: int = 0,
    sharded: bool = False,
) -> Outcome:
    """Train in two processes on gloo."""
    out = folder / f"{name}.json"
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc_per_node",
        "2",
        str(SCRIPT),
        str(out),
        str(run or ""),
        "resume" if resume else "",
        str(stop),
        *SETTINGS,
        *settings,
    ]
    environment = {**os.environ, **(launched_to_shard() if sharded else {}), "OMP_NUM_THREADS": "1"}
    process = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    return Outcome(
        process.returncode, json.loads(out.read_text()) if out.exists() else None, process.stdout + process.stderr
    )


def launched_to_shard() -> dict[str, str]:
    """The environment that the documented command gives its processes."""
    words = "--use_fsdp --fsdp_version 2 --num_processes 2 --num_machines 1 --mixed_precision no --dynamo_backend no"
    environment: dict[str, str] = prepare_multi_gpu_env(launch_command_parser().parse_args([*words.split(), "script"]))
    assert environment["FSDP_CPU_RAM_EFFICIENT_LOADING"] == "true"
    return environment


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What two processes gave that were left alone; also a folder with their run."""
    folder = tmp_path_factory.mktemp("two")
    complete = launch(folder, "whole", run=folder / "run")
    assert complete.code == 0, complete.printed
    return complete.written, folder / "run"


def in_one_process(folder: Path, *settings: str) -> Any:
    """What this process gives with these settings."""
    spec = importlib.util.spec_from_file_location("in_processes", SCRIPT)
    assert spec is not None and spec.loader is not None
    single = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(single)
    single.main(folder / "one.json", "", "", 0, [*SETTINGS, *settings])
    return json.loads((folder / "one.json").read_text())


@pytest.mark.slow
def test_two_processes_that_accumulate_train_as_one_on_large_batches(tmp_path: Path) -> None:
    # Nothing random, and statistics of no batch: the order of the clips is the same, and so is all else.
    plain = (
        "training.target=description",
        "training.modality_dropout=0",
        "training.validation_share=0",
        "llm.lora={r: 2, dropout: 0}",
    )
    both = launch(tmp_path, "both", *plain, "training.batch_size=1")
    assert both.code == 0, both.printed
    one = in_one_process(tmp_path, *plain, "training.batch_size=4", "training.gradient_accumulation=1")
    assert both.written["losses"] == pytest.approx(one["losses"], rel=1e-5) and len(set(one["losses"])) == 6
    assert both.written["weights"] == pytest.approx(one["weights"], rel=1e-3, abs=1e-4)


@pytest.mark.slow
def test_two_processes_train_as_one_with_double_accumulation(two: Any, tmp_path: Path) -> None:
    one, (both, _) = in_one_process(tmp_path, "training.gradient_accumulation=4"), two
    assert both["losses"] == pytest.approx(one["losses"], rel=1e-5) and len(set(one["losses"])) == 6
    assert both["weights"] == pytest.approx(one["weights"], rel=1e-3, abs=1e-4)
    assert both["best"] == pytest.approx(one["best"], rel=1e-5)


@pytest.mark.slow
def test_two_processes_stop_and_resume_exactly(two: Any, tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert launch(tmp_path, "stopped", run=run, stop=5).written is None
    resumed = launch(tmp_path, "resumed", run=run, resume=True)
    assert resumed.code == 0, resumed.printed
    assert resumed.written == two[0]
    logs = [[json.loads(line) for line in (each / "log.jsonl").read_text().splitlines()] for each in (run, two[1])]
    retained = [[{key: value for key, value in row.items() if key != "seconds"} for row in log] for log in logs]
    assert retained[0] == retained[1] and sum("loss" in row for row in retained[0]) == 6


@pytest.mark.slow
def test_a_loss_that_is_no_number_stops_all_processes(tmp_path: Path) -> None:
    outcome = launch(
        tmp_path,
        "bad",
        "training.lr=1.0e+30",
        "training.min_lr=1.0e+30",
        "training.warmup_steps=0",
        "training.validation_share=0",
    )
    assert outcome.code == 1 and outcome.written is None, outcome.printed
    text = {(tmp_path / f"bad.{rank}.error").read_text() for rank in (0, 1)}
    assert len(text) == 1 and "at step 2" in (message := text.pop()) and "clip" in message and "1e+30" in message


@pytest.mark.slow
def test_a_sharded_model_trains_as_a_whole_one(two: Any, tmp_path: Path) -> None:
    sharded = launch(tmp_path, "sharded", run=tmp_path / "run", sharded=True)
    assert sharded.code == 0, sharded.printed
    complete = two[0]
    assert sharded.written["losses"] == pytest.approx(complete["losses"], rel=1e-5)
    assert sharded.written["best"] == pytest.approx(complete["best"], rel=1e-5)
    assert sharded.written["weights"] == pytest.approx(complete["weights"], rel=1e-3, abs=1e-4)


@pytest.mark.slow
def test_tied_weights_and_batch_norm_are_sharded_as_they_are(tmp_path: Path) -> None:
    # Each process has its own statistics, so that only the training is compared.
    settings = (
        "llm.lora=null",
        "llm.frozen=false",
        "llm.architecture.tie_word_embeddings=true",
        "encoders.face.frozen=false",
        "training.validation_share=0",
        "training.lr=0.02",
        "training.modality_dropout=0",
    )
    complete, sharded = (launch(tmp_path, name, *settings, sharded=name == "sharded") for name in ("whole", "sharded"))
    assert complete.code == 0, complete.printed
    assert sharded.code == 0, sharded.printed
    assert sharded.written["losses"] == pytest.approx(complete.written["losses"], rel=1e-4)
    # One tensor that came in two parts would be there twice.
    assert sharded.written["weights"].keys() == complete.written["weights"].keys()
    assert not any("lm_head" in name for name in complete.written["weights"])
    assert sharded.written["weights"] == pytest.approx(complete.written["weights"], rel=1e-2, abs=1e-2)


@pytest.mark.slow
def test_a_stream_that_one_process_lacks_is_sharded_too(tmp_path: Path) -> None:
    # A clip at a time: a trained encoder then runs in one process and not in the other.
    settings = (
        "training.batch_size=1",
        "encoders.face.frozen=false",
        "training.validation_share=0",
        "training.steps=4",
        "training.weight_decay=0",
        "training.modality_dropout=0",
    )
    complete, sharded = (launch(tmp_path, name, *settings, sharded=name == "sharded") for name in ("whole", "sharded"))
    assert complete.code == 0, complete.printed
    assert sharded.code == 0, sharded.printed
    assert sharded.written["losses"] == pytest.approx(complete.written["losses"], rel=1e-4)
    assert sharded.written["weights"] == pytest.approx(complete.written["weights"], rel=1e-2, abs=1e-2)


@pytest.mark.slow
def test_processes_with_folders_of_their_own_do_not_resume(tmp_path: Path) -> None:
    # Only the first process writes: the other one finds nothing where it looks.
    run = tmp_path / "run-{rank}"
    assert launch(tmp_path, "stopped", run=run, stop=5).written is None
    resumed = launch(tmp_path, "resumed", run=run, resume=True)
    assert resumed.code != 0 and resumed.written is None, resumed.printed
    for rank in (0, 1):
        message = (tmp_path / f"resumed.{rank}.error").read_text()
        assert "do not see the same run folder" in message and "process 0: step 4; process 1: no checkpoint" in message
