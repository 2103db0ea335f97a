"""The schema of a pipeline file. Each node's options are validated by the model of the plugin that it names."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import ConfigDict, Field, PrivateAttr, field_validator, model_serializer, model_validator

from affectgpt.core.contracts import EncoderConfig, ExtractorConfig, FuserConfig, LLMConfig, PluginConfig, Settings
from affectgpt.registry.entry import PluginEntry
from affectgpt.registry.errors import ConfigError

if TYPE_CHECKING:
    from typing_extensions import Self

    from affectgpt.core.yaml_source import Source

NAME = r"^[A-Za-z][A-Za-z0-9_-]*$"
NodeName = Annotated[str, Field(pattern=NAME)]
Beta = Annotated[float, Field(ge=0, lt=1)]
RESERVED = ("subtitle", "question")


class Section(Settings):
    """Base of the file's sections: immutable, and an unknown key is an error."""

    # Deferred: the whole file's validator holds those of its sections, whose own are needed after an error only.
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, defer_build=True)


class _Attached:
    """A value that a config carries and that does not count when two configs are compared."""

    def __init__(self, value: Any = None) -> None:
        self.value = value

    def __eq__(self, value: object) -> bool:
        return isinstance(value, _Attached)

    __hash__ = None  # type: ignore[assignment]


class _Node(Section):
    plugin: str
    _entry: _Attached = PrivateAttr(default_factory=_Attached)

    @property
    def entry(self) -> PluginEntry:
        """The plugin. Raises ConfigError for a node that was not validated with a catalog."""
        entry: PluginEntry | None = self._entry.value
        if entry is None:
            raise ConfigError(
                "the plugin of this node was not looked up",
                found=f"plugin {self.plugin!r}",
                hint="make the config with affectgpt.plan(...).config",
            )
        return entry

    def with_entry(self, entry: PluginEntry) -> Self:
        """The node, whose plugin is `entry` from now on."""
        self._entry = _Attached(entry)
        return self

    @model_serializer
    def _flat(self) -> dict[str, Any]:
        config: PluginConfig = self.config  # type: ignore[attr-defined]
        defaults = {name: field.default for name, field in type(config).model_fields.items()}
        options = config.model_dump(mode="json")
        return {"plugin": self.plugin, **{k: v for k, v in options.items() if v is not None or defaults[k] is not None}}


class EncoderNode(_Node):
    """`plugin:` and the options of that encoder plugin."""

    config: EncoderConfig


class FuserNode(_Node):
    """`plugin:` and the options of that fuser plugin, `inputs:` among them."""

    config: FuserConfig


class LLMNode(_Node):
    """`plugin:` and the options of that LLM plugin."""

    config: LLMConfig


class ExtractorNode(_Node):
    """`plugin:` and the options of that extractor plugin; no part of a pipeline."""

    config: ExtractorConfig


class PromptConfig(Section):
    """What the LLM reads.

    With `template: affectgpt` the sections in `order` (fusers, encoders, `subtitle`) are introduced by the
    template's own words. A `template` that holds placeholders, such as `"{multi} {subtitle} {question}"`, is
    used as it is, and `order` must be left out.
    """

    template: str = "affectgpt"
    order: list[str] = Field(default_factory=list)
    question: str = "What does this person feel, and what shows it?"
    labels_question: str | None = Field(default=None, description="asked when labels are learned; default: question")
    labels_answer: str = Field(default="{labels}", description="how labels are written as an answer")
    answer_end: str = Field(default="", description="text that ends an answer: learned, and generation stops there")
    training_prefix: str = Field(
        default="", description="text, markers read as such, before the prompt in training only (released AffectGPT)"
    )
    joined: bool = Field(
        default=False, description="text, subtitle and question between two nodes become tokens together (released)"
    )
    max_subtitle_tokens: int = Field(default=256, ge=0, le=8192)

    @model_validator(mode="after")
    def _template_or_order(self) -> PromptConfig:
        if self.inline and self.order:
            raise ValueError("a template with placeholders sets the order itself: leave `order` out")
        if not self.inline and not self.order:
            raise ValueError("`order` must name what the prompt holds, for example [multi, subtitle]")
        if self.labels_answer.count("{labels}") != 1 or re.search(r"[{}]", self.labels_answer.replace("{labels}", "")):
            raise ValueError("`labels_answer` must hold {labels} once and no other brace")
        return self

    @property
    def inline(self) -> bool:
        """True when the template is written out in the file."""
        return "{" in self.template


class PresenceConfig(Section):
    """What must be there to count as a face and as a voice; what is not there is absent for every encoder.

    `presence: off` asks for nothing, as before this section existed: a clip without a face shows its whole frames as
    one, and any sound is a voice. The streams `frame` and `sound` are never asked for a face or for speech.
    """

    face: Literal["found", "always"] = Field(
        default="found", description="found: a face is detected. always: the whole frame where none is"
    )
    voice: Literal["cues", "net", "always"] = Field(
        default="cues",
        description="cues: speech by rhythm and melody. net: by fetched weights. always: any sound",
    )
    threshold: float = Field(default=0.5, gt=0, lt=1, description="net: probability from which a moment is speech")

    @model_validator(mode="before")
    @classmethod
    def _off(cls, value: object) -> object:
        # YAML reads a plain `off` as false.
        if value is False or value == "off":
            return {"face": "always", "voice": "always"}
        if not isinstance(value, dict | PresenceConfig):
            raise ValueError("`presence` is off, or a mapping such as {face: found, voice: cues}")
        return value

    @model_validator(mode="after")
    def _no_dead_threshold(self) -> PresenceConfig:
        if self.voice != "net" and self.threshold != 0.5:
            raise ValueError("threshold has no effect without `voice: net`")
        return self

    @property
    def off(self) -> bool:
        """True when nothing is asked for."""
        return self.face == "always" and self.voice == "always"

    @model_serializer
    def _off_as_a_word(self) -> dict[str, Any] | Literal["off"]:
        return "off" if self.off else {"face": self.face, "voice": self.voice, "threshold": self.threshold}


