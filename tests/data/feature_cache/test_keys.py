"""What a stored feature belongs to."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from affectgpt.core.plan import Plan
from affectgpt.data.feature_cache.keys import checksum, content_key, encoder_key, options_of, tensors_digest

HASHES = st.lists(st.one_of(st.none(), st.sampled_from(["a" * 64, "b" * 64])), min_size=3, max_size=3)


@given(HASHES, HASHES)
def test_a_content_is_all_files_each_in_its_place(first: list[str | None], second: list[str | None]) -> None:
    assert (content_key(first) == content_key(second)) == (first == second)


@given(HASHES, st.text(max_size=4), st.text(max_size=4))
def test_a_subtitle_that_is_read_is_content(hashes: list[str | None], first: str, second: str) -> None:
    assert (content_key(hashes, first) == content_key(hashes, second)) == (first == second)
    assert content_key(hashes, first) != content_key(hashes)


def test_an_encoder_is_its_plugin_its_options_its_weights_and_its_code() -> None:
    codes = ({"feature_version": "1"}, {"words.py": "1"})
    keys = {
        encoder_key(plugin, options, weights, code)
        for plugin, options, weights, code in itertools.product(("a", "b"), ({"x": 1}, {"x": 2}), ("1", "2"), codes)
    }
    assert len(keys) == 16
    assert encoder_key("a", {"x": 1, "y": 2}, "1", {}) == encoder_key("a", {"y": 2, "x": 1}, "1", {})


def test_frozen_is_no_option_of_what_an_encoder_gives(plan: Callable[..., Plan]) -> None:
    options = [options_of(plan(f"encoders.face.frozen={value}").encoders["face"]) for value in ("true", "false")]
    assert options[0] == options[1] and "frozen" not in options[0] and options[0]["size"] == 32


def test_a_fingerprint_covers_names_dtypes_shapes_and_bytes() -> None:
    def module(**tensors: torch.Tensor) -> nn.Module:
        module = nn.Module()
        for name, tensor in tensors.items():
            module.register_buffer(name, tensor)
        return module

    base = torch.arange(6.0)
    changed = base.clone()
    changed[5] = torch.nextafter(changed[5], torch.tensor(9.0))
    variants = [
        module(a=base),
        module(b=base),
        module(a=base.view(2, 3)),
        module(a=base.bfloat16()),
        module(a=changed),
        module(a=base, b=base),
        module(),
        module(a=torch.tensor(1.0)),
        module(a=torch.tensor([1.0])),
    ]
    assert len({tensors_digest(each.state_dict()) for each in variants}) == len(variants)
    assert tensors_digest(module(a=base, b=changed).state_dict()) == tensors_digest(
        module(b=changed.clone(), a=base.clone()).state_dict()
    )


def test_a_checksum_reads_memory_order_and_not_strides() -> None:
    tensor = torch.randn(3, 4)
    assert checksum(tensor.T) == checksum(tensor.T.contiguous()) != checksum(tensor)
    assert len({checksum(torch.tensor([[1.0, -0.0]])), checksum(torch.tensor([[1.0, 0.0]]))}) == 2
