"""The checks of an encoder, one function each. A check raises AssertionError with what is wrong."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from affectgpt.core.declared_clip import DeclaredClip
from affectgpt.core.tokens import MediaBatch, Tokens, stack
from affectgpt.testing.cases import ModuleCase, encoder_case
from affectgpt.testing.kind_checks import KindChecks, by_name
from affectgpt.testing.noise_clip import NoiseClip
from affectgpt.testing.round_trips import config_round_trip, state_round_trip

SHORT = NoiseClip(1, pictures=1, seconds=0.6, subtitle="Yes.")
LONG = NoiseClip(2, pictures=70, seconds=12.0, subtitle="I never said that, and I would not say it now. " * 4)
SILENT, BLACK = NoiseClip(pictures=0, seconds=0.0), NoiseClip(pictures=2, seconds=1.0, level=0.0, subtitle="...")


def batch_of(encoder: Any, *clips: NoiseClip) -> MediaBatch:
    """The clips as the encoder prepares them, padded to one length."""
    batch = stack([encoder.prepare(clip) for clip in clips])
    assert batch is not None, "prepare() gives None for a clip that has the stream"
    return batch


def encode(encoder: Any, batch: MediaBatch) -> Tokens:
    """`encoder(batch)` from a fixed seed and without gradients."""
    torch.manual_seed(3)
    with torch.no_grad():
        tokens: Tokens = encoder(batch)
    return tokens


def declared_interface(case: ModuleCase) -> None:
    """A long clip gives as many tokens as `infer` declares, at most, of that width, in float32, with their times."""
    declared, encoder = case.output_spec(), case.build()
    for clips in ((SHORT,), (LONG,), (SHORT, LONG, SILENT)):
        tokens = encode(encoder, batch_of(encoder, *clips))
        count = tokens.values.shape[1]
        actual = f"{list(tokens.values.shape)} {tokens.values.dtype}"
        expected = [len(clips), declared.tokens if declared.exact else count, declared.dim]
        assert list(tokens.values.shape) == expected, f"values {actual}; infer() declares {expected}"
        assert tokens.values.dtype is torch.float32, f"values {actual}; expected float32"
        assert count <= declared.tokens, f"{count} tokens; infer() declares at most {declared.tokens}"
        assert tokens.mask is not None, "mask is None; expected the batch's own, so that padding stays padding"
        assert tokens.times is not None and tokens.times.shape == tokens.mask.shape, "times do not go with the mask"
        assert tokens.values.isfinite().all(), "values are not finite"
    assert declared.modality == case.config().input, f"infer() says modality {declared.modality!r}; expected the stream"


def declared_parameters(case: ModuleCase) -> None:
    """`parameters` of the config counts the module's weights, or says None."""
    declared, count = case.config().parameters(), sum(each.numel() for each in case.build().parameters())
    assert declared in (None, count), f"parameters() says {declared:,}; the module has {count:,}"


def absent_stream(case: ModuleCase) -> None:
    """`prepare` gives None for a clip without the stream; among others such a clip is all padding, and finite."""
    encoder = case.build()
    assert encoder.prepare(SILENT) is None, "prepare() gives something for a clip without the stream; expected None"
    tokens = encode(encoder, batch_of(encoder, LONG, SILENT))
    assert tokens.mask is not None and tokens.mask[0].any(), "a clip that has the stream has no token"
    assert not tokens.mask[1].any(), "a clip without the stream has tokens"


def declared_reads(case: ModuleCase) -> None:
    """`prepare` reads nothing of a clip but what `reads` of the config names."""
    if case.catalog.get(case.kind, case.name).spec.api_version < 2:
        # Written before there was anything to declare: a feature cache refuses it by name.
        return
    config, encoder = case.config(), case.build()
    for clip in (SHORT, LONG, SILENT, BLACK):
        encoder.prepare(DeclaredClip(clip, case.name, config.reads))


def padding_content(case: ModuleCase) -> None:
    """What padded rows hold changes nothing."""
    encoder = case.build()
    batch = batch_of(encoder, SHORT, LONG)
    values = batch.values.clone()
    values[~batch.mask] = 255 if values.dtype == torch.uint8 else float("nan")
    expected, out = encode(encoder, batch), encode(encoder, replace(batch, values=values))
    real = expected.valid()
    assert torch.equal(out.valid(), real), "what padding holds changes the mask"
    off = (out.values[real] - expected.values[real]).abs().max()
    assert off <= 1e-5, f"what padding holds changes the tokens by {off:.2g}"


def batch_rows(case: ModuleCase) -> None:
    """A clip's tokens do not depend on its batch."""
    encoder = case.build()
    together = encode(encoder, batch_of(encoder, SHORT, LONG))
    for row, clip in enumerate((SHORT, LONG)):
        single = encode(encoder, batch_of(encoder, clip))
        one, batch_values = single.values[0][single.valid()[0]], together.values[row][together.valid()[row]]
        assert one.shape == batch_values.shape, f"a clip alone has {len(one)} tokens, in a batch {len(batch_values)}"
        off = (one - batch_values).abs().max() / (1 + batch_values.abs().max())
        assert off <= 2e-2 if _half(case) else off <= 1e-3, f"a clip by itself gives tokens that are off by {off:.2g}"


def _half(case: ModuleCase) -> bool:
    return getattr(case.config(), "dtype", "float32") != "float32"


def black_and_silence(case: ModuleCase) -> None:
    """Black pictures and silence give finite tokens."""
    encoder = case.build()
    assert encode(encoder, batch_of(encoder, BLACK)).values.isfinite().all(), "black or silence gives NaN or infinity"


def deterministic_evaluation(case: ModuleCase) -> None:
    """In evaluation mode the same clip gives the same tokens without a seed."""
    encoder = case.build()
    batch = batch_of(encoder, SHORT, LONG)
    with torch.no_grad():
        first, second = encoder(batch), encoder(batch)
    assert torch.equal(first.values, second.values), "two calls in evaluation mode differ; is dropout always on?"


def finite_gradients(case: ModuleCase) -> None:
    """In training, the trainable weights get finite gradients."""
    encoder = case.build().train()
    trained = [parameter for parameter in encoder.parameters() if parameter.requires_grad]
    if not trained or _half(case):
        return
    tokens = encoder(batch_of(encoder, SHORT, LONG))
    tokens.values[tokens.valid()].square().sum().backward()
    grads = [parameter.grad for parameter in trained if parameter.grad is not None]
    assert grads, "no trainable weight gets a gradient"
    assert all(parameter.isfinite().all() for parameter in grads), "a gradient is not finite"
    assert any(parameter.any() for parameter in grads), "every gradient is 0"


def state_dict(case: ModuleCase) -> None:
    """A state dict loaded into another module of the same config gives the same tokens."""
    first, second = case.build(seed=0), case.build(seed=1)
    batch = batch_of(first, SHORT, LONG)
    state_round_trip(first, second, lambda module: encode(module, batch).values)


def config_json(case: ModuleCase) -> None:
    """The config survives JSON."""
    config_round_trip(case.config())


CHECKS = by_name(
    declared_interface,
    declared_parameters,
    absent_stream,
    declared_reads,
    padding_content,
    batch_rows,
    black_and_silence,
    deterministic_evaluation,
    finite_gradients,
    state_dict,
    config_json,
)
"""Every check of an encoder by its name."""
KIND_CHECKS = KindChecks(
    CHECKS,
    cases=lambda catalog, name, options, variants: [encoder_case(catalog, name, options)],
)
