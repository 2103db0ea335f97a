"""`causal-lm`: a transformers decoder that continues embeddings, with optional LoRA by PEFT."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from affectgpt.core.answer_losses import losses_of_logits
from affectgpt.core.config import GenerationConfig
from affectgpt.core.final_answer import is_reasoning_token
from affectgpt.core.token_spec import TokenSpec
from affectgpt.plugins.encoders.loading import silence_transformers, without_remote_code
from affectgpt.plugins.hub_reach import check_hub
from affectgpt.plugins.known_models import find_model
from affectgpt.plugins.llms.causal_generation import beam_search, decode_steps
from affectgpt.plugins.llms.causal_lm_config import USUAL_TARGETS, CausalLMConfig
from affectgpt.plugins.llms.chunked_losses import ChunkedLosses
from affectgpt.plugins.llms.tokenizer import byte_tokenizer, read_tokenizer
from affectgpt.registry.errors import CheckpointError, InterfaceError, join_names
from affectgpt.registry.messages import one_line, reason


class CausalLM(nn.Module):
    """A language model behind the LLM contract; its embeddings are `[T, D]` with D = `output.dim`.

    `init: random` draws the weights from torch's current seed. Raises CheckpointError when the weights or the
    tokenizer cannot be read, InterfaceError when the tokenizer has more ids than the model has embeddings.
    """

    def __init__(self, config: CausalLMConfig, output: TokenSpec) -> None:
        super().__init__()
        self.pretrained, self.begin_marker = config.init == "pretrained", config.begin_marker
        self.tokenizer = _tokenizer(config)
        self._removed_ids = _ids_to_remove(self.tokenizer)
        model = _pretrained(config) if self.pretrained else _random(config, len(self.tokenizer))
        rows = model.get_input_embeddings().weight.shape[0]
        needed = max(self.tokenizer.get_vocab().values()) + 1
        if not self.pretrained and needed > rows:
            raise InterfaceError(
                "the tokenizer does not fit the model",
                found=f"{needed} token ids",
                expected=f"at most {rows}",
                hint="raise architecture.vocab_size",
                path=("architecture", "vocab_size") if config.architecture else ("tokenizer",),
            )
        self.rows = rows
        self._model_end_ids = _end_ids(model) if self.pretrained else []
        # transformers takes missing arguments from here: the model's own sampling settings must not apply silently.
        model.generation_config = type(model.generation_config)()
        model.requires_grad_(not config.frozen)
        self.model = model
        self._losses = ChunkedLosses(model.get_output_embeddings, self.logits)
        # Not in the module tree: PEFT puts its adapters into `model` itself, and no parameter may appear twice.
        object.__setattr__(self, "_peft", None)
        # A subclass is not whole yet.
        if type(self) is CausalLM and config.architecture is not None and config.layers != 0:
            self._check_runs()
        if config.lora is not None:
            from peft import LoraConfig, get_peft_model

            lora = config.lora
            settings = LoraConfig(
                r=lora.r,
                lora_alpha=lora.alpha,
                lora_dropout=lora.dropout,
                target_modules=list(lora.targets),
                bias="none",
                task_type="CAUSAL_LM",
            )
            try:
                with _ignore_renames():
                    peft = get_peft_model(model, settings)
            except ValueError as error:
                raise InterfaceError(
                    "the adapter cannot be put on this model", found=reason(error), path=("lora", "targets")
                ) from error
            _check_reached(peft, config)
            object.__setattr__(self, "_peft", peft)

    def _check_runs(self) -> None:
        """Raise InterfaceError when an architecture gives a model that fails on a few tokens, or is no decoder."""
        weights = next(self.model.parameters())
        context = getattr(self.model.config.get_text_config(decoder=True), "max_position_embeddings", None)
        # Without memory nothing can be computed, and not every operation exists in float16 on a CPU.
        if weights.is_meta or weights.dtype == torch.float16 or (context or 8) < 8:
            return
        was_training, reason = self.model.training, ""
        self.model.eval()
        try:
            with torch.no_grad(), torch.random.fork_rng(devices=[]):
                rows = torch.stack([self.embed(torch.tensor([1, 2, 3, last])) for last in (4, 5)])
                mask = torch.ones(2, 4, dtype=torch.bool)
                logits = self.logits(rows, mask)
                self.generate(rows, mask, GenerationConfig(max_new_tokens=2))
            if not torch.isfinite(logits).all():
                reason = "its answers are no finite numbers"
            elif (logits[0, :3] - logits[1, :3]).abs().max() > 0.01 * logits.abs().max():
                reason = "its tokens read those after them: it is no decoder"
        except Exception as error:
            reason = one_line(error)
        finally:
            self.model.train(was_training)
        if reason:
            raise InterfaceError(
                "the architecture gives a model that cannot continue a text",
                found=reason,
                expected="the values of a transformers config.json",
                path=("architecture",),
            )

    def encode(self, text: str, *, special: bool) -> list[int]:
        """Token ids of `text`; with `special=False` a marker such as `<|im_end|>` is read as plain text."""
        # Bytes of a command line that are not text become the replacement mark.
        text = text.encode("utf-8", "replace").decode("utf-8")
        ids: list[int] = self.tokenizer(text, add_special_tokens=False, split_special_tokens=not special)["input_ids"]
        if ids and max(ids) >= self.rows:
            raise InterfaceError(
                "the tokenizer gives an id that the model has no embedding for",
                found=f"{max(ids)} in {text[:40]!r}",
                expected=f"below {self.rows}",
            )
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        """The text of `ids`, markers removed, but for those around a model's reasoning, which is no answer."""
        if self._removed_ids is None:
            return str(self.tokenizer.decode(list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False))
        shown_ids = [token for token in ids if token not in self._removed_ids]
        return str(self.tokenizer.decode(shown_ids, skip_special_tokens=False, clean_up_tokenization_spaces=False))

    def start_ids(self) -> list[int]:
        """The marker with which the tokenizer begins every text, such as Gemma's `<bos>`; [] when it has none."""
        if not self.begin_marker:
            return []
        plain = self.encode("a", special=False)
        ids: list[int] = self.tokenizer("a", add_special_tokens=True)["input_ids"]
        starts = range(len(ids) - len(plain) + 1)
        return ids[: next((at for at in starts if ids[at : at + len(plain)] == plain), 0)]

    def end_ids(self) -> list[int]:
        """The tokenizer's end marker, then others that the model's own generation settings name."""
        first = int(self.tokenizer.eos_token_id)
        return [first, *(token for token in self._model_end_ids if token != first and token < self.rows)]

    def embed(self, ids: Tensor) -> Tensor:
        """Ids `[T]` -> embeddings `[T, D]`."""
        embedded: Tensor = self.model.get_input_embeddings()(ids)
        return embedded

    def logits(self, embeds: Tensor, mask: Tensor) -> Tensor:
        """Embeddings `[B, T, D]`, mask `[B, T]` bool -> logits `[B, T, V]`; positions count real tokens only."""
        positions = (mask.long().cumsum(dim=1) - 1).clamp(min=0)
        model: Any = self._peft if self._peft is not None else self.model
        # Attention leaves padding out by a weight of 0, and 0 times NaN is NaN.
        embeds = embeds.masked_fill(~mask[..., None], 0.0)
        out: Tensor = model(
            inputs_embeds=embeds, attention_mask=mask.long(), position_ids=positions, use_cache=False
        ).logits
        return out

    def token_losses(self, embeds: Tensor, mask: Tensor, targets: Tensor) -> Tensor:
        """The losses `[N]` in nats of the `targets [B, T]` that are not -100, in reading order.

        `targets[b, t]` is the id of position t + 1. No other position has logits.
        """
        if type(self).logits is not CausalLM.logits:
            return losses_of_logits(self.logits(embeds, mask), targets)
        return self._losses(embeds, mask, targets)

    def generate(
        self, embeds: Tensor, mask: Tensor, settings: GenerationConfig, *, seeds: Sequence[int] | None = None
    ) -> list[list[int]]:
        """New ids per row of left-padded `embeds`, cut before the end marker; a row is done with a stop text."""
        if settings.beams > 1:
            return beam_search(self.model, embeds, mask, settings, ends=self.end_ids(), decode=self.decode, seeds=seeds)
        rows: list[list[int]] = [[] for _ in embeds]
        for step in self.stream(embeds, mask, settings, seeds=seeds):
            for row, token in zip(rows, step, strict=True):
                if token is not None:
                    row.append(token)
        return rows

    def stream(
        self, embeds: Tensor, mask: Tensor, settings: GenerationConfig, *, seeds: Sequence[int] | None = None
    ) -> Iterator[list[int | None]]:
        """The next id of each row, step by step; None for a row that is done. Not with beams."""
        return decode_steps(self.model, embeds, mask, settings, ends=self.end_ids(), decode=self.decode, seeds=seeds)

    def checkpoint_gradients(self) -> None:
        """In training, store only each layer's input and recompute the other activations in the backward pass."""
        with _ignore_renames():
            self.model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})

    def adapter(self) -> Any:
        """The PEFT model, or None without LoRA."""
        return self._peft

    def save_assets(self, folder: Path) -> dict[str, str]:
        """Write the tokenizer to `folder/tokenizer`; the config then names it relative to the saved model."""
        self.tokenizer.save_pretrained(str(folder / "tokenizer"))
        return {"tokenizer": "./tokenizer"}


