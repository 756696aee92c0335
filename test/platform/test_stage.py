"""Bringing what a run needs to another machine in parts."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from facial_attributes_training.data.archive import PictureReader
from facial_attributes_training.data.manifest import Manifest, Row, read_manifest, write_manifest
from stage import StageError, pack, unpack

LIMIT = 9000


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    """A recipe on pictures in an archive and beside it, two of the same name."""
    import tarfile

    random, rows = np.random.default_rng(0), []
    for place in ("a", "b"):
        folder = tmp_path / "data" / place
        folder.mkdir(parents=True)
        for index in range(3):
            path = folder / f"{index}.png"
            cv2.imwrite(str(path), random.integers(0, 256, (30, 30, 3), dtype=np.uint8))
            rows.append(Row(str(path), "train", place, {"gender": "male"}, box=(1.0, 2.0, 20.0, 20.0)))
    archive = tmp_path / "data" / "shard.tar"
    with tarfile.open(archive, "w") as file:
        file.add(tmp_path / "data" / "a" / "0.png", "x/0.png")
    rows.append(Row(f"{archive}#x/0.png", "train", "c", {"gender": "female"}, extra={"origin": "o"}))
    write_manifest(tmp_path / "data" / "m.csv", Manifest.from_rows(rows))
    sets = [{"manifest": str(tmp_path / "data" / "m.csv"), "sources": ["a", "b", "c"]}]
    values = {
        "name": "tiny",
        "backbone": {"name": "timm:vit_tiny_patch16_224", "weights": None},
        "data": {"train": sets, "validation": sets},
    }
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(values))
    return path


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Another checkout, so that nothing is linked in this one."""
    import stage

    monkeypatch.setattr(stage, "__file__", str(tmp_path / "there" / "scripts" / "stage.py"))
    return tmp_path / "there"


def pictures(manifest: Manifest) -> list[np.ndarray]:
    reader = PictureReader()
    return [reader.picture(str(path)) for path in manifest.paths]


def test_what_is_unpacked_elsewhere_is_what_was_packed(recipe: Path, root: Path, tmp_path: Path) -> None:
    count = pack(recipe, tmp_path / "parts", Path("work/staged"), LIMIT)
    assert count > 2
    sizes = [path.stat().st_size for path in sorted((tmp_path / "parts").glob("part-*/data"))]
    assert len(sizes) == count
    assert all(size == LIMIT for size in sizes[:-1])
    assert sizes[-1] <= LIMIT
    expected = read_manifest(tmp_path / "data" / "m.csv")
    before = pictures(expected)
    shutil.rmtree(tmp_path / "data")
    unpack(tmp_path / "parts", root / "work" / "staged")
    staged = yaml.safe_load((root / "work" / "staged" / "recipe.yaml").read_text())
    assert staged["data"]["train"][0]["manifest"] == "work/staged/train-0.csv"
    assert staged["data"]["train"][0]["sources"] == ["a", "b", "c"]
    for kind in ("train", "validation"):
        found = read_manifest(root / staged["data"][kind][0]["manifest"])
        assert all(str(path).startswith(str(root)) for path in found.paths)
        np.testing.assert_array_equal(found.boxes, expected.boxes)
        assert found.extra["origin"].tolist() == expected.extra["origin"].tolist()
        for one, other in zip(pictures(found), before, strict=True):
            np.testing.assert_array_equal(one, other)
    assert (root / "build" / "site" / "facial_attributes_training").is_symlink()


def test_the_checkpoint_and_the_test_rows_go_along(recipe: Path, root: Path, tmp_path: Path) -> None:
    values = yaml.safe_load(recipe.read_text())
    (tmp_path / "last.pt").write_bytes(b"weights")
    (tmp_path / "papers.json").write_text("terms")
    values["backbone"]["start"] = str(tmp_path / "last.pt")
    values["adaptation"] = "full"
    values["data"]["test"] = values["data"]["validation"]
    recipe.write_text(yaml.safe_dump(values))
    pack(recipe, tmp_path / "parts", tmp_path / "there", LIMIT)
    unpack(tmp_path / "parts", tmp_path / "there")
    staged = yaml.safe_load((tmp_path / "there" / "recipe.yaml").read_text())
    start = Path(staged["backbone"]["start"])
    assert start.read_bytes() == b"weights"
    assert start.with_name("papers.json").read_text() == "terms"
    assert len(read_manifest(Path(staged["data"]["test"][0]["manifest"]))) == 7
    values["backbone"]["weights"] = "hub@" + "0" * 40
    recipe.write_text(yaml.safe_dump(values))
    with pytest.raises(StageError, match="would be fetched"):
        pack(recipe, tmp_path / "parts", tmp_path / "there", LIMIT)


def test_missing_and_damaged_parts_are_named(recipe: Path, root: Path, tmp_path: Path) -> None:
    parts = tmp_path / "parts"
    with pytest.raises(StageError, match="no parts"):
        unpack(parts, root / "staged")
    pack(recipe, parts, Path("staged"), LIMIT)
    moved = (parts / "part-01").rename(tmp_path / "later")
    with pytest.raises(StageError, match="part-01 of"):
        unpack(parts, root / "staged")
    moved.rename(parts / "part-01")
    (parts / "part-01" / "data").write_bytes(b"x" * LIMIT)
    with pytest.raises(StageError, match="part-01/data is not what was packed"):
        unpack(parts, root / "staged")
    assert not (root / "staged" / "recipe.yaml").exists()


def test_packing_again_leaves_no_old_parts(recipe: Path, tmp_path: Path) -> None:
    many = pack(recipe, tmp_path / "parts", Path("staged"), LIMIT)
    few = pack(recipe, tmp_path / "parts", Path("staged"), 10 * LIMIT)
    assert few < many
    assert len(list((tmp_path / "parts").glob("part-*"))) == few
    index = json.loads((tmp_path / "parts" / "part-00" / "index.json").read_text())
    assert len(index["sha256"]) == few


def test_unpacking_needs_nothing_but_the_standard_library(recipe: Path, tmp_path: Path) -> None:
    pack(recipe, tmp_path / "parts", Path("staged"), LIMIT)
    script = tmp_path / "there" / "scripts" / "stage.py"
    script.parent.mkdir(parents=True)
    shutil.copy(Path(__file__).resolve().parents[2] / "scripts" / "stage.py", script)
    command = [sys.executable, "-I", "-S", str(script), "unpack", str(tmp_path / "parts"), "--to", str(tmp_path / "to")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "to" / "recipe.yaml").is_file()


def test_a_missing_picture_is_told_in_a_sentence(recipe: Path, tmp_path: Path) -> None:
    (tmp_path / "data" / "b" / "1.png").unlink()
    with pytest.raises(StageError, match=r"b/1\.png can't be packed"):
        pack(recipe, tmp_path / "parts", Path("staged"), LIMIT)
