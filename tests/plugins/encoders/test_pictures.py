from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
import torch
from PIL import Image

from affectgpt.plugins.encoders.pictures import (
    CLIP_MEAN,
    CLIP_STD,
    normalise,
    prepare_pictures,
    resize_to_square,
    square,
)


def picture(height: int, width: int) -> np.ndarray:
    random = np.random.default_rng(height * 1000 + width)
    coarse = Image.fromarray(random.integers(0, 256, (9, 9, 3), dtype=np.uint8))
    return np.asarray(coarse.resize((width, height), Image.Resampling.BILINEAR))


def test_a_picture_of_the_right_size_is_not_touched() -> None:
    inputs = picture(224, 224)
    assert square(inputs, 224) is inputs


@pytest.mark.parametrize("shape", [(300, 300), (240, 320), (641, 360), (97, 130), (500, 224), (225, 999)])
def test_equal_to_resizing_and_cropping_the_whole(shape: tuple[int, int]) -> None:
    from transformers import CLIPImageProcessorPil

    inputs = picture(*shape)
    processor = CLIPImageProcessorPil(do_normalize=False, do_rescale=False)
    expected = processor(inputs, return_tensors="np")["pixel_values"][0].astype(int)
    difference = np.abs(square(inputs, 224).transpose(2, 0, 1).astype(int) - expected)
    assert difference.max() <= 2 and difference.mean() < 0.01


@pytest.mark.parametrize("shape", [(1, 1), (1, 40_000), (40_000, 1), (3, 2)])
def test_extreme_shapes_cost_little(shape: tuple[int, int]) -> None:
    inputs = np.full((*shape, 3), 77, np.uint8)
    tracemalloc.start()
    result = square(inputs, 64)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert result.shape == (64, 64, 3) and (result == 77).all()
    assert peak < 4_000_000


def test_normalise_equals_the_reference_processor() -> None:
    from transformers import CLIPImageProcessorPil

    inputs = picture(224, 224)
    expected = CLIPImageProcessorPil()(inputs, return_tensors="pt")["pixel_values"]
    pixels = torch.from_numpy(inputs.transpose(2, 0, 1).copy())[None]
    torch.testing.assert_close(normalise(pixels, CLIP_MEAN, CLIP_STD), expected, rtol=0, atol=1e-6)


class DisplayedClip:
    """A clip of `count` pictures, picture k of the level k in its first channel and 100 + k in its last."""

    def __init__(self, count: int) -> None:
        levels = np.array([[k, 50, 100 + k] for k in range(count)], dtype=np.uint8)
        self.images = [np.broadcast_to(level, (30, 20, 3)) for level in levels]

    def faces(self, count: int, spread: str = "middles") -> object:
        places = list(range(min(count, len(self.images)))) if spread == "released" else [0]
        times = np.array(places, dtype=np.float32) / 2
        return type("Pictures", (), {"images": [self.images[place] for place in places], "times": times})()


@pytest.mark.parametrize(("stored", "levels"), [(3, [0, 1, 2, 2, 2]), (5, [0, 1, 2, 3, 4]), (9, [0, 1, 2, 3, 4])])
def test_the_last_picture_is_repeated_where_the_released_model_does(stored: int, levels: list[int]) -> None:
    result = prepare_pictures(DisplayedClip(stored), "face", 5, 16, "rgb", "released", resize_to_square)  # type: ignore[arg-type]
    assert result is not None and result.values.shape == (5, 3, 16, 16)
    assert result.values[:, 0, 0, 0].tolist() == levels and result.times.tolist() == [level / 2 for level in levels]
    turned = prepare_pictures(DisplayedClip(stored), "face", 5, 16, "bgr", "released", resize_to_square)  # type: ignore[arg-type]
    assert turned is not None and torch.equal(turned.values, result.values.flip(1))
    plain = prepare_pictures(DisplayedClip(stored), "face", 5, 16, "rgb")  # type: ignore[arg-type]
    assert plain is not None and len(plain.values) == 1


def test_squashed_shows_the_whole_picture() -> None:
    inputs = np.zeros((40, 80, 3), np.uint8)
    inputs[:, :8] = 200
    result = resize_to_square(inputs, 20)
    assert result.shape == (20, 20, 3) and (result[:, :2] == 200).all() and not result[:, 3:].any()
    # The middle that a crop takes does not reach the left.
    assert not square(inputs, 20)[:, :2].all()
    assert np.array_equal(resize_to_square(inputs[:20, :20], 20), inputs[:20, :20])