class GenerationConfig(Section):
    """How an answer is written. Greedy unless `sample` is set or `beams` is above 1."""

    max_new_tokens: int = Field(default=256, ge=1, le=8192)
    sample: bool = False
    temperature: float = Field(default=1.0, gt=0, le=10)
    top_p: float = Field(default=1.0, gt=0, le=1)
    top_k: int = Field(default=0, ge=0, description="0: no limit")
    beams: int = Field(default=1, ge=1, le=32)
    repetition_penalty: float = Field(default=1.0, gt=0, le=10)
    stop: list[Annotated[str, Field(min_length=1, max_length=200)]] = Field(
        default_factory=list, max_length=16, description="an answer ends before the first of these texts"
    )

    @model_validator(mode="after")
    def _no_dead_options(self) -> GenerationConfig:
        if not self.sample and (self.temperature != 1.0 or self.top_p != 1.0 or self.top_k != 0):
            raise ValueError("temperature, top_p and top_k have no effect without `sample: true`")
        return self


class TrainingConfig(Section):
    """The training loop: AdamW, linear warm-up, then cosine decay to `min_lr`.

    `batch_size` is that of one process and one backward pass: a step sees batch_size x gradient_accumulation x
    processes clips. `target` says what the answer is learned from: the description, the open-vocabulary labels, or for
    each clip and time one of the two at random (`mixed`). `precision` is Accelerate's mixed precision.
    """

    steps: int = Field(default=1000, ge=1)
    batch_size: int = Field(default=8, ge=1)
    lr: float = Field(default=1e-4, gt=0)
    rates: dict[str, Annotated[float, Field(gt=0)]] = Field(
        default_factory=dict, description="lr of a part, e.g. {llm: 1.0e-5, fusers.multi: 1.0e-4}; longest name wins"
    )
    min_lr: float = Field(default=0.0, ge=0)
    warmup_steps: int = Field(default=0, ge=0)
    weight_decay: float = Field(default=0.05, ge=0)
    betas: tuple[Beta, Beta] = (0.9, 0.999)
    max_grad_norm: float | None = Field(default=1.0, gt=0)
    gradient_accumulation: int = Field(default=1, ge=1)
    step_loss: Literal["tokens", "micro-batches"] = Field(
        default="tokens",
        description="what a step's loss is the mean of: the losses of all its tokens, or (before 0.2) the means of its "
        "batches, where a token of a short answer counts more",
    )
    gradient_checkpointing: bool = Field(default=False, description="of the LLM: less memory, more time")
    precision: Literal["no", "bf16", "fp16"] = "no"
    target: Literal["description", "labels", "mixed"] = "description"
    modality_dropout: float = Field(
        default=0.0,
        ge=0,
        lt=1,
        description="chance that a clip is trained on without one of its modalities or words; its answer stays",
    )
    checkpoint_every: int | None = Field(default=500, ge=1, description="steps between two checkpoints; null: none")
    keep_checkpoints: int = Field(default=2, ge=1, description="how many of the newest are kept")
    validation_share: float = Field(default=0.0, ge=0, lt=1, description="share of the clips that is held out")
    validate_every: int = Field(default=500, ge=1, description="steps between two measurements of the held-out loss")
    patience: int | None = Field(
        default=None, ge=1, description="stop after this many measurements without a lower held-out loss"
    )
    trackers: list[Literal["tensorboard", "wandb", "mlflow"]] = Field(
        default_factory=list, description="where the log goes besides log.jsonl"
    )

    @field_validator("precision", mode="before")
    @classmethod
    def _plain_no(cls, value: object) -> object:
        # YAML reads a plain `no` as false.
        return "no" if value is False else value

    @model_validator(mode="after")
    def _steps_and_rates_fit(self) -> TrainingConfig:
        if self.warmup_steps >= self.steps:
            raise ValueError(f"warmup_steps ({self.warmup_steps}) must be below steps ({self.steps})")
        if self.min_lr > self.lr:
            raise ValueError(f"min_lr ({self.min_lr}) must not exceed lr ({self.lr})")
        return self


class PipelineConfig(Section):
    """A whole pipeline: what reads the clip, what fuses, what writes, how it is prompted and trained."""

    plugins: list[str] = Field(default_factory=list)
    seed: int = Field(default=0, ge=0, lt=2**32)
    encoders: dict[NodeName, EncoderNode] = Field(min_length=1)
    fusers: dict[NodeName, FuserNode] = Field(default_factory=dict)
    llm: LLMNode
    presence: PresenceConfig = PresenceConfig()
    prompt: PromptConfig
    generation: GenerationConfig = GenerationConfig()
    training: TrainingConfig = TrainingConfig()
    _source: _Attached = PrivateAttr(default_factory=_Attached)

    @property
    def source(self) -> Source | None:
        """The file that the config was read from, for the locations in messages; None for a config made in Python."""
        source: Source | None = self._source.value
        return source

    def location(self, path: tuple[str | int, ...]) -> str:
        """The location of a setting for messages: file and line where they are known, else its YAML path."""
        return self.source.location(path) if self.source else ".".join(map(str, path))

    def with_source(self, source: Source) -> Self:
        """The config, whose messages name locations in `source` from now on."""
        self._source = _Attached(source)
        return self
