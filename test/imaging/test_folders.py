import logging
import os

import pytest

from facial_attributes_ros.imaging.folders import files_in

JPG = frozenset({".jpg"})


@pytest.fixture
def folder(tmp_path):
    """A folder with a picture, and beside it one that it links to."""
    for place in ("set/happy/0.jpg", "elsewhere/1.jpg"):
        (tmp_path / place).parent.mkdir(parents=True)
        (tmp_path / place).touch()
    (tmp_path / "set" / "sad").symlink_to(tmp_path / "elsewhere")
    return tmp_path / "set"


def found(folder):
    return [str(path.relative_to(folder)) for path in files_in(folder, JPG)]


def test_links_to_folders_and_to_files_are_followed(folder, caplog):
    (folder / "2.jpg").symlink_to(folder.parent / "elsewhere" / "1.jpg")
    assert found(folder) == ["2.jpg", "happy/0.jpg", "sad/1.jpg"]
    assert not caplog.records


def test_a_link_behind_a_link_is_followed(folder):
    (folder.parent / "far").mkdir()
    (folder.parent / "far" / "3.jpg").touch()
    (folder.parent / "elsewhere" / "far").symlink_to(folder.parent / "far")
    assert found(folder) == ["happy/0.jpg", "sad/1.jpg", "sad/far/3.jpg"]


@pytest.mark.parametrize("target", [".", "..", "happy", "../elsewhere"])
def test_circles_end_and_no_folder_is_read_twice(folder, caplog, target):
    (folder / "zz").symlink_to(folder / target)
    assert found(folder) == ["happy/0.jpg", "sad/1.jpg"]
    assert "zz is dropped" in caplog.text


def test_what_is_left_out_is_said(folder, caplog):
    (folder / "nothing.jpg").symlink_to(folder / "gone")
    (folder / ".thumbnails").mkdir()
    for name in ("._0.jpg", ".thumbnails/0.jpg", "phone.heic", "notes.txt"):
        (folder / name).touch()
    assert found(folder) == ["happy/0.jpg", "sad/1.jpg"]
    said = sorted(record.getMessage().partition("files are dropped: ")[2] for record in caplog.records)
    assert said == ["the format .heic is not read.", "they are hidden.", "they are not files, or links to nothing."]
    assert f"In {folder} 2 files are dropped: they are hidden." in caplog.text


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_without_permission_is_said(folder, caplog):
    (folder / "happy").chmod(0)
    with caplog.at_level(logging.WARNING):
        assert found(folder) == ["sad/1.jpg"]
    assert "happy is dropped" in caplog.text
