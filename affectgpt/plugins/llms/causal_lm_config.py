"""Options and interface of the language model `causal-lm`. No torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import ConfigDict, Field, field_validator, model_validator

from affectgpt.core.contracts import LLMConfig, ModelPath, Settings
from affectgpt.core.token_spec import NO_BOUND, TokenSpec
from affectgpt.plugins.known_models import find_model, model_config
from affectgpt.plugins.llms.architecture_rules import check_architecture
from affectgpt.plugins.llms.decoder_facts import Decoder
from affectgpt.plugins.llms.tokenizer_files import BYTE_IDS, END, largest_id, turn_markers
from affectgpt.registry.errors import InterfaceError, Problem, join_names
from affectgpt.registry.messages import did_you_mean, is_panic, nearest, short_repr
from affectgpt.registry.spec import PluginSpec

SPEC = PluginSpec(
    kind="llm",
    name="causal-lm",
    config=f"{__name__}:CausalLMConfig",
    target="affectgpt.plugins.llms.causal_lm:CausalLM",
    summary="any decoder of transformers, with LoRA by PEFT",
    citation="LoRA: Hu et al., 2021, arXiv:2106.09685",
)

_LLAMA_LIKE = ("qwen2", "llama", "mistral")
USUAL_TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


class LoRA(Settings):
    """Low-rank adapters by PEFT (LoRA, arXiv 2106.09685) on `targets` of every layer; scale is alpha / r."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    r: int = Field(default=16, ge=1)
    alpha: int = Field(default=32, ge=1)
    dropout: float = Field(default=0.05, ge=0, lt=1)
    targets: tuple[str, ...] = Field(default=USUAL_TARGETS, min_length=1)


