"""The argument of a check: one plugin with options, ready to be built as a pipeline builds it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args, get_origin

import torch
from pydantic import BaseModel

from affectgpt.core.extraction import build_extractor
from affectgpt.core.token_spec import TokenSpec
from affectgpt.core.tokens import Tokens
from affectgpt.registry.catalog import Catalog
from affectgpt.registry.errors import InterfaceError
from affectgpt.registry.spec import Kind

INPUTS = ("face", "audio", "frame", "text")
WIDTHS = ((16, 24, 16, 24), (64, 128, 64, 128))
"""Widths of a fuser's inputs: the first that the fuser accepts are used."""
RAGGED = ((7, 3, 5, 6), (1, 7, 2, 3), (4, 2, 6, 7))
"""Lengths per clip and input, nothing absent."""


@dataclass(frozen=True)
class Case:
    """The plugin `name` of `kind` with `options`."""

    catalog: Catalog = field(repr=False)
    kind: Kind
    name: str
    options: Mapping[str, object] = field(default_factory=dict)

    def __str__(self) -> str:
        return ", ".join(f"{key}={value}" for key, value in self.options.items()) or "defaults"

    def config(self) -> BaseModel:
        """The plugin's config. Raises pydantic's ValidationError when the options are wrong."""
        return self.catalog.config_class(self.catalog.get(self.kind, self.name)).model_validate(self.options)

    def target(self) -> Callable[..., object]:
        """The plugin's class."""
        return self.catalog.target_class(self.catalog.get(self.kind, self.name))

    def check_options(self) -> None:
        """Raise pydantic's ValidationError or an AffectGPTError when the options do not fit."""
        self.config()

    def build(self, seed: int = 0) -> object:
        """The plugin's object, built as `target(config)`."""
        return self.target()(self.config())


@dataclass(frozen=True)
class ModuleCase(Case):
    """An encoder or a language model."""

    def config(self) -> Any:
        return super().config()

    def check_options(self) -> None:
        self.output_spec()

    def output_spec(self) -> TokenSpec:
        """What the config's `infer` declares."""
        config: Any = self.config()
        spec: TokenSpec = config.infer()
        return spec

    def build(self, seed: int = 0) -> Any:
        """The module with random weights from `seed`, in evaluation mode."""
        torch.manual_seed(seed)
        module: Any = self.target()(self.config(), self.output_spec())
        return module.eval()


@dataclass(frozen=True)
class ExtractorCase(Case):
    """An extractor of labels."""

    def build(self, seed: int = 0) -> Any:
        """The extractor; its results are not checked."""
        return build_extractor(self.name, self.options, self.catalog).plugin


@dataclass(frozen=True)
class FuserCase(Case):
    """A fuser with `count` inputs."""

    count: int = 1

    def __str__(self) -> str:
        inputs = f"{self.count} input{'s' if self.count > 1 else ''}"
        return ", ".join([inputs, *(f"{key}={value}" for key, value in self.options.items())])

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the inputs."""
        return INPUTS[: self.count]

    def config(self) -> Any:
        model = self.catalog.config_class(self.catalog.get(self.kind, self.name))
        return model.model_validate({"inputs": list(self.names), **self.options})

    def check_options(self) -> None:
        self.output_spec()

    def specs(self, length: int = 7) -> dict[str, TokenSpec]:
        """The inputs' types, of different widths where the fuser takes that, `length` tokens each."""
        config: Any = self.config()
        for widths in WIDTHS:
            specs = {
                name: TokenSpec(modality=name, dim=width, tokens=length)
                for name, width in zip(self.names, widths, strict=False)
            }
            try:
                config.infer(specs)
            except InterfaceError as error:
                refusal = error
                continue
            return specs
        raise refusal

    def output_spec(self, length: int = 7) -> TokenSpec:
        """What the config's `infer` declares for inputs of `length` tokens."""
        config: Any = self.config()
        spec: TokenSpec = config.infer(self.specs(length))
        return spec

    def build(self, seed: int = 0, length: int = 7) -> Any:
        """The module with random weights from `seed`, in evaluation mode."""
        torch.manual_seed(seed)
        module: Any = self.target()(self.config(), self.specs(length), self.output_spec(length))
        return module.eval()

    def tokens(
        self,
        lengths: Sequence[Sequence[int]] = RAGGED,
        *,
        longest: int | None = None,
        padding: float = 0.0,
        grad: bool = False,
    ) -> dict[str, Tokens]:
        """Random inputs: `lengths[clip][input]` real tokens each, then `padding` up to the longest or `longest`."""
        generator = torch.Generator().manual_seed(1)
        inputs = {}
        for index, (name, spec) in enumerate(self.specs().items()):
            counts = [row[index] for row in lengths]
            total = longest if longest is not None else max(*counts, 1)
            mask = torch.arange(total)[None] < torch.tensor(counts)[:, None]
            values = torch.full((len(counts), total, spec.dim), padding)
            times = torch.full((len(counts), total), padding)
            for row, count in enumerate(counts):
                values[row, :count] = torch.randn(count, spec.dim, generator=generator)
                times[row, :count] = torch.rand(count, generator=generator).cumsum(0)
            inputs[name] = Tokens(values.requires_grad_(grad), mask, times)
        return inputs


def fuser_cases(
    catalog: Catalog,
    name: str,
    options: Mapping[str, object] | None = None,
    counts: Sequence[int] | None = None,
    variants: bool = True,
) -> Iterator[FuserCase]:
    """One case per number of inputs (1 to 3) that the fuser takes, and per other value of a Literal or bool option.

    Raises PluginError for an unknown name, InterfaceError when it takes none of these numbers.
    """
    config: Any = catalog.config_class(catalog.get("fuser", name))
    options = dict(options or {})
    least, most = config.arity
    fitting = [count for count in counts or (1, 2, 3) if count >= least and (most is None or count <= most)]
    fitting = fitting or ([least] if least <= len(INPUTS) else [])
    if not fitting:
        raise InterfaceError(
            f"the fuser {name!r} cannot be checked with so many inputs",
            found=f"arity {config.arity}",
            expected=f"a least number of inputs from 1 to {len(INPUTS)}",
        )
    for count in fitting:
        yield FuserCase(catalog, "fuser", name, options, count)
    for key, value in _other_values(config) if variants else ():
        if key not in options:
            yield FuserCase(catalog, "fuser", name, {**options, key: value}, fitting[-1])


def encoder_case(catalog: Catalog, name: str, options: Mapping[str, object]) -> ModuleCase:
    """The encoder with `options`; it reads the first of its streams unless they name an `input`."""
    config: Any = catalog.config_class(catalog.get("encoder", name))
    return ModuleCase(catalog, "encoder", name, {"input": config.streams[0], **options})


def _other_values(config: Any) -> Iterator[tuple[str, Any]]:
    for key, option in config.model_fields.items():
        values = get_args(option.annotation) if get_origin(option.annotation) is Literal else ()
        if option.annotation is bool:
            values = (True, False)
        for value in values:
            if value != option.default:
                yield key, value
