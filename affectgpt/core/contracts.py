"""The contracts of the four kinds of plugins. A plugin is two classes: a config (the bases are here) and a module.

The config says what the plugin will produce before a weight exists; the module is an `nn.Module` built as

    Encoder(config, output)            Fuser(config, inputs, output)            LLM(config, output)

where `output` is what `config.infer(...)` returned and `inputs` maps each input's name to its [TokenSpec][]. The fourth
kind reads labels out of finished text and is no part of a pipeline: `Extractor(config, llm)`, a plain class.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Protocol

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    field_validator,
)

from affectgpt.core.token_spec import TokenSpec
from affectgpt.registry.errors import PluginError

if TYPE_CHECKING:
    from torch import Tensor, nn

    from affectgpt.core.config import GenerationConfig
    from affectgpt.core.tokens import MediaBatch, Prepared, Tokens
    from affectgpt.media.clip import Clip

Stream = Literal["face", "frame", "audio", "sound"]
"""`audio` is the voice: absent in a sound without speech. `sound` is the whole sound, whatever is heard in it."""
READABLE = ("media", "subtitle")
"""What `EncoderConfig.reads` may name. `media`: pictures, faces and sound, and how long they are."""
SENTIMENTS = ("positive", "negative", "neutral")


def _beside_the_file(value: str, info: ValidationInfo) -> str:
    base = (info.context or {}).get("base_dir")
    return str((Path(base) / value).resolve()) if base and value.startswith(("./", "../")) else value


ModelPath = Annotated[str, AfterValidator(_beside_the_file)]
"""A model's name or folder. A value that starts with `./` or `../` is meant relative to the YAML file."""


