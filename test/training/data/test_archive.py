"""Images out of folders and tar archives."""

import io
import multiprocessing
import os
import pickle
import tarfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from facial_attributes_training.data.archive import MAX_OPEN, ImageError, ImageReader, decode_image, split_member
from PIL import Image

from facial_attributes_ros.errors import UserError
from facial_attributes_ros.imaging import decoder as pictures


def jpeg(shade: int, size: int = 24) -> bytes:
    return bytes(cv2.imencode(".jpg", np.full((size, size, 3), shade, np.uint8))[1])


def png(pixels: np.ndarray) -> bytes:
    return bytes(cv2.imencode(".png", pixels)[1])


def saved(form: str, mode: str = "RGB", **options: Any) -> bytes:
    """A grey image of 24 x 8 pixels as Pillow saves it."""
    file = io.BytesIO()
    Image.new("RGB", (24, 8), (100, 100, 100)).convert(mode).save(file, form, **options)
    return file.getvalue()


@pytest.fixture
def shard(tmp_path: Path) -> Path:
    """A tar archive with ten images, each of another shade, in a folder with a long name."""
    path = tmp_path / "shard.tar"
    with tarfile.open(path, "w") as archive:
        for index in range(10):
            data = jpeg(20 * index)
            entry = tarfile.TarInfo(f"{'long' * 40}/{index}.jpg")
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return path


def member(shard: Path, index: int) -> str:
    return f"{shard}#{'long' * 40}/{index}.jpg"


def shade(reader: ImageReader, path: str) -> float:
    return float(reader.image(path).mean())


def test_members_are_read_in_any_order(shard: Path) -> None:
    reader = ImageReader()
    for index in (9, 0, 5, 5, 1):
        assert shade(reader, member(shard, index)) == pytest.approx(20 * index, abs=2)


def test_a_reader_survives_a_fork_and_a_pickle(shard: Path) -> None:
    reader = ImageReader()
    reader.index([member(shard, 0)])
    assert shade(reader, member(shard, 3)) == pytest.approx(60, abs=2)
    with multiprocessing.get_context("fork").Pool(2) as pool:
        shades = pool.starmap(shade, [(reader, member(shard, index)) for index in range(10)])
    assert shades == pytest.approx([20 * index for index in range(10)], abs=2)
    copy = pickle.loads(pickle.dumps(reader))
    assert shade(copy, member(shard, 7)) == pytest.approx(140, abs=2)


def test_a_hash_in_a_file_name_is_no_archive(tmp_path: Path) -> None:
    (tmp_path / "a#1.jpg").write_bytes(jpeg(100))
    assert split_member("a#1.jpg") is None
    assert shade(ImageReader(), str(tmp_path / "a#1.jpg")) == pytest.approx(100, abs=2)


def test_what_is_missing_or_broken_gets_a_sentence(shard: Path, tmp_path: Path) -> None:
    reader = ImageReader()
    with pytest.raises(ImageError, match="has no member"):
        reader.read(f"{shard}#nothing.jpg")
    with pytest.raises(ImageError, match="can't be read"):
        reader.read(str(tmp_path / "nothing.jpg"))
    with pytest.raises(UserError, match="can't be read"):
        reader.read(f"{tmp_path}/nothing.tar#0.jpg")
    (tmp_path / "text.tar").write_text("this is no archive" * 100)
    with pytest.raises(UserError, match="is not a whole, uncompressed tar archive"):
        reader.read(f"{tmp_path}/text.tar#0.jpg")


def test_an_archive_that_was_cut_off_is_not_read_past_its_end(shard: Path) -> None:
    reader = ImageReader()
    reader.index([member(shard, 9)])
    offset, _ = reader._index_of(str(shard))["long" * 40 + "/9.jpg"]
    with shard.open("r+b") as file:
        file.truncate(offset + 10)
    with pytest.raises(ImageError, match="ends inside its member"):
        reader.read(member(shard, 9))


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "empty"),
        (b"hello", "not a whole image"),
        (jpeg(3, 200)[:-300], "cut short"),
        (jpeg(3)[:100], "not a whole image|cut short"),
        (png(np.zeros((40, 40, 3), np.uint8))[:-60], "cut short"),
        (saved("GIF", save_all=True, append_images=[Image.new("RGB", (24, 24), "white")])[:40], "cut short"),
    ],
)
def test_broken_images_are_refused(data: bytes, sentence: str) -> None:
    with pytest.raises(ImageError, match=sentence):
        decode_image(data, "x.jpg")


