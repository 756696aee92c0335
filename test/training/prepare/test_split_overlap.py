"""The overlap of a run's splits is reported, and the report claims no more than what was found."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from facial_attributes_training.data.manifest import Manifest, Row, read_manifest
from facial_attributes_training.fit.run import train
from facial_attributes_training.prepare.split_overlap import Comparison, compare_splits
from facial_attributes_training.recipe.schema import Recipe
from facial_attributes_training.reports.run import write_reports
from facial_attributes_training.reports.trained_on import compare_with_training

HELD_OUT = "held-out samples, which nothing was chosen or fitted on"


@pytest.fixture
def pictures(tmp_path: Path) -> Callable[..., Manifest]:
    """Write a noisy image of every seed, mirrored and smaller if asked, and return the samples."""

    def make(folder: str, seeds: list[int], copies: bool = False, people: list[str] | None = None) -> Manifest:
        (tmp_path / folder).mkdir(exist_ok=True)
        rows = []
        for seed, person in zip(seeds, people or [""] * len(seeds), strict=True):
            cells = np.random.default_rng(seed).integers(0, 256, (12, 12, 3), dtype=np.uint8)
            shown = cv2.resize(cells, (64, 64), interpolation=cv2.INTER_LINEAR)
            path = tmp_path / folder / f"{seed}.jpg"
            cv2.imwrite(str(path), cv2.resize(shown[:, ::-1], (50, 50)) if copies else shown)
            rows.append(Row(str(path), source="s", labels={"gender": "male"}, extra={"identity": person}))
        return Manifest.from_rows(rows)

    return make


def compared(tmp_path: Path, splits: dict[str, Manifest]) -> Comparison:
    return compare_splits(splits, "test", [tmp_path / "manifest.csv"], tmp_path / "compared.jsonl")


def test_every_pair_of_splits_is_compared(pictures: Callable[..., Manifest], tmp_path: Path) -> None:
    splits = {
        "training": pictures("a", [0, 1, 2, 3]),
        "validation": pictures("b", [1, 10, 11], copies=True),
        "test": pictures("c", [2, 11, 20], copies=True),
    }
    found = compared(tmp_path, splits)
    assert {(each.split, each.other): dict(each.images) for each in found.overlaps} == {
        ("validation", "training"): {"near copy": 1},
        ("test", "training"): {"near copy": 1},
        ("test", "validation"): {"same image": 1},
    }
    assert "1 of 3 test samples show images that are among the training samples too" in found.notes[1]
    assert HELD_OUT not in found.summary
    assert "Beware: these metrics are too high. 1 of 3 test samples" in found.summary


def test_samples_without_overlap_are_called_held_out(pictures: Callable[..., Manifest], tmp_path: Path) -> None:
    splits = {"training": pictures("a", [0, 1]), "validation": pictures("b", [1]), "test": pictures("c", [2, 3])}
    found = compared(tmp_path, splits)
    assert len(found.notes) == 1, "the validation samples are noted, but metrics are not of them"
    assert HELD_OUT in found.summary
    assert "not all identities are known" in found.summary


def test_people_are_compared_by_their_column(pictures: Callable[..., Manifest], tmp_path: Path) -> None:
    splits = {
        "training": pictures("a", [0, 1, 2], people=["ann", "bob", "cid"]),
        "test": pictures("b", [3, 4, 5], people=["bob", "dan", "bob"]),
    }
    found = compared(tmp_path, splits)
    assert found.notes[0].startswith("2 of 3 test samples show people who are in the training samples too")
    assert HELD_OUT not in found.summary
    splits["test"] = pictures("c", [6], people=["eve"])
    assert "no person is in both" in compared(tmp_path, splits).summary


def test_images_that_cannot_be_read_are_counted(pictures: Callable[..., Manifest], tmp_path: Path) -> None:
    rows = [Row(str(tmp_path / "gone.png")), Row("https://host/shard.tar#0.jpg")]
    splits = {"training": Manifest.from_rows(rows), "test": pictures("b", [3])}
    found = compared(tmp_path, splits)
    assert found.notes == ["2 images could not be read, and were compared by their names alone."]
    assert "(2 images could not be read and were compared by name)" in found.summary
    splits["test"] = Manifest.from_rows(rows[:1])
    assert "1 of 1 test samples show images" in compared(tmp_path, splits).summary


@pytest.mark.parametrize("measured", ["test", "held-out"])
def test_the_report_of_a_run_follows_from_the_comparison(
    measured: str, make_recipe: Callable[..., Recipe], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    sets = make_recipe("run").data.train
    data = {"train": sets, "validation": sets} | ({"test": sets} if measured == "test" else {})
    train(make_recipe("run", data=data, epochs=1, adaptation="lp"), write_report=write_reports)
    assert f"{measured} samples show images that are among the training samples too" in caplog.text
    report = (tmp_path / "run" / "report.md").read_text()
    assert HELD_OUT not in report
    assert "Beware: these metrics are too high." in report
    rows = read_manifest(sets[0].manifest)
    known = compare_with_training(tmp_path / "run" / "model", rows, [sets[0].manifest])
    assert known is not None
    assert "24 of 24 measured samples show images that are among the training samples too" in known.summary
    assert compare_with_training(tmp_path / "elsewhere" / "model", rows, [sets[0].manifest]) is None
