"""Which settings another run must share with the one that wrote the cache."""

from __future__ import annotations

from pathlib import Path

import pytest

from affectgpt.data.feature_cache.settings import CacheSettings, EncoderSettings, write_or_check_settings
from affectgpt.registry.errors import DataError

KEY = "0" * 40
CODE = {"feature_version": "1"}
ENCODER = EncoderSettings(plugin="mel", options={"n_mels": 8}, weights=KEY, stored=True, dim=80, code=CODE, key=KEY)
VERSIONS = {"affectgpt": "0.1.0", "torch": "2.11.0"}
SETTINGS = CacheSettings(
    dtype="float32", batch_size=8, device="cpu", media_version=2, encoders={"audio": ENCODER}, versions=VERSIONS
)


def with_versions(**versions: str) -> CacheSettings:
    return SETTINGS.model_copy(update={"versions": {**VERSIONS, **versions}})


def test_a_cache_of_an_earlier_release_is_continued(tmp_path: Path) -> None:
    write_or_check_settings(tmp_path, SETTINGS)
    write_or_check_settings(tmp_path, with_versions(affectgpt="0.2.0"))


def test_another_version_of_torch_is_refused(tmp_path: Path) -> None:
    write_or_check_settings(tmp_path, SETTINGS)
    with pytest.raises(DataError, match=r"versions\.torch '2\.12\.0'"):
        write_or_check_settings(tmp_path, with_versions(torch="2.12.0"))
