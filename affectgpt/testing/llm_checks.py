"""The checks of a language model, one function each. A check raises AssertionError with what is wrong."""

from __future__ import annotations

import inspect
import math
import tempfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from affectgpt.core.answer_losses import NO_TARGET, losses_of_logits
from affectgpt.core.config import GenerationConfig
from affectgpt.core.stop_text import cut_at_stop
from affectgpt.testing.cases import ModuleCase
from affectgpt.testing.kind_checks import KindChecks, by_name
from affectgpt.testing.round_trips import config_round_trip, state_round_trip

TEXT = "They smile, but 它 sounds angry.\n"


def embedded(llm: Any, text: str = TEXT) -> Tensor:
    """The text's embeddings `[T, D]`."""
    embeds: Tensor = llm.embed(torch.tensor(llm.encode(text, special=False)))
    return embeds.detach()


def padded(rows: list[Tensor], side: str, rubbish: float = 0.0) -> tuple[Tensor, Tensor]:
    """Rows `[T_i, D]` -> `[B, T, D]` and the mask `[B, T]`, padded with `rubbish` on one side."""
    longest = max(len(row) for row in rows)
    embeds = rows[0].new_full((len(rows), longest, rows[0].shape[1]), rubbish)
    mask = torch.zeros(embeds.shape[:2], dtype=torch.bool)
    for index, row in enumerate(rows):
        positions = slice(longest - len(row), longest) if side == "left" else slice(0, len(row))
        embeds[index, positions], mask[index, positions] = row, True
    return embeds, mask


def declared_interface(case: ModuleCase) -> None:
    """Embeddings are as wide as `infer` declares; logits go over every token that `encode` may give."""
    declared, llm = case.output_spec(), case.build()
    assert declared.modality == "text", f"infer() says modality {declared.modality!r}; expected 'text'"
    embeds = embedded(llm)
    assert embeds.ndim == 2 and embeds.shape[1] == declared.dim, (
        f"embed() gives {list(embeds.shape)}; infer() declares a width of {declared.dim}"
    )
    with torch.no_grad():
        logits = llm.logits(*padded([embeds, embeds[:2]], "right"))
    assert logits.ndim == 3 and logits.shape[:2] == (2, len(embeds)), f"logits() gives {list(logits.shape)}"
    highest = max([*llm.encode(TEXT, special=True), *llm.end_ids()])
    assert logits.shape[2] > highest, f"logits() has {logits.shape[2]} tokens; encode() and end_ids() go to {highest}"


def declared_parameters(case: ModuleCase) -> None:
    """`parameters` and `adapter_parameters` of the config count the module's weights, or say None."""
    config, count = case.config(), sum(each.numel() for each in case.build().parameters())
    declared, adapter = config.parameters(), config.adapter_parameters()
    assert declared is None or adapter is None or declared + adapter == count, (
        f"parameters() and adapter_parameters() say {declared:,} + {adapter:,}; the module has {count:,}"
    )


def text_round_trip(case: ModuleCase) -> None:
    """`decode` gives back what `encode` was given."""
    llm = case.build()
    decoded = llm.decode(llm.encode(TEXT, special=False))
    assert decoded.strip() == TEXT.strip(), f"decode(encode(text)) is {decoded!r}; it was {TEXT!r}"


def end_marker(case: ModuleCase) -> None:
    """`end_ids` names the end; no text that a user writes holds it, and `decode` removes it."""
    llm = case.build()
    ends = llm.end_ids()
    assert ends and all(isinstance(each, int) for each in ends), f"end_ids() gives {ends!r}; expected at least one id"
    names = [getattr(getattr(llm, "tokenizer", None), "eos_token", None), "<|im_end|>", "</s>", "<|endoftext|>"]
    for name in filter(None, names):
        ids = llm.encode(f"a {name} b", special=False)
        assert not set(ends) & set(ids), f"encode({name!r}, special=False) gives an end marker; read it as plain text"
    ids = llm.encode("well", special=False)
    assert llm.decode([*ids, ends[0]]).strip() == "well", "decode() shows the end marker"


