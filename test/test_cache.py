"""Where the cache lies: the user's choice, the home, or a private temporary folder."""

import os
import pwd
import tempfile
from pathlib import Path

import pytest

from facial_attributes_ros import cache
from facial_attributes_ros.cache import cache_dir, can_write, temporary_cache, writable_cache
from facial_attributes_ros.errors import UserError
from facial_attributes_ros.files import expanded


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The system's place for temporary files."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.delenv("FACIAL_ATTRIBUTES_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    cache._with_warning.cache_clear()
    return folder


def nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Be a user without HOME and without an entry in the table of users."""

    def unknown(_: object) -> None:
        raise KeyError("no such user")

    monkeypatch.delenv("HOME")
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    monkeypatch.setattr(pwd, "getpwnam", unknown)


def read_only(monkeypatch: pytest.MonkeyPatch, *folders: Path) -> None:
    """Have nobody write to folders, not even root, who runs the tests in a container."""
    real = os.access
    monkeypatch.setattr(
        os, "access", lambda path, mode: not any(Path(path).is_relative_to(one) for one in folders) and real(path, mode)
    )


def test_the_cache_follows_the_variables_that_name_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert cache_dir() == Path.home() / ".cache/facial_attributes_ros"
    monkeypatch.setenv("XDG_CACHE_HOME", "/xdg")
    assert cache_dir() == Path("/xdg/facial_attributes_ros")
    monkeypatch.setenv("FACIAL_ATTRIBUTES_CACHE", "/somewhere")
    assert cache_dir() == Path("/somewhere")


def test_a_user_without_a_home_gets_a_private_folder_and_is_told_once(
    temporary: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    nobody(monkeypatch)
    assert cache_dir() == writable_cache() == temporary / f"facial_attributes_ros-{os.geteuid()}"
    assert cache_dir().stat().st_mode & 0o777 == 0o700
    assert caplog.text.count("set FACIAL_ATTRIBUTES_CACHE") == 1


def test_a_home_that_is_not_known_is_told_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    nobody(monkeypatch)
    monkeypatch.setenv("FACIAL_ATTRIBUTES_CACHE", "~/cache")
    with pytest.raises(UserError, match="~/cache names a home folder that is not known"):
        cache_dir()
    with pytest.raises(UserError, match="~someone/model"):
        expanded("~someone/model")


def test_what_can_not_be_kept_in_a_read_only_home_is_kept_in_the_private_folder(
    tmp_path: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert writable_cache() == cache_dir()
    read_only(monkeypatch, tmp_path)
    assert cache_dir() == tmp_path / "home/.cache/facial_attributes_ros", "where files may lie that can be read"
    assert writable_cache().parent == temporary
    assert f"{cache_dir()} can't be written" in caplog.text


def test_a_folder_that_may_not_be_entered_is_one_that_can_not_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.stat

    def closed(path: os.PathLike[str], **options: object) -> os.stat_result:
        if tmp_path in Path(path).parents:
            raise PermissionError(13, "Permission denied", str(path))
        return real(path, **options)

    read_only(monkeypatch, tmp_path)
    monkeypatch.setattr(os, "stat", closed)
    assert not can_write(tmp_path / "home" / "cache")


@pytest.mark.parametrize("taken", ["folder", "link"])
def test_a_folder_that_others_can_write_to_is_not_trusted(taken: str, temporary: Path, tmp_path: Path) -> None:
    name = temporary / f"facial_attributes_ros-{os.geteuid()}"
    if taken == "link":
        name.symlink_to(tmp_path)
    else:
        name.mkdir()
        name.chmod(0o777)
    found = temporary_cache()
    assert found != name
    assert found.parent == temporary
    assert found.stat().st_mode & 0o777 == 0o700


def test_no_place_at_all_is_told_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cache, "_private", full)
    with pytest.raises(UserError, match=r"Neither the cache nor temporary .*set FACIAL_ATTRIBUTES_CACHE"):
        temporary_cache()
