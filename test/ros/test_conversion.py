"""Every encoding a camera publishes becomes the same picture; everything else becomes one sentence."""

import itertools
import sys
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facial_attributes_ros.ros import bridge
from facial_attributes_ros.ros.bridge import Layout, agrees, layouts, sample_message, trusted_layouts
from facial_attributes_ros.ros.conversion import (
    ENCODINGS,
    ConversionError,
    bgr_fields,
    compressed_to_bgr,
    image_to_bgr,
    jpeg_bytes,
)

sizes = st.integers(1, 9)
PACKED = {
    "bgr8": (0, 1, 2),
    "8UC3": (0, 1, 2),
    "rgb8": (2, 1, 0),
    "bgra8": (0, 1, 2, 2),
    "rgba8": (2, 1, 0, 2),
    "bgr16": (0, 1, 2),
    "rgb16": (2, 1, 0),
    "rgba16": (2, 1, 0, 2),
}


def message(encoding, rows, padding=0, big_endian=False, width=None):
    """An image whose rows, (height, values), are followed by `padding` bytes of 0xAB each."""
    if rows.dtype == np.uint16:
        rows = rows.astype(">u2" if big_endian else "<u2")
    lines = np.frombuffer(rows.tobytes(), np.uint8).reshape(len(rows), -1)
    padded = np.pad(lines, ((0, 0), (0, padding)), constant_values=0xAB)
    spec = ENCODINGS.get(encoding) or ENCODINGS["bgr8"]
    return SimpleNamespace(
        height=len(rows) * spec.planes[1] // spec.planes[0],
        width=width or rows.shape[1] // spec.channels,
        encoding=encoding,
        is_bigendian=int(big_endian),
        step=padded.shape[1],
        data=padded.tobytes(),
    )


def words(values, rng):
    """16-bit values that mean these 8-bit ones: what lies below a step of 257 is random, so no two bytes are alike."""
    low = np.where(values == 255, 0, rng.integers(0, 129, values.shape))
    high = np.where(values == 0, 0, rng.integers(0, 129, values.shape))
    return (values.astype(int) * 257 + low - high).astype(np.uint16)


@given(st.sampled_from(sorted(PACKED)), sizes, sizes, st.integers(0, 5), st.booleans(), st.integers(0, 2**32 - 1))
def test_colour_survives_every_layout_padding_and_byte_order(encoding, height, width, padding, big_endian, seed):
    rng = np.random.default_rng(seed)
    bgr = rng.integers(0, 256, (height, width, 3), np.uint8)
    values = bgr[..., PACKED[encoding]]
    if encoding.endswith("16"):
        values = words(values, rng)
    picture = image_to_bgr(message(encoding, values.reshape(height, -1), padding, big_endian))
    assert picture.dtype == np.uint8
    np.testing.assert_array_equal(picture, bgr)


@given(sizes, sizes, st.integers(0, 5), st.booleans(), st.sampled_from(["mono8", "8UC1", "mono16"]))
def test_grey_becomes_three_equal_channels(height, width, padding, big_endian, encoding):
    grey = np.arange(height * width, dtype=np.uint8).reshape(height, width) * 3
    values = words(grey, np.random.default_rng(0)) if "16" in encoding else grey
    picture = image_to_bgr(message(encoding, values, padding, big_endian))
    np.testing.assert_array_equal(picture, np.repeat(grey[..., None], 3, axis=2))


@pytest.mark.parametrize("encoding", sorted(name for name, spec in ENCODINGS.items() if spec.depth == 16))
@pytest.mark.parametrize("big_endian", [False, True])
def test_the_byte_order_is_the_one_that_the_message_names(encoding, big_endian):
    bright = np.full((4, 4 * ENCODINGS[encoding].channels), 0xC828, np.uint16)
    dark = np.full_like(bright, 0x28C8)
    assert set(image_to_bgr(message(encoding, bright, 2, big_endian)).flat) == {199}
    assert set(image_to_bgr(message(encoding, dark, 2, big_endian)).flat) == {41}


