"""The conformance kit: what every plugin must keep, as pytest classes and as `affectgpt plugins verify`.

In a plugin package's tests:

    from affectgpt.testing import FuserContract

    class TestMyFuser(FuserContract):
        name = "my-fuser"

pytest then runs one test per check and number of inputs. See [Contract][affectgpt.testing.contracts.Contract] for
`plugins`, `options` and `variants`, and `CHECKS` in `fuser_checks`, `encoder_checks`, `llm_checks` and
`extractor_checks` for what is checked.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from affectgpt.testing.contracts import EncoderContract, ExtractorContract, FuserContract, LLMContract
    from affectgpt.testing.noise_clip import NoiseClip
    from affectgpt.testing.verification import Result, verify

_HOME = {
    "EncoderContract": "contracts",
    "ExtractorContract": "contracts",
    "FuserContract": "contracts",
    "LLMContract": "contracts",
    "NoiseClip": "noise_clip",
    "Result": "verification",
    "verify": "verification",
}
__all__ = ["EncoderContract", "ExtractorContract", "FuserContract", "LLMContract", "NoiseClip", "Result", "verify"]


def __getattr__(name: str) -> Any:
    # Lazy, because contracts needs pytest and the checks need torch.
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
