"""The subcommand `prepare`."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from facial_attributes_training.data.manifest import read_manifest
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


@pytest.fixture
def families(tmp_path: Path) -> Path:
    """Three noisy pictures of each of 8 people, whom the column `subject` names."""
    random, lines = np.random.default_rng(0), ["path,gender,subject"]
    for index in range(24):
        cv2.imwrite(str(tmp_path / f"{index}.png"), random.integers(0, 255, (16, 16, 3), np.uint8))
        lines.append(f"{index}.png,male,person {index // 3}")
    (tmp_path / "faces.csv").write_text("\n".join(lines) + "\n")
    return tmp_path / "faces.csv"


def test_people_of_any_column_stay_together_and_are_told_of(
    families: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["prepare", "csv", str(families), "--boxes", "none", "--workers", "1", "--splits", "a=0.5,b=0.5"]
    assert main([*arguments, "--out", str(tmp_path / "by-picture")]) == 0
    printed = capsys.readouterr().out
    assert "Identities are not known" in printed
    assert "further columns here: subject" in printed

    assert main([*arguments, "--out", str(tmp_path / "out"), "--column", "identity=subject"]) == 0
    printed = capsys.readouterr().out
    assert "Identities are in the column identity: 8 people in 24 samples." in printed
    assert "None of them is in two splits." in printed
    people = [set(read_manifest(tmp_path / "out" / f"manifest-{split}.csv").people.tolist()) for split in "ab"]
    assert not people[0] & people[1]
    assert len(people[0] | people[1]) == 8


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["fairface", "nowhere"], "given out by its authors"),
        (["csv", "nowhere.csv"], "nowhere.csv is missing"),
        (["manifest", "nowhere.csv"], "can't be read"),
        (["fairface", ".", "--keep", "2"], "--keep"),
        (["fairface", ".", "--splits", "half"], "splits are given as"),
        (["fairface", ".", "--splits", "train=nan,test=0.5"], "above 0 and add up to 1"),
        (["fairface", ".", "--limit", "0"], "--limit must be a whole number from 1 on"),
        (["fairface", ".", "--limit", "-1"], "--limit must be a whole number from 1 on"),
        (["csv", ".", "--column", "gender"], "OURS=YOURS is the form"),
        (["csv", ".", "--column", "identiy=subject"], "no column identiy; it has path, split"),
        (["csv", ".", "--value", "split:1=train"], "only the values of age_group, gender, emotion can be mapped"),
        (["manifest", ".", "--column", "identity=subject"], "--column is not for manifest; it is for csv"),
        (["folders", ".", "--column", "identity=subject"], "--column is not for folders; it is for csv"),
        (["fairface", ".", "--value", "gender:M=male"], "--value is not for fairface; it is for csv and folders"),
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
    assert "people.csv has no samples" in capsys.readouterr().err