def _check_reached(peft: Any, config: CausalLMConfig) -> None:
    """Raise InterfaceError for targets without a layer: the plan knows the names of a family, this the model's own."""
    assert config.lora is not None
    names = {f".{name}" for name in peft.base_model.targeted_module_names}
    for index, target in enumerate(config.lora.targets):
        if target not in USUAL_TARGETS and not any(name.endswith(f".{target}") for name in names):
            raise InterfaceError(
                f"this model has no layer {target!r} for an adapter",
                found=f"layers of {join_names({name.rpartition('.')[2] for name in names})} took one",
                path=("lora", "targets", index),
            )


@contextmanager
def _ignore_renames() -> Iterator[None]:
    # transformers 5 warns that these are renamed in version 6.
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`(is_)?gradient_checkpointing", FutureWarning)
        yield


def _end_ids(model: Any) -> list[int]:
    ids_of_model = getattr(model.generation_config, "eos_token_id", None)
    return [
        token
        for token in (ids_of_model if isinstance(ids_of_model, list) else [ids_of_model])
        if isinstance(token, int)
    ]


def _ids_to_remove(tokenizer: Any) -> frozenset[int] | None:
    """The markers that [CausalLM.decode][] removes; None for all of them, where none is about reasoning."""
    markers = {token: added.content for token, added in tokenizer.added_tokens_decoder.items() if added.special}
    removed = frozenset(token for token, content in markers.items() if not is_reasoning_token(content))
    return removed if len(removed) < len(markers) else None


def _tokenizer(config: CausalLMConfig) -> Any:
    if config.tokenizer is not None:
        return read_tokenizer(str(find_model(config.tokenizer) or config.tokenizer))
    if config.model is not None and (config.init == "pretrained" or find_model(config.model)):
        return read_tokenizer(str(find_model(config.model) or config.model))
    return byte_tokenizer()


def _random(config: CausalLMConfig, vocabulary: int) -> Any:
    from transformers import AutoConfig, AutoModelForCausalLM

    family: Any = AutoModelForCausalLM  # has no annotations
    values = {key: value for key, value in config.values().items() if key != "architectures"}
    values.setdefault("vocab_size", vocabulary)
    kind = values.pop("model_type")
    try:
        architecture = AutoConfig.for_model(kind, **values)
        with without_remote_code():
            return family.from_config(architecture, dtype=getattr(torch, config.dtype), trust_remote_code=False)
    except Exception as error:
        raise InterfaceError(
            "the architecture cannot be built",
            where=config.model or "",
            found=one_line(error),
            expected="the values of a transformers config.json",
            path=("architecture",) if config.architecture else ("model",),
        ) from error


def _pretrained(config: CausalLMConfig) -> Any:
    from transformers import AutoModelForCausalLM

    family: Any = AutoModelForCausalLM  # the annotations do not know output_loading_info
    folder = find_model(str(config.model))
    name = str(folder or config.model)
    if folder is None:
        check_hub(name)
    fewer = {} if config.layers is None else {"num_hidden_layers": config.layers}
    try:
        with silence_transformers(), without_remote_code():
            model, report = family.from_pretrained(
                name,
                dtype=getattr(torch, config.dtype),
                use_safetensors=True,
                output_loading_info=True,
                trust_remote_code=False,
                **fewer,
            )
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise CheckpointError(
            "the language model cannot be read",
            where=name,
            found=reason(error),
            expected="a folder with config.json and safetensors weights, or a model name that can be reached",
            hint="put the folder in place, or set AFFECTGPT_MODELS to the folder that holds it",
        ) from error
    missing = sorted(report["missing_keys"])
    if missing:
        raise CheckpointError(
            f"{len(missing)} weights of the language model are missing", where=name, found=", ".join(missing[:8])
        )
    return model
