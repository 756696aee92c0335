"""Image files of every format, whole and hostile, and the memory that they cost."""

import io
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps

from facial_attributes_ros.errors import UserError
from facial_attributes_ros.imaging import formats
from facial_attributes_ros.imaging.decoder import decode_image, decode_pixels, read_image

from . import hostile_images
from .hostile_images import encoded, saved

CODECS = cv2.getBuildInformation()
HALVES = Image.new("RGB", (48, 32), (200, 40, 40))
HALVES.paste((30, 60, 220), (0, 0, 24, 32))
BGR = np.asarray(HALVES)[..., ::-1]

WHOLE = {
    "jpeg": saved("JPEG", HALVES, quality=95, subsampling=0),
    "progressive jpeg": saved("JPEG", HALVES, quality=95, subsampling=0, progressive=True),
    "jpeg with restarts": saved("JPEG", HALVES, quality=95, subsampling=0, restart_marker_blocks=1),
    "png": saved("PNG", HALVES),
    "gif": saved("GIF", HALVES),
    "animated gif": saved("GIF", HALVES, save_all=True, append_images=[Image.new("RGB", (48, 32))]),
    "tiff": saved("TIFF", HALVES),
    "tiff of two pages": saved("TIFF", HALVES, save_all=True, append_images=[Image.new("RGB", (48, 32))]),
    "tiff with lzw": saved("TIFF", HALVES, compression="tiff_lzw"),
    "tiff with jpeg": saved("TIFF", HALVES, compression="jpeg", quality=95),
    "big tiff": saved("TIFF", HALVES, big_tiff=True),
    "webp": saved("WEBP", HALVES, lossless=True),
    "animated webp": saved("WEBP", HALVES, lossless=True, save_all=True, append_images=[Image.new("RGB", (48, 32))]),
    "avif": saved("AVIF", HALVES, quality=95, subsampling="4:4:4"),
    "animated avif": saved("AVIF", HALVES, quality=95, save_all=True, append_images=[Image.new("RGB", (48, 32))]),
    "bmp": saved("BMP", HALVES),
    "bmp from the top": saved("BMP", HALVES).replace(b"\x20\0\0\0\1\0\x18", b"\xe0\xff\xff\xff\1\0\x18"),
    "ppm": saved("PPM", HALVES),
    "jpeg 2000": saved("JPEG2000", HALVES),
    "jpeg 2000 in tiles": saved("JPEG2000", HALVES, tile_size=(32, 32), no_jp2=True),
}


def readable(name: str) -> bool:
    """Whether this OpenCV has the codec."""
    return all(f"{codec}:" in CODECS or codec.lower() not in name for codec in ("AVIF", "GIF"))


@pytest.mark.parametrize("name", WHOLE)
def test_every_format_is_read(name: str) -> None:
    if not readable(name):
        pytest.skip("this OpenCV lacks the codec")
    expected = BGR[::-1] if "top" in name else BGR
    image = decode_image(WHOLE[name], name)
    assert (image.shape, image.dtype) == (BGR.shape, np.uint8)
    assert np.abs(image.astype(int) - expected).mean() < 6


@pytest.mark.parametrize("share", [0.02, 0.3, 0.9])
@pytest.mark.parametrize("name", [name for name in WHOLE if not name.startswith("animated") and "pages" not in name])
def test_no_format_is_read_when_cut_short(name: str, share: float) -> None:
    with pytest.raises(UserError):
        decode_image(WHOLE[name][: int(share * len(WHOLE[name]))], name)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "TIFF", "WEBP", "AVIF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_format_is_turned_upright(form: str, orientation: int) -> None:
    if not readable(form.lower()):
        pytest.skip("this OpenCV lacks the codec")
    exif = Image.Exif()
    exif[0x0112] = orientation
    corner = HALVES.copy()
    corner.paste((255, 255, 255), (0, 0, 10, 10))
    held = io.BytesIO()
    corner.save(held, "TIFF", exif=exif)  # some of the other writers change what they are given
    upright = np.asarray(ImageOps.exif_transpose(Image.open(held)).convert("RGB"))[..., ::-1]
    data = saved(form, corner, exif=exif, quality=95)
    image = decode_image(data, form)
    assert image.shape == upright.shape
    assert np.abs(image.astype(int) - upright).mean() < 20
    assert decode_pixels(data, form).shape == BGR.shape


