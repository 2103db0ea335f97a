from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch


@pytest.fixture(scope="session")
def oracle() -> Path:
    """Tensors computed by the released code, kept beside the repository."""
    root = os.environ.get("AFFECTGPT_SHARED") or Path(__file__).parents[3].parent / "shared"
    folder = Path(root) / "oracle"
    if not folder.is_dir():
        pytest.skip(f"no reference tensors in {folder}; AFFECTGPT_SHARED names another place")
    return folder


@pytest.fixture(autouse=True)
def _few_threads() -> None:
    torch.set_num_threads(2)


@pytest.fixture(autouse=True)
def _no_other_models(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """No model of this machine is found, and nothing is downloaded."""
    from huggingface_hub import constants

    monkeypatch.delenv("AFFECTGPT_MODELS", raising=False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path_factory.mktemp("cache")))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