@pytest.mark.parametrize("pattern", ["rggb", "bggr", "gbrg", "grbg"])
@pytest.mark.parametrize("depth", [8, 16])
def test_a_bayer_mosaic_of_one_colour_gives_that_colour(pattern, depth):
    colour = {"b": 40, "g": 120, "r": 200}
    tile = np.array([colour[letter] for letter in pattern], np.uint8).reshape(2, 2)
    mosaic = np.tile(tile, (8, 8))
    values = mosaic.astype(np.uint16) * 257 + 20 if depth == 16 else mosaic
    picture = image_to_bgr(message(f"bayer_{pattern}{depth}", values, 2, big_endian=True))
    assert picture.shape == (16, 16, 3)
    np.testing.assert_array_equal(picture[4:-4, 4:-4], np.broadcast_to([40, 120, 200], (8, 8, 3)))


RED_YUV = (81, 90, 240)
"""Pure red in BT.601 with limited range: Y, U, V."""


def yuv_rows(encoding, height, width):
    y, u, v = RED_YUV
    if encoding in ("uyvy", "yuv422"):
        return np.tile(np.array([u, y, v, y], np.uint8), (height, width // 2))
    if encoding in ("yuyv", "yuv422_yuy2"):
        return np.tile(np.array([y, u, y, v], np.uint8), (height, width // 2))
    luma = np.full((height, width), y, np.uint8)
    if encoding == "nv21":
        return np.vstack([luma, np.tile(np.array([v, u], np.uint8), (height // 2, width // 2))])
    return np.vstack([luma, np.tile(np.array([u, v], np.uint8), (2 * height, width // 2))])


@pytest.mark.parametrize(
    ("encoding", "padding"),
    [*itertools.product(["uyvy", "yuv422", "yuyv", "yuv422_yuy2", "nv21"], [0, 4]), ("nv24", 0)],
)
def test_every_order_of_yuv_gives_red_for_red(encoding, padding):
    rows = yuv_rows(encoding, 8, 12)
    picture = image_to_bgr(message(encoding, rows, padding, width=12))
    assert picture.shape == (8, 12, 3)
    assert np.abs(picture.astype(int) - [0, 0, 255]).max() <= 3


def test_padding_of_nv24_lies_behind_whole_rows_of_chroma():
    height, width, step = 4, 6, 9
    y, u, v = RED_YUV
    data = np.zeros((3 * height, step), np.uint8)
    data[:height, :width] = y
    data[height:].reshape(height, 2 * step)[:, : 2 * width] = np.tile([u, v], width)
    image = SimpleNamespace(height=height, width=width, encoding="nv24", is_bigendian=0, step=step, data=data.tobytes())
    assert np.abs(image_to_bgr(image).astype(int) - [0, 0, 255]).max() <= 3


@pytest.mark.parametrize("name", sorted(ENCODINGS))
@settings(max_examples=20, deadline=None)
@given(sizes, sizes, st.integers(0, 7), st.booleans())
def test_a_picture_of_any_size_converts_or_says_why(name, height, width, padding, big_endian):
    spec = ENCODINGS[name]
    step = width * spec.channels * spec.depth // 8 + padding
    data = bytes(height * spec.planes[0] // spec.planes[1] * step)
    image = SimpleNamespace(
        height=height, width=width, encoding=name, is_bigendian=int(big_endian), step=step, data=data
    )
    if width % spec.even[0] or height % spec.even[1]:
        with pytest.raises(ConversionError, match="even"):
            image_to_bgr(image)
    else:
        assert image_to_bgr(image).shape == (height, width, 3)


@given(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1), st.binary(max_size=64))
def test_sizes_that_do_not_fit_the_data_never_pass(height, width, step, data):
    image = SimpleNamespace(height=height, width=width, encoding="bgr8", is_bigendian=0, step=step, data=data)
    fits = height > 0 and width > 0 and step >= 3 * width and height * step == len(data)
    if not fits:
        with pytest.raises(ConversionError):
            image_to_bgr(image)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"encoding": "theora"}, "theora"),
        ({"encoding": ""}, "encoding"),
        ({"encoding": "32FC1"}, "32FC1"),
        ({"height": 0, "width": 0, "data": b""}, "no pixels"),
        ({"step": 5}, "step is only 5"),
        ({"step": 0}, "step is only 0"),
        ({"data": b"12345"}, "needs 12 bytes of data, not 5"),
        ({"data": bytes(13)}, "needs 12 bytes of data, not 13"),
    ],
)
def test_a_bad_image_is_refused_with_a_sentence(change, reason):
    image = SimpleNamespace(height=2, width=2, encoding="bgr8", is_bigendian=0, step=6, data=bytes(12))
    vars(image).update(change)
    with pytest.raises(ConversionError, match=reason) as caught:
        image_to_bgr(image)
    assert str(caught.value).endswith(".")


@pytest.mark.parametrize("padding", [0, 10])
def test_a_bgr_image_is_not_copied(padding):
    image = message("bgr8", np.zeros((4, 9), np.uint8), padding)
    image.data = bytearray(image.data)
    picture = image_to_bgr(image)
    image.data[image.step] = 77
    assert picture[1, 0, 0] == 77


def test_fifty_megapixels_convert():
    image = SimpleNamespace(
        height=6124, width=8165, encoding="mono8", is_bigendian=0, step=8165, data=bytes(6124 * 8165)
    )
    assert image_to_bgr(image).shape == (6124, 8165, 3)


def test_what_we_send_comes_back():
    picture = np.random.default_rng(1).integers(0, 256, (5, 7, 3), np.uint8)
    np.testing.assert_array_equal(image_to_bgr(SimpleNamespace(**bgr_fields(picture))), picture)


def compressed(data, format_="jpeg"):
    return SimpleNamespace(data=data, format=format_)


@pytest.fixture
def picture():
    ramp = np.linspace(0, 255, 64, dtype=np.uint8)
    return np.stack(np.broadcast_arrays(ramp[:, None], ramp[None], np.uint8(90)), axis=2)


def test_jpeg_and_png_are_read(picture):
    assert np.abs(compressed_to_bgr(compressed(jpeg_bytes(picture, 95))).astype(int) - picture).max() < 12
    png = cv2.imencode(".png", picture)[1].tobytes()
    np.testing.assert_array_equal(compressed_to_bgr(compressed(png, "bgr8; png compressed bgr8")), picture)


def test_grey_jpeg_becomes_three_channels(picture):
    data = cv2.imencode(".jpg", picture[..., 0])[1].tobytes()
    assert compressed_to_bgr(compressed(data)).shape == (64, 64, 3)


def test_bytes_that_a_camera_adds_after_the_end_do_no_harm(picture):
    assert compressed_to_bgr(compressed(jpeg_bytes(picture, 90) + bytes(300))).shape == (64, 64, 3)


@pytest.mark.parametrize("extension", [".jpg", ".png", ".webp"])
@pytest.mark.parametrize("share", [0.01, 0.3, 0.6, 0.95])
def test_a_picture_cut_short_is_refused(picture, extension, share):
    data = cv2.imencode(extension, picture)[1].tobytes()
    with pytest.raises(ConversionError):
        compressed_to_bgr(compressed(data[: int(len(data) * share)]))


def test_a_jpeg_cut_after_the_end_of_its_thumbnail_is_refused(picture):
    jpeg, thumbnail = jpeg_bytes(picture, 90), jpeg_bytes(picture[:8, :8], 50)
    block = b"\xff\xe2" + (len(thumbnail) + 2).to_bytes(2, "big") + thumbnail
    whole = jpeg[:2] + block + jpeg[2:]
    assert compressed_to_bgr(compressed(whole)).shape == (64, 64, 3)
    with pytest.raises(ConversionError, match="cut short"):
        compressed_to_bgr(compressed(whole[:-200]))


def packed(image, form, codec=".png"):
    return compressed_to_bgr(compressed(cv2.imencode(codec, image)[1].tobytes(), form))


@pytest.mark.parametrize("depth", [8, 16])
def test_a_compressed_mosaic_is_developed_as_the_raw_one(picture, depth):
    values = picture[..., 0].astype(np.uint16) * 257 if depth == 16 else picture[..., 0].copy()
    raw = message(f"bayer_rggb{depth}", values)
    for form in (f"bayer_rggb{depth}; png compressed ", f"bayer_rggb{depth};png"):
        np.testing.assert_array_equal(packed(values, form), image_to_bgr(raw))
    # One that was developed before it was compressed is left alone.
    np.testing.assert_array_equal(packed(picture, f"bayer_rggb{depth}; png compressed bgr8"), picture)


def test_a_mosaic_in_jpeg_is_developed_too(picture):
    flat = np.full((64, 64), 90, np.uint8)
    flat[::2, ::2] = 200  # the red ones of RGGB
    image = packed(flat, "bayer_rggb8; jpeg compressed ", ".jpg")
    assert image[20:40, 20:40].reshape(-1, 3).mean(0) == pytest.approx([90, 90, 200], abs=12)


@pytest.mark.parametrize("codec", [".png", ".jpg"])
@pytest.mark.parametrize("form", ["rgb8", "bgr8", "rgba8", "bgra8"])
def test_colours_lie_as_the_format_says(picture, form, codec):
    bgr = packed(picture, "bgr8; x compressed bgr8", codec)
    np.testing.assert_array_equal(packed(picture, f"{form}; x compressed bgr8", codec), bgr)
    np.testing.assert_array_equal(packed(picture, f"{form}; x compressed rgb8", codec), bgr[..., ::-1])
    for plain in ("jpeg", "", "mono8; jpeg compressed ", "8UC3; png compressed ", "something; else"):
        np.testing.assert_array_equal(packed(picture, plain, codec), bgr)


def test_grey_of_16_bits_is_scaled_as_the_raw_one():
    grey = np.arange(0, 65536, 64, dtype=np.uint16).reshape(32, 32)
    raw = image_to_bgr(message("mono16", grey))
    np.testing.assert_array_equal(packed(grey, "mono16; png compressed "), raw)


@pytest.mark.parametrize("encoding", ["16UC1", "32FC1", "16SC1"])
def test_depths_are_refused_raw_and_compressed(encoding):
    grey = np.zeros((8, 8), np.uint16)
    with pytest.raises(ConversionError, match="depths"):
        packed(grey, f"{encoding}; png compressed ")
    with pytest.raises(ConversionError, match="depths"):
        image_to_bgr(SimpleNamespace(height=8, width=8, encoding=encoding, is_bigendian=0, step=32, data=bytes(256)))


def test_a_mosaic_of_another_form_is_refused(picture):
    for form in ("bayer_rggb8; png compressed ", "bayer_xxxx8; png compressed "):
        with pytest.raises(ConversionError, match="bayer"):
            packed(picture, form)


def test_a_compressed_image_beyond_the_limit_is_refused_before_it_is_decoded(picture):
    png = compressed(cv2.imencode(".png", picture)[1].tobytes(), "png")
    assert compressed_to_bgr(png, max_pixels=64 * 64).shape == (64, 64, 3)
    with pytest.raises(ConversionError, match="64x64 pixels, and the limit"):
        compressed_to_bgr(png, max_pixels=64 * 64 - 1)


def test_a_format_of_any_length_fits_a_line(picture):
    with pytest.raises(ConversionError) as caught:
        compressed_to_bgr(compressed(b"?", "a\nb" * 1000))
    assert len(str(caught.value)) < 300
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("data", "format_"), [(b"", "jpeg"), (b"no picture", "jpeg"), (bytes(100), "16UC1; compressedDepth png")]
)
def test_compressed_data_that_is_no_picture_is_refused_with_a_sentence(data, format_):
    with pytest.raises(ConversionError) as caught:
        compressed_to_bgr(compressed(data, format_))
    assert str(caught.value).endswith(".")


BRIDGES = {
    "correct": "return image_to_bgr(message)",
    "ignores padding": (
        "import numpy; return numpy.frombuffer(message.data[: 3 * message.width * message.height], 'uint8')"
        ".reshape(message.height, message.width, 3)"
    ),
    "cannot swap bytes": "assert not message.is_bigendian; return image_to_bgr(message)",
    "raises": "raise SystemError('compiled against another numpy')",
    "ends the process": "import os; os.abort()",
}
EVERY = frozenset(layouts())
TRUSTED = {
    "correct": EVERY,
    "ignores padding": {each for each in EVERY if each.encoding in ("bgr8", "8UC3") and not each.padded},
    "cannot swap bytes": {each for each in EVERY if not each.big_endian},
}


@pytest.fixture
def cv_bridge(tmp_path, monkeypatch):
    """Installs a cv_bridge of some kind that notes each import of it."""

    def installed(kind):
        source = (
            "from pathlib import Path\n"
            "from facial_attributes_ros.ros.conversion import image_to_bgr\n"
            "with Path(__file__).with_name('imports').open('a') as note: note.write('.')\n"
            f"class CvBridge:\n    def imgmsg_to_cv2(self, message, encoding):\n        {BRIDGES[kind]}\n"
        )
        (tmp_path / "cv_bridge.py").write_text(source)
        monkeypatch.syspath_prepend(str(tmp_path))
        monkeypatch.setenv("PYTHONPATH", ":".join([str(tmp_path), *sys.path]))
        monkeypatch.delitem(sys.modules, "cv_bridge", raising=False)
        monkeypatch.setattr(bridge, "PROBE_TIMEOUT", 200.0)
        bridge.trusted_layouts.cache_clear()
        return tmp_path / "imports"

    yield installed
    bridge.trusted_layouts.cache_clear()
    sys.modules.pop("cv_bridge", None)


@pytest.mark.parametrize("kind", sorted(BRIDGES))
def test_cv_bridge_is_used_only_for_the_layouts_that_it_converts_as_we_do(kind, cv_bridge, caplog):
    cv_bridge(kind)
    with caplog.at_level("INFO"):
        assert trusted_layouts() == TRUSTED.get(kind, frozenset())
    if kind in TRUSTED:
        assert f"cv_bridge converts images of {len({each.encoding for each in TRUSTED[kind]})} of " in caplog.text
    assert ("does not work here" in caplog.text) == (kind == "ends the process")


def test_cv_bridge_is_tried_once_in_a_process_and_then_used(cv_bridge, caplog):
    imports = cv_bridge("cannot swap bytes")
    converters = [bridge.image_converter() for _ in range(3)]
    assert imports.read_text() == "..", "the trial, and this process"
    swapped, plain = (sample_message(Layout("rgb16", big_endian, False)) for big_endian in (True, False))
    for convert in converters:
        for message in (swapped, plain):
            assert np.array_equal(convert(message), image_to_bgr(message))
        with pytest.raises(ConversionError, match="no pixels"):
            convert(SimpleNamespace(**(vars(plain) | {"width": 0})))


def test_a_converter_that_forgets_the_byte_order_is_not_trusted():
    def native(image):
        return image_to_bgr(SimpleNamespace(**(vars(image) | {"is_bigendian": 0})))

    assert not agrees(native, Layout("mono16", True, False))
    assert agrees(native, Layout("mono16", False, True))
    assert agrees(native, Layout("mono8", True, True))
    assert sample_message(Layout("mono16", True, True)).step > 12
