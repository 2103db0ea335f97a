"""The Triton kernels, each kind of run in a process of its own: the interpreter and the compiler do not mix."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.kernels.cross_modal.test_triton import SHARED, fresh

HERE = Path(__file__).parent
QUICK = ("cuda:90", "bf16", "default")


@pytest.fixture(scope="module", autouse=True)
def needs_triton() -> None:
    pytest.importorskip("triton")


@pytest.mark.parametrize("marked", ["not slow", pytest.param("slow", marks=pytest.mark.slow)])
def test_in_the_interpreter(marked: str) -> None:
    tests = str(HERE / "test_interpreted.py")
    process = fresh("-m", "pytest", "-v", "-p", "no:cacheprovider", "-m", marked, tests, TRITON_INTERPRET="1")
    assert process.returncode == 0, process.stdout[-4000:]
    assert "passed" in process.stdout and "skipped" not in process.stdout


def compiled(target: str, dtype: str, folder: Path, stages: int = 0, form: str = "default") -> list[dict[str, Any]]:
    arguments = (str(HERE / "ahead_of_time.py"), target, dtype, str(stages), form)
    process = fresh(*arguments, TRITON_CACHE_DIR=str(folder))
    assert process.returncode == 0, process.stderr[-4000:]
    kernels = [json.loads(line) for line in process.stdout.splitlines()]
    assert len(kernels) == 6
    return kernels


def overlaps(kernel: dict[str, Any]) -> bool:
    """Whether a block of tokens is fetched while the one before is multiplied, by tensor cores."""
    waits, buffers = kernel["waits"], kernel["buffers"]
    return max(waits, default=0) > 0 and min(buffers, default=0) >= 2 and kernel["products"] > 0


@pytest.mark.parametrize(
    ("target", "dtype", "form"),
    [
        pytest.param(target, dtype, form, marks=() if (target, dtype, form) == QUICK else pytest.mark.slow)
        for target in SHARED
        for dtype in ("bf16", "fp16", "fp32")
        for form in ("default", "odd")
    ],
)
def test_compiles_for_gpus_that_are_not_here(target: str, dtype: str, form: str, tmp_path: Path) -> None:
    kernels = compiled(target, dtype, tmp_path, form=form)
    for kernel in kernels:
        assert kernel["shared"] <= SHARED[target], kernel
        assert not kernel["spilled"] and (kernel["registers"] is None or kernel["registers"] <= 512), kernel
        if target.startswith("cuda"):
            assert kernel["registers"] is None or kernel["registers"] <= 255, kernel
            if form == "default" and dtype != "fp32" and kernel["kernel"] not in ("merge", "delta"):
                assert overlaps(kernel), kernel
    assert any(kernel["spilled"] is not None for kernel in kernels)


@pytest.mark.slow
def test_the_check_sees_a_kernel_that_does_not_fetch_ahead(tmp_path: Path) -> None:
    kernels = compiled("cuda:90", "bf16", tmp_path, stages=1)
    assert not any(overlaps(kernel) for kernel in kernels)


@pytest.mark.parametrize(
    ("modalities", "tuples", "what"),
    [
        (2, 5, "forward"),
        pytest.param(2, 50, "both", marks=pytest.mark.slow),
        pytest.param(8, 50, "both", marks=pytest.mark.slow),
    ],
)
def test_launches_on_a_driver_that_records(
    modalities: int, tuples: int, what: str, shared: Path, tmp_path: Path
) -> None:
    arguments = (str(shared / "kernels" / "stub_libcuda"), str(modalities), str(tuples), what)
    process = fresh(str(HERE / "stub_launches.py"), *arguments)
    assert process.returncode == 0, process.stderr[-4000:]
    counts = json.loads(process.stdout.splitlines()[-1])
    expected = {"scores_kernel": modalities, "merge_kernel": 1, "context_kernel": modalities}
    if what == "both":
        expected["context_kernel"] *= 2
        expected |= {"delta_kernel": 1, "scores_gradient_kernel": modalities, "tokens_gradient_kernel": modalities}
    assert counts["launches"] == expected
    assert all(number <= 2 for number in counts["variants"].values()), counts
