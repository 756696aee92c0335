"""The subcommand `evaluate`, with a model that can be understood at a glance."""

import json
import re
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from facial_attributes_ros.attributes import EMOTION, GENDER
from facial_attributes_ros.cli.main import main
from facial_attributes_ros.engines import load as engines
from facial_attributes_ros.models.backbones.reference import BackboneReference
from facial_attributes_ros.models.provenance import Licence, Parent
from facial_attributes_ros.models.registry import model_folder
from facial_attributes_ros.models.spec import ModelSpec


class Happy:
    """Takes everybody for happy."""

    name, device = "happy", "cpu"
    spec = ModelSpec("happy", BackboneReference("none"), 16, (0.5,) * 3, (0.5,) * 3, tasks=(EMOTION,))

    def logits(self, crops: np.ndarray, tasks: object = None) -> dict[str, np.ndarray]:
        logits = {EMOTION: np.float32([0, 0, 0, 3, 0, 0, 0]), GENDER: np.float32([0, 3])}
        return {task: np.tile(logits[task], (len(crops), 1)) for task in self.spec.tasks}


@pytest.fixture
def manifest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(engines, "load_engine", lambda *_args: Happy())
    lines = ["path,split,emotion,box_x,box_y,box_w,box_h"]
    for index, emotion in enumerate(["happy", "happy", "happy", "sad"]):
        cv2.imwrite(str(tmp_path / f"{index}.png"), np.full((20, 20, 3), 50 * index, np.uint8))
        lines.append(f"{index}.png,{'val' if index else 'train'},{emotion},0,0,20,20")
    (tmp_path / "m.csv").write_text("\n".join(lines) + "\n")
    return tmp_path / "m.csv"


