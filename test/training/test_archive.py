"""Pictures out of folders and tar archives."""

import io
import multiprocessing
import pickle
import tarfile
from pathlib import Path

import cv2
import numpy as np
import pytest
from facial_attributes_training.archive import PictureError, PictureReader, decode_picture, split_member

from facial_attributes_ros.errors import UserError


def jpeg(shade: int, size: int = 24) -> bytes:
    return bytes(cv2.imencode(".jpg", np.full((size, size, 3), shade, np.uint8))[1])


@pytest.fixture
def shard(tmp_path: Path) -> Path:
    """A tar archive with ten pictures, each of another shade, in a folder with a long name."""
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


def shade(reader: PictureReader, path: str) -> float:
    return float(reader.picture(path).mean())


def test_members_are_read_in_any_order(shard: Path) -> None:
    reader = PictureReader()
    for index in (9, 0, 5, 5, 1):
        assert shade(reader, member(shard, index)) == pytest.approx(20 * index, abs=2)


def test_a_reader_survives_a_fork_and_a_pickle(shard: Path) -> None:
    reader = PictureReader()
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
    assert shade(PictureReader(), str(tmp_path / "a#1.jpg")) == pytest.approx(100, abs=2)


def test_what_is_missing_or_broken_gets_a_sentence(shard: Path, tmp_path: Path) -> None:
    reader = PictureReader()
    with pytest.raises(PictureError, match="has no member"):
        reader.read(f"{shard}#nothing.jpg")
    with pytest.raises(PictureError, match="can't be read"):
        reader.read(str(tmp_path / "nothing.jpg"))
    with pytest.raises(UserError, match="can't be read"):
        reader.read(f"{tmp_path}/nothing.tar#0.jpg")
    (tmp_path / "text.tar").write_text("this is no archive" * 100)
    with pytest.raises(UserError, match="is not a whole, uncompressed tar archive"):
        reader.read(f"{tmp_path}/text.tar#0.jpg")


def test_an_archive_that_was_cut_off_is_not_read_past_its_end(shard: Path) -> None:
    reader = PictureReader()
    reader.index([member(shard, 9)])
    offset, _ = reader._index_of(str(shard))["long" * 40 + "/9.jpg"]
    with shard.open("r+b") as file:
        file.truncate(offset + 10)
    with pytest.raises(PictureError, match="ends inside its member"):
        reader.read(member(shard, 9))


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "empty"),
        (b"hello", "damaged"),
        (jpeg(3, 200)[:-300], "cut off"),
        (jpeg(3)[:100], "damaged|cut off"),
    ],
)
def test_broken_pictures_are_refused(data: bytes, sentence: str) -> None:
    with pytest.raises(PictureError, match=sentence):
        decode_picture(data, "x.jpg")


def test_rubbish_behind_a_whole_picture_does_no_harm() -> None:
    assert decode_picture(jpeg(50) + b"rubbish", "x.jpg").shape == (24, 24, 3)