def test_a_few_bytes_that_would_fill_the_memory_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "SPARSE_PIXELS", 100 * 100)
    assert decode_image(png(np.zeros((100, 100), np.uint8)), "x.png").shape == (100, 100, 3)
    with pytest.raises(ImageError, match="too few"):
        decode_image(png(np.zeros((1000, 1000), np.uint8)), "x.png")


UPSIDE_RIGHT = Image.Exif()
UPSIDE_RIGHT[0x112] = 6


@pytest.mark.parametrize(
    "data",
    [
        png(np.full((8, 24, 3), 100 * 257, np.uint16)),
        png(np.full((8, 24), 100 * 257, np.uint16)),
        png(np.full((8, 24, 4), 100, np.uint8)),
        saved("PNG", "P"),
        saved("JPEG", "CMYK"),
        saved("JPEG", progressive=True),
        pytest.param(
            saved("GIF", save_all=True, append_images=[Image.new("RGB", (24, 8), "white")] * 3),
            marks=pytest.mark.skipif("GIF" not in cv2.getBuildInformation(), reason="this OpenCV reads no GIF"),
        ),
        saved("WEBP"),
        saved("TIFF"),
    ],
    ids=["16 bits", "16 bits grey", "alpha", "palette", "cmyk", "progressive", "animated", "webp", "tiff"],
)
def test_images_of_every_kind_come_as_colour(data: bytes) -> None:
    picture = decode_image(data, "x")
    assert (picture.shape, picture.dtype) == ((8, 24, 3), np.uint8)
    assert picture.mean() == pytest.approx(100, abs=3)


def test_an_image_is_turned_upright() -> None:
    assert decode_image(saved("JPEG", exif=UPSIDE_RIGHT), "x.jpg").shape == (24, 8, 3)


@pytest.mark.parametrize("name", ["Müller, Jörg.jpg", "line\nbreak.jpg", "脸 👤.jpg"])
def test_any_name_is_read(tmp_path: Path, name: str) -> None:
    (tmp_path / "elsewhere.jpg").write_bytes(jpeg(100))
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / name).symlink_to(tmp_path / "elsewhere.jpg")
    assert shade(ImageReader(), str(tmp_path / "tree" / name)) == pytest.approx(100, abs=2)


def test_what_is_no_file_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "endless.jpg").symlink_to("/dev/zero")
    for name in ("pipe.jpg", "endless.jpg", ""):
        with pytest.raises(ImageError, match="is not a file"):
            ImageReader().read(str(tmp_path / name))
    with pytest.raises(ImageError, match="null byte"):
        ImageReader().read("a\0b.jpg")


def test_rubbish_behind_a_whole_image_does_no_harm() -> None:
    assert decode_image(jpeg(50) + b"rubbish", "x.jpg").shape == (24, 24, 3)


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_few_archives_are_open_at_a_time_however_many_are_read(tmp_path: Path) -> None:
    paths = []
    for number in range(100):
        with tarfile.open(tmp_path / f"{number}.tar", "w") as archive:
            entry = tarfile.TarInfo("0.jpg")
            entry.size = len(data := jpeg(2 * number))
            archive.addfile(entry, io.BytesIO(data))
        paths.append(f"{tmp_path}/{number}.tar#0.jpg")
    reader, before = ImageReader(), open_files()
    assert [shade(reader, path) for path in paths] == pytest.approx([2 * number for number in range(100)], abs=2)
    assert open_files() - before == MAX_OPEN
    reader.close()
    assert open_files() == before
