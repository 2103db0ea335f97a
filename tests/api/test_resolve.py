from __future__ import annotations

import pkgutil
from importlib import import_module

import pytest
import torch

from affectgpt.api.resolve import catalog_for, choose_device
from affectgpt.registry.errors import ConfigError


def test_a_device_is_a_name_that_exists() -> None:
    assert choose_device() == choose_device("cpu") == "cpu"
    assert choose_device("auto") == ("cuda" if torch.cuda.is_available() else "cpu")
    with pytest.raises(ConfigError, match="not a device"):
        choose_device("gpu")


def test_devices_that_do_not_exist_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert choose_device("cuda:1") == "cuda:1" and choose_device("auto") == "cuda"
    with pytest.raises(ConfigError, match="a number below 2"):
        choose_device("cuda:2")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigError, match="there is no CUDA device"):
        choose_device("cuda")


def test_a_catalog_comes_back_as_it_is() -> None:
    catalog = catalog_for()
    assert catalog_for(catalog) is catalog


@pytest.mark.parametrize("package", ["affectgpt", "affectgpt.api"])
def test_no_public_name_is_that_of_a_module_beside_it(package: str) -> None:
    # The import of the module would put it in the place of the function.
    module = import_module(package)
    assert not {info.name for info in pkgutil.iter_modules(module.__path__)} & set(module.__all__)
