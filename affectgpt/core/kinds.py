"""The kinds of plugins of this project, and the decorators that mark classes as such. No torch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from affectgpt.registry.kinds import PackageTemplate, PluginKind
from affectgpt.registry.spec import plugin_decorator

C = TypeVar("C", bound=type)

_OPTIONS = "the options, and what comes out; it imports no torch, so that pipelines are checked at once"
ENCODER = PluginKind(
    name="encoder",
    config="affectgpt.core.contracts:EncoderConfig",
    interface="affectgpt.core.kinds:encoder_interface",
    checks="affectgpt.testing.encoder_checks:KIND_CHECKS",
    template=PackageTemplate(
        folder="affectgpt.scaffold:encoder",
        suffix="Encoder",
        summary="loudness and brightness of each half second of sound",
        contract="EncoderContract",
        config_role=_OPTIONS,
        module_role="the `nn.Module`",
    ),
)
FUSER = PluginKind(
    name="fuser",
    config="affectgpt.core.contracts:FuserConfig",
    interface="affectgpt.core.kinds:fuser_interface",
    checks="affectgpt.testing.fuser_checks:KIND_CHECKS",
    template=PackageTemplate(
        folder="affectgpt.scaffold:fuser",
        suffix="Fuser",
        summary="the inputs' averages, each behind a learned gate",
        contract="FuserContract",
        config_role=_OPTIONS,
        module_role="the `nn.Module`",
    ),
)
LLM = PluginKind(
    name="llm",
    title="an llm",
    config="affectgpt.core.contracts:LLMConfig",
    interface="affectgpt.core.kinds:llm_interface",
    checks="affectgpt.testing.llm_checks:KIND_CHECKS",
    template=PackageTemplate(
        folder="affectgpt.scaffold:llm",
        suffix="LLM",
        summary="a small GPT-2 over bytes",
        contract="LLMContract",
        config_role=_OPTIONS,
        module_role="the `nn.Module`",
    ),
)
EXTRACTOR = PluginKind(
    name="extractor",
    config="affectgpt.core.contracts:ExtractorConfig",
    interface="affectgpt.core.kinds:extractor_interface",
    checks="affectgpt.testing.extractor_checks:KIND_CHECKS",
    template=PackageTemplate(
        folder="affectgpt.scaffold:extractor",
        suffix="Extractor",
        summary="emotion words that stand in two lists",
        contract="ExtractorContract",
        config_role="the options; it imports no torch, so that they are checked at once",
        module_role="the class that reads texts",
    ),
)
KINDS = (ENCODER, FUSER, LLM, EXTRACTOR)
"""The kinds of this project, in the order in which they are listed."""


def encoder(
    name: str,
    *,
    config: type,
    summary: str = "",
    citation: str = "",
    requires: tuple[str, ...] = (),
    api_version: int = 2,
) -> Callable[[C], C]:
    """Mark a class as the encoder plugin `name`. Registers nothing: discovery reads the mark."""
    return plugin_decorator(
        ENCODER,
        name,
        config=config,
        summary=summary,
        citation=citation,
        requires=requires,
        api_version=api_version,
    )


def fuser(
    name: str,
    *,
    config: type,
    summary: str = "",
    citation: str = "",
    requires: tuple[str, ...] = (),
    api_version: int = 2,
) -> Callable[[C], C]:
    """Mark a class as the fuser plugin `name`. Registers nothing: discovery reads the mark."""
    return plugin_decorator(
        FUSER,
        name,
        config=config,
        summary=summary,
        citation=citation,
        requires=requires,
        api_version=api_version,
    )


def llm(
    name: str,
    *,
    config: type,
    summary: str = "",
    citation: str = "",
    requires: tuple[str, ...] = (),
    api_version: int = 2,
) -> Callable[[C], C]:
    """Mark a class as the LLM plugin `name`. Registers nothing: discovery reads the mark."""
    return plugin_decorator(
        LLM, name, config=config, summary=summary, citation=citation, requires=requires, api_version=api_version
    )


def extractor(
    name: str,
    *,
    config: type,
    summary: str = "",
    citation: str = "",
    requires: tuple[str, ...] = (),
    api_version: int = 2,
) -> Callable[[C], C]:
    """Mark a class as the extractor plugin `name`. Registers nothing: discovery reads the mark."""
    return plugin_decorator(
        EXTRACTOR,
        name,
        config=config,
        summary=summary,
        citation=citation,
        requires=requires,
        api_version=api_version,
    )


def encoder_interface(config: Any) -> str:
    """What an encoder of the config class `config` reads and gives."""
    return f"reads {' or '.join(config.streams)}, gives tokens [T, D]"


def arity_bounds(config: Any) -> tuple[int, int | None]:
    """The least and the most inputs of a fuser. Raises TypeError or ValueError when its `arity` is no such pair."""
    least, most = config.arity
    if not isinstance(least, int) or not isinstance(most, int | None):
        raise TypeError(f"{config.arity!r} is not a pair of numbers")
    return least, most


def fuser_interface(config: Any) -> str:
    """What a fuser of the config class `config` reads and gives."""
    least, most = config.arity
    amount = str(least) if least == most else f"{least} or more" if most is None else f"{least} to {most}"
    return f"{amount} input{'' if amount == '1' else 's'} [T, D] -> tokens [T, D]"


def llm_interface(config: Any) -> str:
    """What an LLM of the config class `config` reads and gives."""
    return "embeddings [T, D] -> text"


def extractor_interface(config: Any) -> str:
    """What an extractor of the config class `config` reads and gives."""
    return "text -> emotion labels, or a sentiment"