def test_deep_pixels_stay_as_they_are() -> None:
    grey = np.arange(0, 60_000, 1000, dtype=np.uint16).reshape(6, 10)
    np.testing.assert_array_equal(decode_pixels(encoded(".png", grey), "x", deep=True), grey)


def test_a_jpeg_ends_where_its_segments_end() -> None:
    photo = encoded(".jpg", np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8))
    film = b"\0\0\0\x18ftypmp42" + np.random.default_rng(0).integers(0, 256, 40_000, np.uint8).tobytes()
    film += b"\xff\xd9\xff\xda\x00\x0c"
    assert decode_image(photo + film, "x").shape == (64, 64, 3)
    for data in (photo[:-400], photo[:-400] + film):
        with pytest.raises(UserError):
            decode_image(data, "x")


def test_the_limit_is_on_the_pixels_that_the_header_tells() -> None:
    assert decode_image(WHOLE["png"], "x", max_pixels=48 * 32).shape == BGR.shape
    with pytest.raises(UserError, match="48x32 pixels, and the limit is 0.001535 million"):
        decode_image(WHOLE["png"], "x", max_pixels=48 * 32 - 1)


def test_a_file_too_long_for_its_limit_is_not_read(tmp_path: Path) -> None:
    long = tmp_path / "long.bmp"
    long.touch()
    os.truncate(long, 10_000_000_000)  # takes no room on the disk
    with pytest.raises(UserError, match="10.0 GB"):
        read_image(long)
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(UserError, match="not a file"):
        read_image(tmp_path / "pipe.png")


@pytest.mark.parametrize("suffix", [".hdr", ".ras", ".pfm"])
def test_formats_that_are_not_read_are_named(suffix: str) -> None:
    image = BGR.astype(np.float32) if suffix != ".ras" else BGR
    with pytest.raises(UserError, match="JPEG, PNG, WebP"):
        decode_image(encoded(suffix, np.ascontiguousarray(image)), "x")


def test_names_of_all_formats_are_looked_for_in_folders() -> None:
    assert {
        ".jpg",
        ".jfif",
        ".jpe",
        ".png",
        ".webp",
        ".avif",
        ".gif",
        ".jp2",
        ".tif",
        ".pnm",
        ".bmp",
    } <= formats.SUFFIXES


def test_hostile_files_cost_little() -> None:
    done = subprocess.run([sys.executable, hostile_images.__file__], capture_output=True, text=True, check=True)
    lines = [line.split("\t") for line in done.stdout.splitlines()]
    assert len(lines) > 40
    for name, kilobytes, seconds, said in lines:
        assert int(kilobytes) < 100_000, (name, said)
        assert float(seconds) < 1, (name, said)
        # What is hostile in these lies outside of the pixels, which can be read.
        harmless = ("text", "profile", "frames", "notes", "2^31 rows", "itself", "pages")
        if "avif" not in name and readable(name):
            assert said.startswith("(") == any(word in name for word in harmless), (name, said)


@given(
    st.sampled_from([name for name in WHOLE if "avif" not in name]),
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=6),
    st.floats(0.1, 1),
)
def test_a_damaged_file_is_an_image_or_a_sentence(name: str, changes: list[tuple[float, int]], share: float) -> None:
    data = bytearray(WHOLE[name][: int(share * len(WHOLE[name])) if share < 0.5 else None])
    for place, value in changes:
        # Most of what a decoder believes stands at the beginning.
        data[int(place * min(len(data), 200))] = value
    try:
        image = decode_image(bytes(data), "x", max_pixels=1_000_000)
    except UserError:
        return
    assert image.size <= 3_000_000
