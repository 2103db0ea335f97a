from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
import torch
from PIL import Image

from affectgpt.plugins.encoders.pictures import CLIP_MEAN, CLIP_STD, normalise, square


def picture(height: int, width: int) -> np.ndarray:
    random = np.random.default_rng(height * 1000 + width)
    coarse = Image.fromarray(random.integers(0, 256, (9, 9, 3), dtype=np.uint8))
    return np.asarray(coarse.resize((width, height), Image.Resampling.BILINEAR))


def test_a_picture_of_the_right_size_is_not_touched() -> None:
    given = picture(224, 224)
    assert square(given, 224) is given


@pytest.mark.parametrize("shape", [(300, 300), (240, 320), (641, 360), (97, 130), (500, 224), (225, 999)])
def test_equal_to_resizing_and_cropping_the_whole(shape: tuple[int, int]) -> None:
    from transformers import CLIPImageProcessorPil

    given = picture(*shape)
    processor = CLIPImageProcessorPil(do_normalize=False, do_rescale=False)
    expected = processor(given, return_tensors="np")["pixel_values"][0].astype(int)
    difference = np.abs(square(given, 224).transpose(2, 0, 1).astype(int) - expected)
    assert difference.max() <= 2 and difference.mean() < 0.01


@pytest.mark.parametrize("shape", [(1, 1), (1, 40_000), (40_000, 1), (3, 2)])
def test_extreme_shapes_cost_little(shape: tuple[int, int]) -> None:
    given = np.full((*shape, 3), 77, np.uint8)
    tracemalloc.start()
    result = square(given, 64)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert result.shape == (64, 64, 3) and (result == 77).all()
    assert peak < 4_000_000


def test_normalise_equals_the_reference_processor() -> None:
    from transformers import CLIPImageProcessorPil

    given = picture(224, 224)
    expected = CLIPImageProcessorPil()(given, return_tensors="pt")["pixel_values"]
    pixels = torch.from_numpy(given.transpose(2, 0, 1).copy())[None]
    torch.testing.assert_close(normalise(pixels, CLIP_MEAN, CLIP_STD), expected, rtol=0, atol=1e-6)
