"""What a report of a problem should say about the machine: versions, devices, plugins."""

from __future__ import annotations

import os
import platform
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from affectgpt import __version__
from affectgpt.api.resolve import Plugins, catalog_for
from affectgpt.registry.spec import Origin

_PACKAGES = (
    "torch",
    "torchvision",
    "torchaudio",
    "transformers",
    "accelerate",
    "peft",
    "timm",
    "open_clip_torch",
    "av",
    "opencv-python-headless",
    "numpy",
    "pydantic",
    "huggingface_hub",
    "triton",
)


@dataclass(frozen=True)
class Environment:
    """The parts of a machine that results depend on; `str()` writes them as lines for an issue.

    - `affectgpt`, `python`, `platform`: versions of this package, of Python and of the system.
    - `packages`: the version of each package that this one needs, "not installed" for a missing one.
    - `devices`: the CPU with its threads, and each CUDA device with its memory and compute capability.
    - `plugins`: the packages that plugins come from, with the number of plugins of each kind.
    - `broken`: plugin packages that cannot be loaded, with the cause.
    """

    affectgpt: str
    python: str
    platform: str
    packages: dict[str, str]
    devices: list[str]
    plugins: list[str]
    broken: list[str]

    def __str__(self) -> str:
        packages = [f"{name} {number}" for name, number in self.packages.items()]
        lines = [
            f"affectgpt  {self.affectgpt}",
            f"python     {self.python}",
            f"platform   {self.platform}",
            *_column("packages", packages),
            *_column("devices", self.devices),
            *_column("plugins", self.plugins),
            *_column("broken", self.broken),
        ]
        return "\n".join(lines)


def environment(plugins: Plugins = ()) -> Environment:
    """The versions, devices and plugins of this machine and process. No path and no user's name is in it."""
    catalog = catalog_for(plugins)
    origins = Counter((_label(entry.origin), kind) for (kind, _), entry in catalog.entries.items())
    return Environment(
        affectgpt=__version__,
        python=f"{platform.python_implementation()} {platform.python_version()}",
        platform=platform.platform(),
        packages={name: _version(name) for name in _PACKAGES},
        devices=_devices(),
        plugins=[f"{label}: {count} of kind {kind}" for (label, kind), count in sorted(origins.items())],
        broken=[f"{broken.name} from {_label(broken.origin)}: {broken.cause}" for broken in catalog.broken],
    )


def _label(origin: Origin) -> str:
    """The origin without the folders of a file, which may name a user."""
    return f"{Path(origin.source).name} {origin.version}".strip()


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _devices() -> list[str]:
    import torch

    devices = [f"CPU, {platform.machine()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads"]
    if not torch.cuda.is_available():
        return [*devices, f"no CUDA device (torch is built for {torch.version.cuda or 'CPU'})"]
    for index in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(index)
        devices.append(
            f"cuda:{index}, {properties.name}, {properties.total_memory / 2**30:.0f} GiB,"
            f" compute capability {properties.major}.{properties.minor}, CUDA {torch.version.cuda}"
        )
    return devices


def _column(title: str, values: Sequence[str]) -> list[str]:
    return [f"{title if index == 0 else '':<11}{value}" for index, value in enumerate(values)]