class CausalLMConfig(LLMConfig, defer_build=True):
    """`causal-lm`: any decoder that transformers can load as AutoModelForCausalLM."""

    model: ModelPath | None = Field(default=None, description="a model's name or folder")
    init: Literal["pretrained", "random"] = Field(
        default="pretrained", description='"random" builds the architecture without reading weights'
    )
    architecture: dict[str, Any] | None = Field(
        default=None, description="with init: random and no model: the values of a config.json, model_type included"
    )
    tokenizer: ModelPath | None = Field(
        default=None,
        description="a tokenizer's folder; default: the model's, or bytes when there is none and init: random",
    )
    begin_marker: bool = Field(
        default=True, description="put the marker with which the tokenizer begins a text (<bos>) before every prompt"
    )
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    frozen: bool = Field(default=True, description="train the adapter only, not the model's own weights")
    lora: LoRA | None = None
    layers: int | None = Field(
        default=None, ge=0, description="keep only the first so many decoder layers; 0: embeddings, for prompts only"
    )

    @field_validator("architecture")
    @classmethod
    def _model_type(cls, value: dict[str, Any] | None) -> dict[str, Any] | None:
        if value is not None and not isinstance(value.get("model_type"), str):
            near = nearest("model_type", map(str, value)) if "model_type" not in value else []
            misspelt = f": `{near[0]}` is no key" if near else ""
            wrong = f": {short_repr(value['model_type'])} is no name" if "model_type" in value else misspelt
            raise ValueError(f"`architecture` must name its `model_type`, for example qwen2{wrong}")
        return value

    @model_validator(mode="after")
    def _one_source(self) -> CausalLMConfig:
        if (self.model is None) == (self.architecture is None):
            raise ValueError("give either `model` (a name or folder) or `architecture` (values of a config.json)")
        if self.architecture is not None and self.init != "random":
            raise ValueError("`architecture` holds no weights: it needs `init: random`")
        if self.lora is not None and not self.frozen:
            raise ValueError("`lora` trains an adapter on frozen weights: set `frozen: true` or leave `lora` out")
        return self

    def values(self) -> dict[str, Any]:
        """The config.json of the model. Raises InterfaceError when it is neither on disk nor known."""
        values = self.architecture if self.architecture is not None else model_config(str(self.model))
        if self.layers is None:
            return values
        *section, key = Decoder(values, "").key("num_hidden_layers")
        fewer = {**(values[section[0]] if section else values), key: self.layers}
        if isinstance(fewer.get("layer_types"), list):
            fewer["layer_types"] = fewer["layer_types"][: self.layers]
        return {**values, section[0]: fewer} if section else fewer

    def decoder(self) -> Decoder:
        """The sizes of the model. Raises InterfaceError as [values][]."""
        return Decoder(self.values(), self.model or "", ("architecture" if self.architecture else "model",))

    def infer(self) -> TokenSpec:
        if self.architecture is not None:
            check_architecture(self.architecture)
        decoder = self.decoder()
        decoder.check_embeddings()
        self._check_targets(decoder)
        self._check_vocabulary()
        context = decoder.context()
        return TokenSpec(modality="text", dim=decoder.width(), tokens=context or NO_BOUND, exact=False)

    def _check_vocabulary(self) -> None:
        """Raise InterfaceError when the tokenizer has more ids than the architecture has embeddings."""
        rows = (self.architecture or {}).get("vocab_size")
        if self.architecture is None or rows is None:
            return
        file = self.tokenizer_file()
        needed = largest_id(file) + 1 if file is not None else BYTE_IDS if self.tokenizer is None else 0
        if needed > rows:
            raise InterfaceError(
                "the tokenizer does not fit the model",
                found=f"{needed} token ids{'' if file else ': bytes and an end marker'}",
                expected=f"at most {rows}",
                hint="raise architecture.vocab_size",
                path=("architecture", "vocab_size"),
            )

    def _check_targets(self, decoder: Decoder) -> None:
        """Raise InterfaceError for LoRA targets that no layer of the decoder can have.

        The usual names are taken where there are layers of that name, as long as one of them is there.
        """
        absent = self._absent_targets(decoder)
        if self.lora is None or not absent:
            return
        wrong = (
            [name for name in absent if name not in USUAL_TARGETS] if len(absent) < len(self.lora.targets) else absent
        )
        problems = [
            Problem(
                f"{decoder.kind} has no layer {name!r} for an adapter",
                expected=f"one of {join_names(decoder.targets)}",
                hint=did_you_mean(name, decoder.targets),
                path=("lora", "targets", self.lora.targets.index(name)),
            )
            for name in dict.fromkeys(wrong)
        ]
        if problems:
            raise InterfaceError.from_problems(problems)

    def _absent_targets(self, decoder: Decoder) -> list[str]:
        if self.lora is None or not decoder.targets:
            return []
        return [name for name in self.lora.targets if name.rpartition(".")[2] not in decoder.targets]

    def notes(self) -> list[str]:
        decoder = self.decoder()
        absent, limit = self._absent_targets(decoder), decoder.rotation_limit()
        notes = (
            [f"llm.lora: {decoder.kind} has no layers {', '.join(absent)}; there are {join_names(decoder.targets)}"]
            if absent
            else []
        )
        if limit is not None:
            notes.append(
                f"llm: a clip whose prompt and answer stay within {limit} tokens gets another text beside a longer one "
                "(long RoPE turns a whole batch by its longest row): describe with batch_size 1 for texts that depend "
                "on nothing else"
            )
        return notes

    def turn_markers(self) -> list[str] | None:
        name = self.tokenizer or self.model
        folder = find_model(name) if name is not None else None
        return turn_markers(folder) if folder is not None else None

    def tokenizer_file(self) -> Path | None:
        """The `tokenizer.json` that is read; None where there is none on this machine, and for bytes."""
        name = self.tokenizer or self.model
        folder = find_model(name) if name is not None else None
        file = folder / "tokenizer.json" if folder is not None else None
        return file if file is not None and file.is_file() else None

    def count_tokens(self, text: str, *, special: bool) -> int | None:
        file = self.tokenizer_file()
        if file is None:
            # Without a tokenizer of its own, a random model reads bytes, and its one marker.
            text = text.replace(END, " ") if special else text
            return None if self.tokenizer or self.model else len(text.encode("utf-8", "replace"))
        from tokenizers import Tokenizer

        try:
            tokenizer = Tokenizer.from_file(str(file))
            tokenizer.encode_special_tokens = not special
            return len(tokenizer.encode(text, add_special_tokens=False).ids)
        except BaseException as error:
            if not isinstance(error, Exception) and not is_panic(error):
                raise
            return None

    def parameters(self) -> int | None:
        try:
            return _decoder_parameters(self.values())
        except (KeyError, TypeError):
            return None

    def for_prompts(self) -> CausalLMConfig:
        # An adapter of anything but the layers could change the embeddings: it is kept, with all that it is on.
        if self.lora is not None and not set(self.lora.targets) <= set(USUAL_TARGETS):
            return self
        return self.model_copy(update={"layers": 0, "lora": None})

    def adapter_parameters(self) -> int | None:
        if self.lora is None:
            return 0
        try:
            shapes = _shapes(self.values())
            sizes = [shapes[target] for target in self.lora.targets]
            widths = sum(inputs + outputs for inputs, outputs in sizes)
            return int(self.values()["num_hidden_layers"]) * self.lora.r * widths
        except (KeyError, TypeError):
            return None


def _shapes(values: dict[str, Any]) -> dict[str, tuple[int, int]]:
    """Width in and out of each linear layer of a Llama-like decoder layer. Raises KeyError for another kind."""
    if values["model_type"] not in _LLAMA_LIKE:
        raise KeyError(values["model_type"])
    # Biases, and the default of a missing num_key_value_heads, differ by kind and version: better unknown than wrong.
    if values.get("attention_bias") or values.get("mlp_bias"):
        raise KeyError("attention_bias")
    hidden, inner, heads = values["hidden_size"], values["intermediate_size"], values["num_attention_heads"]
    head = values.get("head_dim") or hidden // heads
    query, key = heads * head, values["num_key_value_heads"] * head
    return {
        "q_proj": (hidden, query),
        "k_proj": (hidden, key),
        "v_proj": (hidden, key),
        "o_proj": (query, hidden),
        "gate_proj": (hidden, inner),
        "up_proj": (hidden, inner),
        "down_proj": (inner, hidden),
    }


def _decoder_parameters(values: dict[str, Any]) -> int:
    shapes, hidden = _shapes(values), values["hidden_size"]
    biases = sum(shapes[name][1] for name in ("q_proj", "k_proj", "v_proj")) if values["model_type"] == "qwen2" else 0
    layer = sum(inputs * outputs for inputs, outputs in shapes.values()) + biases + 2 * hidden
    embeddings = values["vocab_size"] * hidden * (1 if values.get("tie_word_embeddings") else 2)
    return int(values["num_hidden_layers"] * layer + embeddings + hidden)