class Settings(BaseModel):
    """Base of all that a pipeline file holds: a boolean, as YAML reads `on`, `yes` and `off`, is no number there."""

    @field_validator("*", mode="wrap")
    @classmethod
    def _no_number_from_a_boolean(cls, value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
        result = handler(value)
        if _has_number_from_boolean(value, result):
            raise ValueError("a number is needed here, and this is true or false (in YAML also: on, off, yes, no)")
        return result


def _has_number_from_boolean(value: Any, result: Any) -> bool:
    """Whether validation made a number in `result` out of a boolean in `value`."""
    if isinstance(value, bool):
        return isinstance(result, int | float) and not isinstance(result, bool)
    if isinstance(value, Mapping):
        fields = vars(result) if isinstance(result, BaseModel) else result
        return isinstance(fields, Mapping) and any(
            _has_number_from_boolean(value[key], fields[key]) for key in value if key in fields
        )
    if isinstance(value, list | tuple) and isinstance(result, list | tuple):
        return any(map(_has_number_from_boolean, value, result))
    return False


class PluginConfig(Settings):
    """Base of all plugin configs: immutable, and an unknown key is an error."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, protected_namespaces=(), validate_default=True, allow_inf_nan=False
    )


class EncoderConfig(PluginConfig):
    """Options of an encoder. `streams` names what it can read; `input` is chosen from them.

    An encoder that reads `audio` can read `sound` too: both are waveforms.
    `input` defaults to the node's own name in the pipeline (`face:` reads faces).

    Two class variables are for the feature cache, which keeps what an encoder gives:

    - `reads`: what of a clip decides the tokens, of `media` and `subtitle`. A cache gives the encoder nothing else.
    - `feature_version`: raised by hand whenever the same clip and options give other tokens. None: a hash of the
      source files decides. It counts for the class that sets it, not for one that derives from it.

    Raises PluginError when `reads` names something else.
    """

    streams: ClassVar[tuple[str, ...]] = ("face", "frame", "audio")
    reads: ClassVar[tuple[str, ...]] = ("media",)
    feature_version: ClassVar[int | None] = None

    input: Stream = Field(description="which stream of the clip is read")
    frozen: bool = Field(default=True, description="keep the weights as they are in training")

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        if not isinstance(cls.reads, tuple) or not cls.reads or not set(cls.reads) <= set(READABLE):
            raise PluginError(
                f"{cls.__name__}.reads names what no encoder can declare",
                where=cls.__module__,
                found=repr(cls.reads),
                expected=f"a tuple of {' and '.join(map(repr, READABLE))}",
            )

    def infer(self) -> TokenSpec:
        """The tokens this encoder gives per clip. Raises InterfaceError when they cannot be known."""
        raise TypeError(f"{type(self).__name__} must define infer()")

    def parameters(self) -> int | None:
        """Number of weights, or None when it cannot be known without building the model."""
        return None

    def weight_files(self) -> Sequence[Path]:
        """The files on this machine that hold the weights and facts about them: where one changes, so do the tokens.

        A feature cache compares their content. Empty, as by default, where there are none.
        """
        return ()

    def reads_whole_batch(self) -> bool:
        """True when a clip's tokens depend on its batch's other clips: to be described, it is then encoded alone."""
        return False


class FuserConfig(PluginConfig):
    """Options of a fuser. `arity` is the least and the most inputs it takes (None = any number)."""

    arity: ClassVar[tuple[int, int | None]] = (1, None)

    inputs: list[str] = Field(min_length=1, description="encoders or other fusers, in order")

    def infer(self, inputs: Mapping[str, TokenSpec]) -> TokenSpec:
        """The output of the fuser for these inputs. Raises InterfaceError when they do not fit."""
        raise TypeError(f"{type(self).__name__} must define infer()")

    def parameters(self, inputs: Mapping[str, TokenSpec]) -> int | None:
        """Number of weights, or None when it cannot be known without building the module."""
        return None


class LLMConfig(PluginConfig):
    """Options of a language model."""

    def infer(self) -> TokenSpec:
        """`dim` is the width of the embeddings, `tokens` the context length, `modality` is "text"."""
        raise TypeError(f"{type(self).__name__} must define infer()")

    def parameters(self) -> int | None:
        """Number of weights, adapters not counted, or None when it cannot be known without building."""
        return None

    def adapter_parameters(self) -> int | None:
        """Number of adapter weights: 0 without an adapter, None when unknown."""
        return 0

    def notes(self) -> list[str]:
        """What `check` and `train` tell about these options: one sentence each, for what is allowed but unlikely."""
        return []

    def turn_markers(self) -> list[str] | None:
        """The texts that mark turns in the model's own chat template; None where it has none, or none is known."""
        return None

    def count_tokens(self, text: str, *, special: bool) -> int | None:
        """Number of ids of `encode(text, special=special)`, or None when it cannot be known without the tokenizer.

        Asked for by the plan when the bytes of the prompt, which bound its tokens, exceed the context.
        """
        return None

    def for_prompts(self) -> LLMConfig:
        """The options of this LLM with only what writes prompts (`encode`, `decode`, `embed`); by default all.

        For answers that another program writes. The tensors that it then has must have the names they have without.
        """
        return self


class ExtractorConfig(PluginConfig):
    """Options of an extractor of labels from text."""

    def llm_options(self) -> Mapping[str, object] | None:
        """The LLM plugin that this extractor wants to be given (`{"plugin": name, ...}`), or None."""
        return None


@dataclass(frozen=True)
class Extraction:
    """What was read out of one text: emotion `labels`, or one sentiment. With an `error`, nothing was.

    A sentiment is "positive", "negative" or "neutral", alone in `labels`. No labels and no error means that the text
    names no emotion. A text that could not be read out (an unparsable response) has an `error` and no labels.
    """

    labels: tuple[str, ...] = ()
    error: str = ""


class Encoder(Protocol):
    """An `nn.Module` that turns one stream of a clip into tokens."""

    pretrained: bool
    """True when the weights were read from a model folder (they are then not saved again unless trained)."""

    def prepare(self, clip: Clip) -> Prepared | None:
        """What is needed of one clip, read in a worker on the CPU; None when the clip lacks the stream."""

    def __call__(self, batch: MediaBatch) -> Tokens:
        """`batch.values [B, T, ...]` -> tokens `[B, T', D]`; padded rows in, padded rows out."""


class Fuser(Protocol):
    """An `nn.Module` from one or several token sequences to one."""

    def __call__(self, inputs: Mapping[str, Tokens]) -> Tokens:
        """Tokens per input name -> tokens `[B, T, D]`. What padded positions hold must not matter."""


class LLM(Protocol):
    """An `nn.Module` that continues a sequence of embeddings with text.

    It may have a method `checkpoint_gradients()`, called once before training with `training.gradient_checkpointing`:
    the backward pass then computes activations again instead of keeping them. With a method `start_ids() -> list[int]`,
    these ids stand before every prompt, in training and when it answers.
    """

    pretrained: bool

    def encode(self, text: str, *, special: bool) -> list[int]:
        """Token ids of `text`; `special=False` reads markers such as `<|im_end|>` as plain text."""

    def decode(self, ids: Sequence[int]) -> str:
        """The text of `ids`, end-of-text markers removed."""

    def end_ids(self) -> list[int]:
        """The ids that end an answer; the first is the one written after a training answer."""

    def embed(self, ids: Tensor) -> Tensor:
        """Ids `[T]` int64 -> embeddings `[T, D]`."""

    def logits(self, embeds: Tensor, mask: Tensor) -> Tensor:
        """Embeddings `[B, T, D]` and mask `[B, T]` bool (padding on either side) -> logits `[B, T, V]`."""

    def generate(
        self, embeds: Tensor, mask: Tensor, settings: GenerationConfig, *, seeds: Sequence[int] | None = None
    ) -> list[list[int]]:
        """Continue left-padded embeddings `[B, T, D]`; the new ids of each row, end marker removed.

        What padded positions hold must not matter. `settings` is the pipeline's [GenerationConfig][]. A row may end
        with the first of `settings.stop`; the text is cut before it by the pipeline. With `settings.sample`, `seeds`
        holds one number per row from which alone that row is drawn (a plugin without the argument is seeded through
        torch).

        A plugin may have `stream` too, with the same arguments: it yields, token by token, a list with the next id of
        each row, None for a row that is done.
        """

    def adapter(self) -> nn.Module | None:
        """The PEFT model whose adapter is saved in PEFT's own format, or None."""

    def save_assets(self, folder: Path) -> dict[str, str]:
        """Write what is not a tensor (tokenizer) into `folder`; returns the config fields that change."""


class Extractor(Protocol):
    """Reads labels out of texts: a plain class, built as `Extractor(config, llm)` (`llm` None unless asked for).

    Each text is read by itself: what stands beside it in the sequence must not matter.
    """

    def emotions(self, texts: Sequence[str]) -> list[Extraction]:
        """The emotion words of each text, lower-case, each once, in order of appearance."""

    def sentiments(self, texts: Sequence[str]) -> list[Extraction]:
        """The sentiment of each text: "positive", "negative" or "neutral"."""
