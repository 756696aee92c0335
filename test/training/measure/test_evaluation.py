"""From images to figures and a report."""

import csv
import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from facial_attributes_training.data.manifest import Manifest, Row
from facial_attributes_training.data.subsets import first_half
from facial_attributes_training.measure.evaluation import Group, evaluate, group_columns, worst_group_gap
from facial_attributes_training.measure.metrics import Estimate
from facial_attributes_training.measure.predictions import predict_manifest, write_predictions
from facial_attributes_training.reports.evaluation import Run, summary_rows, to_json, write_report
from numpy.typing import NDArray

from facial_attributes_ros.attributes import AGE, GENDER, LABELS, MISSING, Detection
from facial_attributes_ros.errors import UserError
from facial_attributes_ros.options import DetectorOptions

if TYPE_CHECKING:
    from conftest import ShadeEngine

RUN = Run("shades", "test", ("m.csv",), "val", "box", "facial-attributes evaluate")


class Nobody:
    """A detector that finds no face."""

    options = DetectorOptions()

    def detect(self, image: NDArray[np.uint8]) -> list[Detection]:
        return []


class Everywhere(Nobody):
    """A detector that takes the inner square for the face."""

    def detect(self, image: NDArray[np.uint8]) -> list[Detection]:
        return [Detection(np.array([4, 4, 16, 16], np.float32), 0.9)]


def test_every_sample_is_predicted_in_its_place(engine: "ShadeEngine", faces: Manifest) -> None:
    told: list[int] = []
    predictions = predict_manifest(engine, faces, progress=lambda done, _: told.append(done))
    assert told[-1] == len(faces)
    assert (predictions.logits[GENDER].argmax(axis=1) == faces.labels[GENDER]).all()
    assert (predictions.logits[AGE].argmax(axis=1) == faces.labels[AGE]).mean() > 0.75


def test_the_figures_are_those_of_the_raw_predictions(engine: "ShadeEngine", faces: Manifest) -> None:
    predictions = predict_manifest(engine, faces)
    results = evaluate(predictions, engine.spec).results
    assert set(results) == {"groups", "years", "all"}
    assert results["all"][GENDER].accuracy.value == 1
    right = predictions.logits[AGE].argmax(axis=1) == faces.labels[AGE]
    assert results["all"][AGE].accuracy.value == pytest.approx(right.mean())
    assert results["years"][AGE].accuracy.value == pytest.approx(right[faces.sources == "years"].mean())
    assert results["all"][AGE].off_by_one == Estimate(1, 1, 1)
    assert results["groups"][AGE].years is None
    years = results["years"][AGE].years
    assert years is not None
    expected = predictions.probabilities(AGE) @ np.array(engine.spec.age_centroids)
    known = ~np.isnan(faces.age_years)
    assert years.rows == known.sum()
    assert years.mae.value == pytest.approx(np.abs(expected - faces.age_years)[known].mean(), rel=1e-5)


def test_groups_tell_the_camera_that_is_wrong(engine: "ShadeEngine", faces: Manifest) -> None:
    result = evaluate(predict_manifest(engine, faces), engine.spec).results["all"][AGE]
    assert set(result.groups) == {"gender", "camera"}
    assert result.groups["camera"]["right"].accuracy.value == 1
    assert result.groups["camera"]["left"].accuracy.value < 0.4
    assert result.gaps["camera"] == pytest.approx(1 - result.groups["camera"]["left"].accuracy.value)


def test_small_groups_do_not_count_for_the_gap() -> None:
    small, large = (Group(rows, Estimate(value, 0, 1), Estimate(value, 0, 1)) for rows, value in ((29, 0.1), (30, 0.8)))
    assert worst_group_gap({"a": small, "b": large, "c": large}) == 0
    assert worst_group_gap({"a": small, "b": large}) is None


def test_a_column_that_identifies_every_sample_is_no_group(faces: Manifest) -> None:
    assert set(group_columns(faces, GENDER)) == {"age_group", "camera"}


def test_temperatures_are_fitted_on_samples_that_are_not_measured(engine: "ShadeEngine", faces: Manifest) -> None:
    predictions = predict_manifest(engine, faces)
    before = evaluate(predictions, engine.spec).results["all"][GENDER].calibration
    assert before.temperature == 1
    assert before.after == before.before
    fitted = evaluate(predictions, engine.spec, fit=True)
    after = fitted.results["all"][GENDER].calibration
    # Always right at a confidence of 0.88: the temperature is as low as the prior lets it be.
    assert before.before == pytest.approx(1 - 0.8808, abs=1e-3)
    assert after.after < 0.01
    assert after.nll[1] < after.nll[0] / 10
    assert after.brier[1] < after.brier[0] / 10
    assert after.rows == (~first_half(faces)).sum()