def test_json_goes_to_standard_output_alone(manifest: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "--manifest", str(manifest), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["results"]["unnamed"]["emotion"]["accuracy"]["value"] == 0.75
    assert document["run"]["crop"] == "box"


def test_a_split_is_taken_and_the_report_is_written(
    manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert main(["evaluate", "--manifest", str(manifest), "--split", "val", "--out", str(out)]) == 0
    assert "0.6667" in capsys.readouterr().out
    assert len((out / "predictions.csv").read_text().splitlines()) == 4
    report = (out / "report.md").read_text()
    assert "# Evaluation of happy" in report
    assert "The training samples of this model are not known" in report


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--split", "test"], "these splits: train, val"),
        (["--crop", "detect", "--detector", "nobody"], "nobody"),
        (["--save-calibration", "copy"], "give both"),
        (["--rows", "0"], "from 1 on"),
    ],
)
def test_mistakes_end_with_a_sentence(
    manifest: Path, arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", "--manifest", str(manifest), *arguments]) == 2
    assert sentence in capsys.readouterr().err


@pytest.fixture
def many(manifest: Path, tmp_path: Path) -> Path:
    """Enough rows to fit something: happy three times in four."""
    lines = manifest.read_text().splitlines()
    for index in range(200):
        cv2.imwrite(str(tmp_path / f"more{index}.png"), np.full((20, 20, 3), 100, np.uint8))
        lines.append(f"more{index}.png,val,{'sad' if index % 4 == 0 else 'happy'},0,0,20,20")
    manifest.write_text("\n".join(lines) + "\n")
    return manifest


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A model with a second task, of which there are no rows, and with papers."""
    spec = replace(
        Happy.spec,
        tasks=(GENDER, EMOTION),
        thresholds={GENDER: 0.8, EMOTION: 0.1},
        temperatures={GENDER: 0.7, EMOTION: 3.0},
        metrics={"card": {EMOTION: {"rows": 5000}}},
        licence=Licence("LicenseRef-faces", "no", ("Faces",)),
        version="1.2.0",
        samples={"faces": 9},
        commands=("facial-attributes train faces.yaml",),
    )
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(b"tensors")
    (folder / "LICENSE").write_text("For research.")
    spec.write(folder)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_fitted_calibration_is_kept_in_a_copy(
    many: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    spec, before, copy = ModelSpec.read(model), contents(model), tmp_path / "copies" / "calibrated"
    monkeypatch.setattr(Happy, "spec", spec)
    command = ["evaluate", "--model", str(model), "--manifest", str(many), "--calibrate"]
    assert main([*command, "--save-calibration", str(copy)]) == 0
    assert contents(model) == before
    saved, files = ModelSpec.identified(copy), contents(copy)
    assert {name: files[name] for name in files if name != "model.json"} == {
        name: before[name] for name in before if name != "model.json"
    }
    # The labels are right in three of four rows, which the probability of happy says at a temperature of about 1.
    assert 0.8 < saved.temperatures[EMOTION] < 1.2
    assert saved.thresholds[EMOTION] > 0.5
    # A task without rows, the card's figures and the licence stay.
    assert (saved.temperatures[GENDER], saved.thresholds[GENDER]) == (0.7, 0.8)
    assert (saved.metrics, saved.licence, saved.samples) == (spec.metrics, spec.licence, spec.samples)
    assert saved.parent == Parent("happy", "1.2.0", ModelSpec.identified(model).sha256)
    assert (saved.name, saved.version) == ("happy", "1.2.0+calibrated")
    assert saved.sha256 != saved.parent.sha256
    assert len(saved.commands) == 2
    record = saved.calibration[EMOTION]
    assert record["measured"]["calibration_error"] < record["before"]["calibration_error"]
    assert record["measured"]["nll"] < record["before"]["nll"]
    out = capsys.readouterr().out
    assert "3.000 → " in out
    assert "0.100 → " in out
    assert "Brier" in out
    assert "unchanged: gender" in out
    assert not list(copy.parent.glob(".*"))


def test_nothing_is_written_where_nothing_can_be_fitted(
    manifest: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = contents(model)
    command = ["evaluate", "--model", str(model), "--manifest", str(manifest), "--calibrate"]
    assert main([*command, "--save-calibration", str(tmp_path / "copy")]) == 2
    assert "no task could be calibrated" in capsys.readouterr().err
    assert contents(model) == before
    assert not (tmp_path / "copy").exists()


def test_a_calibration_is_written_over_nothing(
    many: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    full = tmp_path / "full"
    full.mkdir()
    (full / "letter.txt").write_text("mine")
    shipped = model_folder("small")
    for name, target, sentence in (
        (str(model), model, "does not change"),
        ("small", shipped, "does not change"),
        (str(model), shipped, "the package.s own models"),
        (str(model), shipped.parent / "pe-l14-336", "the package.s own models"),
        (str(model), full, "exists already"),
        (str(model), full / "letter.txt", "exists already"),
    ):
        before = contents(shipped)
        command = ["evaluate", "--model", name, "--manifest", str(many), "--calibrate"]
        assert main([*command, "--save-calibration", str(target)]) == 2
        assert re.search(sentence, capsys.readouterr().err)
        assert contents(shipped) == before
    assert [path.name for path in full.iterdir()] == ["letter.txt"]


def test_few_rows_are_told(many: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "--manifest", str(many), "--rows", "120", "--calibrate", "--json"]) == 0
    printed = capsys.readouterr()
    assert "emotion was calibrated on 60 samples only" in printed.err
    document = json.loads(printed.out)
    calibration = document["results"]["unnamed"]["emotion"]["calibration"]
    assert len(calibration["nll"]) == len(calibration["brier"]) == 2


def test_spoilt_views_are_part_of_the_report(manifest: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "--manifest", str(manifest), "--robustness", "2", "--json"]) == 0
    conditions = json.loads(capsys.readouterr().out)["robustness"]
    assert {condition["results"]["unnamed"]["emotion"]["rows"] for condition in conditions} == {2}
    assert {"tilt", "cover", "resolution"} <= {condition["kind"] for condition in conditions}


def test_so_many_rows_are_taken(manifest: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "--manifest", str(manifest), "--rows", "3", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["results"]["unnamed"]["emotion"]["rows"] == 3
