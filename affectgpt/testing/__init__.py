"""The conformance kit: the checks that every plugin must pass, as pytest classes and as `affectgpt plugins verify`.

In a plugin package's tests:

    from affectgpt.testing import FuserContract

    class TestMyFuser(FuserContract):
        name = "my-fuser"

pytest then runs one test per check and number of inputs. See [Contract][affectgpt.testing.contracts.Contract] for
`plugins`, `options` and `variants`, and the functions in `fuser_checks`, `encoder_checks`, `llm_checks` and
`extractor_checks` for what is checked. A kind of plugins that another package brings has a [KindChecks][] of its own.
"""

from __future__ import annotations

import warnings
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from affectgpt.testing.cases import Case as Case
    from affectgpt.testing.contracts import Contract as Contract
    from affectgpt.testing.contracts import EncoderContract as EncoderContract
    from affectgpt.testing.contracts import ExtractorContract as ExtractorContract
    from affectgpt.testing.contracts import FuserContract as FuserContract
    from affectgpt.testing.contracts import LLMContract as LLMContract
    from affectgpt.testing.kind_checks import KindChecks as KindChecks
    from affectgpt.testing.noise_clip import NoiseClip as NoiseClip
    from affectgpt.testing.verification import CheckResult as CheckResult
    from affectgpt.testing.verification import verify as verify

_MODULE_OF = {
    "Case": "cases",
    "CheckResult": "verification",
    "Contract": "contracts",
    "EncoderContract": "contracts",
    "ExtractorContract": "contracts",
    "FuserContract": "contracts",
    "KindChecks": "kind_checks",
    "LLMContract": "contracts",
    "NoiseClip": "noise_clip",
    "verify": "verification",
}
__all__ = [
    "Case",
    "CheckResult",
    "Contract",
    "EncoderContract",
    "ExtractorContract",
    "FuserContract",
    "KindChecks",
    "LLMContract",
    "NoiseClip",
    "verify",
]


def __getattr__(name: str) -> Any:
    # Lazy, because contracts needs pytest and the checks need torch.
    if name == "Result":
        message = "affectgpt.testing.Result: use affectgpt.CheckResult; goes in 0.3"
        warnings.warn(message, DeprecationWarning, stacklevel=2)
        name = "CheckResult"
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