def padding_side(case: ModuleCase) -> None:
    """Padding, on either side and whatever it holds, changes no real position's logits."""
    llm = case.build()
    long, short = embedded(llm), embedded(llm, "They smile")
    with torch.no_grad():
        single = llm.logits(*padded([short], "right"))[0]
        for side in ("left", "right"):
            for rubbish in (0.0, 1e3, math.nan):
                embeds, mask = padded([long, short], side, rubbish)
                off = (llm.logits(embeds, mask)[1][mask[1]] - single).abs().max()
                assert off <= 2e-2 if single.dtype != torch.float32 else off <= 1e-3, (
                    f"padding on the {side} that holds {rubbish} moves logits by {off:.2g}"
                )


def greedy_generation(case: ModuleCase) -> None:
    """Greedy answers are the same twice, alone and in a batch, within the limit, without the end marker."""
    llm = case.build()
    settings = GenerationConfig(max_new_tokens=6)
    long, short = embedded(llm), embedded(llm, "They smile")
    with torch.no_grad():
        together = llm.generate(*padded([long, short], "left"), settings)
        repeated = llm.generate(*padded([long, short], "left"), settings)
        single = [llm.generate(*padded([row], "left"), settings)[0] for row in (long, short)]
        beside_rubbish = llm.generate(*padded([long, short], "left", math.nan), settings)
    assert len(together) == 2, f"generate() gives {len(together)} rows for 2 prompts"
    assert together == repeated, f"two greedy runs differ: {together} and {repeated}"
    assert together == single, f"in a batch: {together}; alone: {single}"
    assert together == beside_rubbish, f"with NaN in the padding: {beside_rubbish}; with 0: {together}"
    for row in together:
        assert all(isinstance(each, int) for each in row) and len(row) <= 6, f"{row}: expected at most 6 ids"
        assert not set(row) & set(llm.end_ids()), f"{row} holds an end marker; expected it to be removed"