def test_samples_that_can_not_be_predicted_are_counted(engine: "ShadeEngine", faces: Manifest, tmp_path: Path) -> None:
    (tmp_path / "0.png").write_bytes(b"x")
    odd = Manifest.concatenate([faces.take([0, 1]), Manifest.from_rows([Row(str(tmp_path / "2.png"), labels={})])])
    predictions = predict_manifest(engine, odd)
    assert evaluate(predictions, engine.spec).skipped == {"no box": 1, "unreadable": 1}
    assert predictions.manifest.paths.tolist() == [str(tmp_path / "1.png")]
    with pytest.raises(UserError, match="none of the 200 samples"):
        predict_manifest(engine, faces, "detect", Nobody())


def test_faces_are_cut_as_asked(engine: "ShadeEngine", faces: Manifest) -> None:
    boxed = predict_manifest(engine, faces).logits[AGE]
    np.testing.assert_array_equal(predict_manifest(engine, faces, "detect", Everywhere()).logits[AGE], boxed)
    # The whole image has a black border, which makes it darker.
    whole = predict_manifest(engine, faces, "none").logits[AGE].argmax(axis=1)
    assert (whole <= boxed.argmax(axis=1)).all()
    assert whole.mean() < boxed.argmax(axis=1).mean()


def test_the_raw_predictions_give_the_figures_again(engine: "ShadeEngine", faces: Manifest, tmp_path: Path) -> None:
    predictions = predict_manifest(engine, faces)
    ages = np.arange(len(faces), dtype=np.float64)
    write_predictions(tmp_path / "p" / "p.csv", predictions, {AGE: 2.0, GENDER: 1.0}, ages)
    with (tmp_path / "p" / "p.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(tmp_path / "p" / row["path"]).resolve() for row in rows] == [Path(path) for path in faces.paths]
    right = np.mean([row["age_group"] == row["predicted_age_group"] for row in rows])
    assert right == pytest.approx(evaluate(predictions, engine.spec).results["all"][AGE].accuracy.value)
    for row in rows[:20]:
        assert sum(float(row[f"age {label}"]) for label in LABELS[AGE]) == pytest.approx(1, abs=1e-4)
    assert rows[7]["expected_age"] == "7.00"


def test_a_missing_label_is_an_empty_cell(engine: "ShadeEngine", faces: Manifest, tmp_path: Path) -> None:
    faces.labels[GENDER][3] = MISSING
    predictions = predict_manifest(engine, faces)
    write_predictions(tmp_path / "p.csv", predictions, {AGE: 1.0, GENDER: 1.0}, None)
    with (tmp_path / "p.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert (rows[3]["gender"], rows[3]["expected_age"]) == ("", "")
    assert rows[4]["gender"]
    assert evaluate(predictions, engine.spec).results["all"][GENDER].rows == len(faces) - 1


def test_the_report_has_its_plots_and_the_json_is_strict(
    engine: "ShadeEngine", faces: Manifest, tmp_path: Path
) -> None:
    # One data set is enough: drawing plots is slow.
    evaluation = evaluate(predict_manifest(engine, faces.take(faces.sources == "years")), engine.spec)
    files = write_report(tmp_path / "report", evaluation, RUN)
    assert all(file.is_file() for file in files)
    text = (tmp_path / "report" / "report.md").read_text()
    plots = {file.relative_to(tmp_path / "report").as_posix() for file in files if file.suffix == ".png"}
    assert plots == {part.split(")")[0] for part in text.split("](")[1:]}
    assert "plots/years-age-confusion.png" in plots

    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is no JSON")

    document = json.loads((tmp_path / "report" / "evaluation.json").read_text(), parse_constant=refuse)
    assert document["results"] == to_json(evaluation, RUN)["results"]
    assert np.sum(document["results"]["years"]["age"]["confusion"]) == len(faces) / 2
    with (tmp_path / "report" / "evaluation.csv").open(newline="") as file:
        assert [dict(row) for row in csv.DictReader(file)] == [
            {name: str(value) for name, value in row.items()} for row in summary_rows(evaluation)
        ]
