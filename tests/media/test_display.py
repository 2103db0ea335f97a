"""Pictures are shown as their file means them: square pixels, one moment, ordinary light."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest

from affectgpt.media import Clip, Limits
from affectgpt.media.display import square_size

FILES = Path(__file__).parent / "files"


def disc(grey: np.ndarray) -> tuple[int, int]:
    """Width and height of what differs from the corner."""
    lit = np.abs(grey - grey[0, 0]) > 60
    return int(lit.any(axis=0).sum()), int(lit.any(axis=1).sum())


def first_frame(path: Path, limits: Limits | None = None) -> tuple[np.ndarray, list[str]]:
    clip = Clip.open(path, limits=limits or Limits())
    pictures = clip.frames(1)
    assert pictures is not None
    return pictures.images[0], [note for note in clip.notes if note != "no sound"]


def test_a_disc_of_wide_pixels_is_round() -> None:
    image, notes = first_frame(FILES / "sar_2_1_disc.mp4")
    assert image.shape == (240, 320, 3) and notes == []
    assert disc(image.mean(axis=2)) == pytest.approx((190, 190), abs=2)


def write_disc(
    path: Path, shape: Fraction, codec: str = "libx264", rotation: int = 0, size: tuple[int, int] = (120, 80)
) -> Path:
    """A disc that is round once its pixels are `shape` times as wide as high."""
    width, height = size
    y, x = np.mgrid[:height, :width] - np.array([height / 2, width / 2])[:, None, None]
    radius = 0.45 * min(width * shape, height)
    image = np.full((height, width, 3), 200 * (np.hypot(x * float(shape), y) < radius)[..., None], np.uint8)
    with av.open(str(path), "w") as out:
        stream = out.add_stream(codec, rate=10)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.sample_aspect_ratio = shape
        stream.codec_context.qmin = stream.codec_context.qmax = 2
        if rotation:
            stream.set_display_rotation(rotation)
        for number in range(3):
            frame = av.VideoFrame.from_ndarray(image, "rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 10)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


SHAPES = [Fraction(8, 9), Fraction(16, 11), Fraction(1, 2), Fraction(3)]


@pytest.mark.parametrize(
    ("suffix", "codec", "shape", "rotation"),
    [("mp4", "libx264", shape, rotation) for shape in SHAPES for rotation in (0, 90, 180)]
    + [(suffix, "libx264", shape, 0) for shape in SHAPES for suffix in ("mkv", "ts")]
    # MPEG-2 states the shape of the picture, of which there are three.
    + [("mpg", "mpeg2video", Fraction(16, 9) / Fraction(120, 80), 0)],
)
def test_discs_are_round(tmp_path: Path, suffix: str, codec: str, shape: Fraction, rotation: int) -> None:
    image, notes = first_frame(write_disc(tmp_path / f"a.{suffix}", shape, codec, rotation))
    wide, high = disc(image.mean(axis=2))
    assert wide == pytest.approx(high, abs=3) and notes == []
    stored = (120, 80) if rotation % 180 == 0 else (80, 120)
    assert image.shape[1] >= stored[0] and image.shape[0] >= stored[1]


@pytest.mark.parametrize("shape", ["1:20", "20:1", "404:405", "1:1"])
def test_shapes_that_are_not_meant_change_nothing(tmp_path: Path, shape: str) -> None:
    ratio = Fraction(*map(int, shape.split(":")))
    image, notes = first_frame(write_disc(tmp_path / "a.mp4", ratio))
    assert image.shape == (80, 120, 3)
    assert notes == ([f"pixels of {shape} cannot be meant: taken as square"] if "20" in shape else [])


def test_square_pixels_stay_within_the_limit(tmp_path: Path) -> None:
    assert square_size(100, 50, Fraction(2), 10_000) == (200, 50)
    assert square_size(100, 50, Fraction(2), 9_999) == (100, 25)
    assert square_size(100, 50, Fraction(1, 2), 10_000) == (100, 100)
    assert square_size(100, 50, Fraction(1, 2), 9_999) == (50, 50)
    assert square_size(1, 1, Fraction(8), 1) == (1, 1)
    image, _ = first_frame(write_disc(tmp_path / "a.mp4", Fraction(2)), Limits(max_pixels=120 * 80))
    assert image.shape == (40, 120, 3)


def test_a_comb_is_taken_out() -> None:
    image, notes = first_frame(FILES / "interlaced.mpg")
    assert np.abs(np.diff(image.mean(axis=2), axis=0)).mean() < 2
    assert notes == ["the picture is interlaced: one field of each frame is used"]


@pytest.mark.parametrize("codec", ["mpeg2video", "libx264", "ffv1"])
@pytest.mark.parametrize("count", [1, 3])
def test_moving_fields(tmp_path: Path, codec: str, count: int) -> None:
    """A bar that moves 8 pixels from field to field, at a few of 60 frames: sought and decoded in one go."""
    with av.open(str(tmp_path / "a.mkv"), "w") as out:
        stream = out.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = 128, 64, "yuv420p"
        stream.codec_context.gop_size = 5
        if codec == "libx264":
            stream.options = {"x264-params": "tff=1", "preset": "ultrafast"}
        else:
            # FF_CODEC_FLAG_INTERLACED_DCT and _ME
            stream.codec_context.flags |= (1 << 18) | (1 << 29)
            stream.options = {"field_order": "tt"} if codec == "ffv1" else {}
        graph = av.filter.Graph()
        source = graph.add_buffer(width=128, height=64, format="yuv420p", time_base=Fraction(1, 25))
        marked = graph.add("setfield", "mode=tff")
        graph.link_nodes(source, marked, graph.add("buffersink")).configure()
        for number in range(60):
            image = np.full((64, 128, 3), 30, np.uint8)
            for parity in (0, 1):
                edge = (2 * number + parity) * 8 % 100
                image[parity::2, edge : edge + 20] = 220
            frame = av.VideoFrame.from_ndarray(image, "rgb24").reformat(format="yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            graph.vpush(frame)
            combed = graph.vpull()
            combed.pts, combed.time_base = number, Fraction(1, 25)
            out.mux(stream.encode(combed))
        out.mux(stream.encode(None))
    clip = Clip.open(tmp_path / "a.mkv")
    pictures = clip.frames(count)
    assert pictures is not None and len(pictures.images) == count
    for image, time in zip(pictures.images, pictures.times, strict=True):
        grey = image.mean(axis=2)
        assert np.abs(np.diff(grey, axis=0)).mean() < 3
        # The first field of that frame is what is seen.
        lit = np.flatnonzero(grey.mean(axis=0) > 125)
        edge = 2 * round(float(time) * 25) * 8 % 100
        assert (lit[0], lit[-1] + 1) == pytest.approx((edge, edge + 20), abs=2)
    assert any("interlaced" in note for note in clip.notes)


def test_the_white_of_hdr_is_white() -> None:
    image, notes = first_frame(FILES / "hdr_pq_diffuse_white.mp4")
    assert image.mean() > 235
    assert notes == ["the picture is HDR (PQ): its light was brought to the range of ordinary pictures"]


# BT.2408: the signal of diffuse white, 203 nits, in part of full scale.
@pytest.mark.parametrize(("transfer", "name", "signal"), [("smpte2084", "PQ", 0.58), ("arib-std-b67", "HLG", 0.75)])
@pytest.mark.parametrize("primaries", ["bt2020", ""])
def test_hdr_of_any_kind(tmp_path: Path, transfer: str, name: str, signal: float, primaries: str) -> None:
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx265", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p10le"
        colours = f":colorprim={primaries}:colormatrix=bt2020nc" if primaries else ""
        stream.options = {"x265-params": f"log-level=none:transfer={transfer}{colours}"}
        for number in range(3):
            planes = np.full((96, 64), 512, np.uint16)
            planes[:64] = round(64 + 876 * signal)
            frame = av.VideoFrame.from_ndarray(planes, "yuv420p10le")
            frame.pts, frame.time_base = number, Fraction(1, 10)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    image, notes = first_frame(path)
    assert image.mean() > 235
    assert notes == [f"the picture is HDR ({name}): its light was brought to the range of ordinary pictures"]


def test_the_picture_flagged_default_is_taken(tmp_path: Path, make: SimpleNamespace) -> None:
    image, notes = first_frame(FILES / "two_videos_default_second.mkv")
    assert image.shape == (96, 128, 3)
    assert notes == ["one of 2 pictures in the file is used: stream 1"]
