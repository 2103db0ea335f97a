"""A stub libcuda as Triton's device: real compilation, binding and C launcher, no GPU, no results.

`use()` before the first launch, in a process of its own without the interpreter. It needs a C compiler, as Triton does.
CPU tensors stand for those of a GPU. Written against Triton 3.6; a later one may look up a function that fakecuda.c
lacks, and the loader names it.
"""

from __future__ import annotations

import ctypes
import importlib
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

_BUILT = tempfile.TemporaryDirectory()


def use() -> Any:
    """Make the stub Triton's device 0, of compute capability 9.0, and let the operator take CPU tensors."""
    library = Path(_BUILT.name) / "libcuda.so.1"
    # The name inside is what Triton's own modules ask the loader for.
    options = ("-shared", "-fPIC", "-O1", "-Wl,-soname,libcuda.so.1")
    source = Path(__file__).with_name("fakecuda.c")
    subprocess.run([os.environ.get("CC", "cc"), *options, "-o", library, source], check=True)
    (library.parent / "libcuda.so").symlink_to(library.name)
    os.environ |= {"TRITON_LIBCUDA_PATH": _BUILT.name, "TRITON_INTERPRET": "0"}
    os.environ.setdefault("TRITON_CACHE_DIR", f"{_BUILT.name}/cache")
    stub = ctypes.CDLL(str(library), mode=ctypes.RTLD_GLOBAL)
    from triton.backends.compiler import GPUTarget
    from triton.backends.nvidia.driver import CudaDriver, CudaLauncher, CudaUtils
    from triton.runtime import driver

    device: Any = CudaDriver.__new__(CudaDriver)
    device.utils, device.launcher_cls = CudaUtils(), CudaLauncher
    device.get_current_device, device.set_current_device = lambda: 0, lambda index: None
    device.get_current_stream = lambda index: 0
    device.get_current_target = lambda: GPUTarget("cuda", 90, 32)
    device.get_device_capability = lambda index=0: (9, 0)
    driver.set_active(device)
    importlib.import_module("affectgpt.kernels.cross_modal.api").why_not_triton = lambda queries: ""
    return stub


def launches(stub: Any) -> int:
    """How many so far."""
    return ctypes.c_int.in_dll(stub, "launches").value


def grid(stub: Any) -> list[int]:
    """Of the last launch."""
    return list((ctypes.c_uint * 3).in_dll(stub, "last_grid"))


def watch(stub: Any, pointers: int) -> None:
    """Record this many leading arguments of a launch; they must be pointers."""
    ctypes.c_int.in_dll(stub, "pointers").value = pointers


def arrived(stub: Any) -> list[int]:
    """The addresses of the last launch's leading arguments."""
    return list((ctypes.c_ulonglong * 64).in_dll(stub, "copied"))
