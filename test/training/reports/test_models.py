"""The comparison of models on labelled images, and the mistakes of each as images."""

from dataclasses import replace

import numpy as np
import pytest
from facial_attributes_training.measure.predictions import predict_manifest
from facial_attributes_training.reports import models
from facial_attributes_training.reports.mistakes import mistakes
from facial_attributes_training.reports.models import Measured, model_of, write_models

from facial_attributes_ros.attributes import AGE, LABELS
from facial_attributes_ros.cli.main import main


@pytest.fixture
def measured(engine, faces):
    """Return a model, and one that is right about every age."""
    predictions = predict_manifest(engine, faces)
    better = {AGE: 9 * np.eye(len(LABELS[AGE]), dtype=np.float32)[faces.labels[AGE]]}
    right = replace(predictions, logits=predictions.logits | better)
    return [
        Measured("small", engine.spec, predictions),
        Measured("runs/my-lab", replace(engine.spec, name="my-lab", version="1.0.0"), right),
    ]


def test_models_are_compared_in_pairs_and_their_mistakes_stay_outside_the_report(tmp_path, measured, faces):
    text = write_models(tmp_path, measured, "facial-attributes compare small runs/my-lab")
    (line,) = [line for line in text.splitlines() if line.startswith("| all | age |")]
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    wrong = float((measured[0].predictions.logits[AGE].argmax(axis=1) != faces.labels[AGE]).mean())
    assert cells[2] == "200"
    assert cells[3] == f"{100 * (1 - wrong):.1f} → 100.0"
    assert cells[4].startswith(f"+{100 * wrong:.1f} [+")
    shown = sorted(path.name for path in (tmp_path / "1-shades" / "mistakes").iterdir())
    assert len(shown) == 25
    assert shown[-1] == "index.html"
    assert not (tmp_path / "2-my-lab" / "mistakes").exists()
    page = (tmp_path / "models.html").read_text()
    assert "1-shades/mistakes/index.html" in page
    assert "<img" not in page


def test_the_most_confident_mistakes_come_first(tmp_path, measured):
    write_models(tmp_path, measured, "")
    found = mistakes(tmp_path / "1-shades" / "predictions.csv", 5)
    assert len(found) == 5
    assert all(mistake.truth != mistake.predicted for mistake in found)
    assert [each.probability for each in found] == sorted((each.probability for each in found), reverse=True)


def test_a_runs_folder_stands_for_its_model(tmp_path):
    (tmp_path / "model").mkdir()
    assert model_of(str(tmp_path)) == str(tmp_path)
    (tmp_path / "model" / "model.json").touch()
    assert model_of(str(tmp_path)) == str(tmp_path / "model")
    assert model_of("small") == "small"


def test_compare_takes_models_if_there_is_a_manifest(tmp_path, measured, faces, monkeypatch, capsys):
    from facial_attributes_training.data.manifest import write_manifest

    write_manifest(tmp_path / "manifest.csv", faces)
    command = ["compare", "small", "--manifest", str(tmp_path / "manifest.csv"), "--out", str(tmp_path / "out")]
    assert main(command) == 2
    assert "takes two models or more" in capsys.readouterr().err
    monkeypatch.setattr(models, "measure_models", lambda names, *_: measured if len(names) == 2 else [])
    assert main(["compare", "runs/my-lab", *command[1:]]) == 0
    assert "## shades" in capsys.readouterr().out