def stop_texts(case: ModuleCase) -> None:
    """With a stop text, an answer is the same up to it; whether the row then ends is the model's choice."""
    llm = case.build()
    prompts = padded([embedded(llm), embedded(llm, "They smile")], "left")
    with torch.no_grad():
        texts = [llm.decode(row) for row in llm.generate(*prompts, GenerationConfig(max_new_tokens=12))]
    for stop in dict.fromkeys(text[at : at + 2] for text in texts for at in (1, len(text) // 2)):
        if not stop:
            continue
        with torch.no_grad():
            rows = llm.generate(*prompts, GenerationConfig(max_new_tokens=12, stop=[stop]))
        for row, text in zip(rows, texts, strict=True):
            actual, expected = cut_at_stop(llm.decode(row), [stop]), cut_at_stop(text, [stop])
            assert actual == expected, f"before {stop!r} stands {actual!r}; without a stop text it is {expected!r}"


def sampled_generation(case: ModuleCase) -> None:
    """What is sampled comes from the row's seed alone; without the argument `seeds`, from torch's."""
    llm = case.build()
    settings = GenerationConfig(max_new_tokens=6, sample=True, temperature=3.0)
    rows = [embedded(llm), embedded(llm, "They smile")]

    def sample(rows: list[Tensor], seeds: list[int]) -> list[list[int]]:
        options = {"seeds": seeds} if "seeds" in inspect.signature(llm.generate).parameters else {}
        torch.manual_seed(0 if not options else int(torch.randint(1000, ())))
        with torch.no_grad():
            ids: list[list[int]] = llm.generate(*padded(rows, "left"), settings, **options)
        return ids

    together, repeated = sample(rows, [3, 5]), sample(rows, [3, 5])
    assert together == repeated, f"the same seeds give {together} and {repeated}"
    if "seeds" in inspect.signature(llm.generate).parameters:
        single = [sample([row], [seed])[0] for row, seed in zip(rows, (3, 5), strict=True)]
        assert together == single, f"in a batch: {together}; alone with the same seeds: {single}"
        further = [sample(rows, [seed, seed]) for seed in range(8)]
        assert any(each != together for each in further), "ten different seeds draw the same"


def streaming(case: ModuleCase) -> None:
    """`stream`, where there is one, gives the answers of `generate`, and None once a row is done."""
    llm = case.build()
    if not hasattr(llm, "stream"):
        return
    settings = GenerationConfig(max_new_tokens=6)
    prompts = padded([embedded(llm), embedded(llm, "They smile")], "left")
    with torch.no_grad():
        texts = [llm.decode(row) for row in llm.generate(*prompts, settings)]
        steps = list(llm.stream(*prompts, settings))
    for index, text in enumerate(texts):
        row = [step[index] for step in steps]
        ids = [each for each in row if each is not None]
        assert row[: len(ids)] == ids, f"row {index} goes on after None: {row}"
        assert llm.decode(ids) == text, f"stream() gives {llm.decode(ids)!r}; generate() gives {text!r}"


def answer_losses(case: ModuleCase) -> None:
    """`token_losses`, where there is one, gives the cross-entropy of the logits, with their gradients."""
    llm = case.build()
    if not hasattr(llm, "token_losses"):
        return
    embeds, mask = padded([embedded(llm), embedded(llm, "They smile")], "right")
    ids = llm.encode(TEXT, special=False)
    targets = torch.full(mask.shape, NO_TARGET)
    targets[0, 1 : len(ids) - 1], targets[1, 2] = torch.tensor(ids[2:]), ids[0]
    results = []
    for losses_of in (llm.token_losses, lambda *prompts, targets: losses_of_logits(llm.logits(*prompts), targets)):
        prompts = embeds.clone().requires_grad_()
        losses = losses_of(prompts, mask, targets=targets)
        losses.sum().backward()
        results.append((losses.detach(), prompts.grad))
    for what, ours, expected in zip(("losses", "gradients of the prompt"), *results, strict=True):
        assert ours.shape == expected.shape, f"the {what} of token_losses() have the shape {list(ours.shape)}"
        off = (ours - expected).abs().max()
        assert off <= 1e-4 * expected.abs().max(), f"the {what} of token_losses() are off by {off:.2g}"


def finite_gradients(case: ModuleCase) -> None:
    """The loss has finite gradients for the embeddings it is given and for all that is trained."""
    llm = case.build().train()
    embeds, mask = padded([embedded(llm), embedded(llm, "They smile")], "right")
    embeds = embeds.clone().requires_grad_()
    logits = llm.logits(embeds, mask)
    functional.cross_entropy(logits[mask].float(), torch.zeros(int(mask.sum()), dtype=torch.long)).backward()
    assert embeds.grad is not None and embeds.grad[mask].any(), "the prompt's embeddings get no gradient"
    assert embeds.grad.isfinite().all(), "the gradient of the prompt's embeddings is not finite"
    for name, parameter in llm.named_parameters():
        assert parameter.grad is None or parameter.grad.isfinite().all(), f"the gradient of {name!r} is not finite"


def state_dict(case: ModuleCase) -> None:
    """A state dict loaded into another module of the same config gives the same logits."""
    first, second = case.build(seed=0), case.build(seed=1)
    embeds, mask = padded([embedded(first)], "right")
    state_round_trip(first, second, lambda module: module.logits(embeds, mask))


def config_json(case: ModuleCase) -> None:
    """The config survives JSON, also with what `save_assets` changes in it."""
    config, llm = case.config(), case.build()
    config_round_trip(config)
    with tempfile.TemporaryDirectory() as folder:
        changed = llm.save_assets(Path(folder))
        for name, value in changed.items():
            assert name in type(config).model_fields, f"save_assets() changes {name!r}, which is no option"
            assert (Path(folder) / value).exists(), f"save_assets() says {name}: {value!r} and wrote no such file"


CHECKS = by_name(
    declared_interface,
    declared_parameters,
    text_round_trip,
    end_marker,
    padding_side,
    greedy_generation,
    stop_texts,
    sampled_generation,
    streaming,
    answer_losses,
    finite_gradients,
    state_dict,
    config_json,
)
"""Every check of a language model by its name."""
KIND_CHECKS = KindChecks(
    CHECKS,
    cases=lambda catalog, name, options, variants: [ModuleCase(catalog, "llm", name, options)],
)
