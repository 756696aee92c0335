"""The subcommand `prepare`."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from facial_attributes_training.manifest import read_manifest
from facial_attributes_training.prepare.sources import SOURCES

from facial_attributes_ros.cli.main import main
from facial_attributes_ros.cli.prepare import _NAMES


@pytest.fixture
def table(tmp_path: Path) -> Path:
    for index in range(6):
        cv2.imwrite(str(tmp_path / f"{index}.png"), np.full((20, 20, 3), 30 * index, np.uint8))
    lines = ["file,Sex", *(f"{index}.png,{'MW'[index % 2]}" for index in range(6)), "gone.png,M"]
    (tmp_path / "people.csv").write_text("\n".join(lines) + "\n")
    return tmp_path / "people.csv"


def test_every_reader_can_be_named() -> None:
    assert set(_NAMES) == {*SOURCES, "csv", "folders"}


def test_a_csv_of_ones_own(table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mapping = [
        "--column",
        "path=file",
        "--column",
        "gender=Sex",
        "--value",
        "gender:M=male",
        "--value",
        "gender:W=female",
    ]
    arguments = ["prepare", "csv", str(table), "--out", str(tmp_path / "out"), "--boxes", "none", "--workers", "1"]
    assert main([*arguments, *mapping, "--splits", "train=0.5,val=0.5"]) == 0
    output = capsys.readouterr().out
    assert "people: unreadable: 1" in output
    manifests = [read_manifest(path) for path in sorted((tmp_path / "out").glob("manifest-*.csv"))]
    assert sum(len(manifest) for manifest in manifests) == 6
    assert {str(name) for manifest in manifests for name in manifest.sources} == {"people"}


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["fairface", "nowhere"], "given out by its authors"),
        (["csv", "nowhere.csv"], "nowhere.csv is missing"),
        (["manifest", "nowhere.csv"], "can't be read"),
        (["fairface", ".", "--keep", "2"], "--keep"),
        (["fairface", ".", "--splits", "half"], "splits are given as"),
        (["fairface", ".", "--splits", "train=nan,test=0.5"], "above 0 and add up to 1"),
        (["fairface", ".", "--limit", "0"], "--limit must be at least 1"),
        (["fairface", ".", "--limit", "-1"], "--limit must be at least 1"),
        (["csv", ".", "--column", "gender"], "OURS=YOURS is the form"),
    ],
)
def test_mistakes_end_with_a_sentence(
    arguments: list[str], sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["prepare", *arguments, "--out", str(tmp_path), "--boxes", "none"]) == 2
    assert sentence in capsys.readouterr().err


def test_a_csv_without_rows_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "people.csv").write_text("path,gender\n")
    assert main(["prepare", "csv", str(tmp_path / "people.csv"), "--out", str(tmp_path / "out")]) == 2
    assert "people.csv has no rows" in capsys.readouterr().err
