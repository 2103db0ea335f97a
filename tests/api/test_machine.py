from __future__ import annotations

from pathlib import Path

import torch

import affectgpt as ag


def test_an_environment_names_versions_devices_and_plugins_but_no_folder() -> None:
    environment = ag.environment()
    assert environment.affectgpt == ag.__version__
    assert environment.packages["torch"] == torch.__version__.split("+")[0] or environment.packages["torch"]
    assert environment.devices[0].startswith("CPU")
    assert any("of kind fuser" in line for line in environment.plugins)
    text = str(environment)
    assert text.startswith("affectgpt") and str(Path.home()) not in text and str(Path.cwd()) not in text
