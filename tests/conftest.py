"""Fixtures that several test folders share."""

from __future__ import annotations

import os
from pathlib import Path

# Read once, when huggingface_hub is imported: without it, a missing model costs a minute of tries on the network.
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import pytest

from affectgpt.registry.catalog import Catalog
from affectgpt.registry.discovery import discover

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def catalog() -> Catalog:
    """A fresh catalog of everything installed."""
    return discover()


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of reference material, which is not part of the repository."""
    folder = Path(os.environ.get("AFFECTGPT_SHARED", ROOT.parent / "shared"))
    if not folder.is_dir():
        pytest.skip("the reference folder is not here: set AFFECTGPT_SHARED to it")
    return folder
