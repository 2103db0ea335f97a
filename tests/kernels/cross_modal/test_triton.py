"""The Triton kernels, each kind of run in a process of its own: the interpreter and the compiler do not mix."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
SHARED = {"cuda:80": 163 * 1024, "cuda:90": 227 * 1024, "hip:gfx942": 64 * 1024}


def fresh(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("TRITON")}
    environment |= {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **variables}
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, env=environment, cwd=ROOT, timeout=1800
    )


@pytest.fixture(scope="module", autouse=True)
def needs_triton() -> None:
    pytest.importorskip("triton")


@pytest.mark.parametrize("marked", ["not slow", pytest.param("slow", marks=pytest.mark.slow)])
def test_in_the_interpreter(marked: str) -> None:
    cases = str(HERE / "test_interpreted.py")
    process = fresh("-m", "pytest", "-v", "-p", "no:cacheprovider", "-m", marked, cases, TRITON_INTERPRET="1")
    assert process.returncode == 0, process.stdout[-4000:]
    assert "passed" in process.stdout and "skipped" not in process.stdout


def compiled(tmp_path: Path, *arguments: str) -> list[dict[str, Any]]:
    process = fresh(str(HERE / "ahead_of_time.py"), *arguments, TRITON_CACHE_DIR=str(tmp_path))
    assert process.returncode == 0, process.stderr[-4000:]
    return [json.loads(line) for line in process.stdout.splitlines()]


def fits(kernel: dict[str, Any]) -> None:
    """It keeps within the device's shared memory and within its registers."""
    assert kernel["shared"] <= SHARED[kernel["target"]], kernel
    # 256 wide in float32 keeps a few values on the stack; a loop that spills takes hundreds of bytes.
    wide = kernel["shape"].split("x")[1:] == ["256", "fp32"]
    assert kernel["spilled"] is None or kernel["spilled"] <= (64 if wide else 0), kernel


def is_pipelined(kernel: dict[str, Any]) -> bool:
    """Its loop works on one block with tensor cores while the next is copied, and no load waits for a mask."""
    loop = kernel["loop"]
    ahead = min(kernel["buffers"]) >= 2 and max(kernel["waits"]) > 0
    return ahead and loop["HMMA"] + loop["HGMMA"] > 0 and loop["LDG"] == 0


def test_the_split_kernel_is_pipelined_and_two_stages_are_not(tmp_path: Path) -> None:
    three, two = compiled(tmp_path, "cuda:90", "16x64xbf16", "words", "split_kernel", "3,2")
    fits(three)
    assert is_pipelined(three), three
    # The control: what the kernel was before, with one buffer and its copy waited for at once.
    assert not is_pipelined(two), two


@pytest.mark.slow
@pytest.mark.parametrize("target", SHARED)
def test_compiles_for_gpus_that_are_not_here(target: str, tmp_path: Path) -> None:
    kernels = compiled(tmp_path, target)
    assert {kernel["kernel"] for kernel in kernels} == {
        *("pack_kernel", "split_kernel", "merge_kernel", "backward_kernel", "queries_kernel", "tokens_kernel")
    }
    for kernel in kernels:
        fits(kernel)
        half, one_read = not kernel["shape"].endswith("fp32"), kernel["kernel"] in ("split_kernel", "backward_kernel")
        if target.startswith("cuda") and half and one_read:
            assert is_pipelined(kernel), kernel
        if (
            target == "cuda:90"
            and half
            and kernel["kernel"] == "split_kernel"
            and not kernel["shape"].startswith("16x")
        ):
            # 256 wide goes 16 rows at a time.
            assert (kernel["loop"]["HGMMA"] > 0) == (kernel["shape"].split("x")[1] != "256"), kernel
    assert any(kernel["spilled"] is not None for kernel in kernels)


def on_the_stub(what: str) -> Any:
    if shutil.which(os.environ.get("CC", "cc")) is None:
        pytest.skip("needs a C compiler, as a launch of Triton does")
    process = fresh("-m", "tests.kernels.cross_modal.stub_launches", what)
    assert process.returncode == 0, process.stderr[-4000:]
    return json.loads(process.stdout)


@pytest.mark.slow
def test_what_reaches_the_driver() -> None:
    results = on_the_stub("quick")
    names = [launch["kernel"] for launch in results["one"]]
    assert names == ["pack_kernel", "split_kernel", "backward_kernel"] and results["launches"] == 3
    assert all(launch["in order"] for launch in results["one"]), results
    assert [launch["grid"] for launch in results["one"]] == [[2, 1, 1], [8, 1, 1], [8, 1, 1]]


@pytest.mark.slow
def test_streams_of_shapes_on_the_stub() -> None:
    results = on_the_stub("all")
    for stream in ("2 modalities", "8 modalities", "width 20"):
        assert results[stream]["split_kernel"] <= 2 and max(results[stream].values()) <= 2, results[stream]
    # 1,470 tokens of one clip and 4 heads: 264 programs were wanted, and a run holds 128 tokens at least.
    assert [launch["grid"] for launch in results["long"]] == [[4, 1, 12], [64, 1, 1]]
    assert sorted(results["misaligned"]["aligned"]) == [False, True] and results["misaligned"]["in order"]
    assert results["operator"]
