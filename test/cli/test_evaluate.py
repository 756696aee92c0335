"""The subcommand `evaluate`, with a model that can be understood at a glance."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from facial_attributes_ros.attributes import EMOTION
from facial_attributes_ros.cli.main import main
from facial_attributes_ros.models.spec import BackboneReference, ModelSpec
from facial_attributes_ros.runtime import engine as engines


class Happy:
    """Takes everybody for happy."""

    name, device = "happy", "cpu"
    spec = ModelSpec("happy", BackboneReference("none"), 16, (0.5,) * 3, (0.5,) * 3, tasks=(EMOTION,))

    def logits(self, crops: np.ndarray, tasks: object = None) -> dict[str, np.ndarray]:
        return {EMOTION: np.tile(np.float32([0, 0, 0, 3, 0, 0, 0]), (len(crops), 1))}


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
    assert "# Evaluation of happy" in (out / "report.md").read_text()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--split", "test"], "these splits: train, val"),
        (["--crop", "detect", "--detector", "nobody"], "nobody"),
        (["--save-calibration"], "give both"),
        (["--rows", "0"], "from 1 on"),
    ],
)
def test_mistakes_end_with_a_sentence(
    manifest: Path, arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", "--manifest", str(manifest), *arguments]) == 2
    assert sentence in capsys.readouterr().err


def test_a_fitted_calibration_is_kept_in_the_model(
    manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # Enough rows to fit something: happy three times in four.
    lines = manifest.read_text().splitlines()
    for index in range(200):
        cv2.imwrite(str(tmp_path / f"more{index}.png"), np.full((20, 20, 3), 100, np.uint8))
        lines.append(f"more{index}.png,val,{'sad' if index % 4 == 0 else 'happy'},0,0,20,20")
    manifest.write_text("\n".join(lines) + "\n")
    Happy.spec.write(tmp_path / "model")
    command = ["evaluate", "--model", str(tmp_path / "model"), "--manifest", str(manifest), "--calibrate"]
    assert main(command) == 0
    assert ModelSpec.read(tmp_path / "model") == Happy.spec
    assert main([*command, "--save-calibration"]) == 0
    saved = ModelSpec.read(tmp_path / "model")
    # Said with a confidence of 0.77 and right in 0.75, so hardly changed; but changed.
    assert saved.temperatures[EMOTION] != 1
    assert 0.68 < saved.metrics["unnamed"][EMOTION]["accuracy"] < 0.82
    assert 90 < saved.metrics["unnamed"][EMOTION]["rows"] < 110
    assert "model.json" in capsys.readouterr().err


def test_spoilt_views_are_part_of_the_report(manifest: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "--manifest", str(manifest), "--robustness", "2", "--json"]) == 0
    conditions = json.loads(capsys.readouterr().out)["robustness"]
    assert {condition["results"]["unnamed"]["emotion"]["rows"] for condition in conditions} == {2}
    assert {"tilt", "cover", "resolution"} <= {condition["kind"] for condition in conditions}


def test_so_many_rows_are_taken(manifest: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "--manifest", str(manifest), "--rows", "3", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["results"]["unnamed"]["emotion"]["rows"] == 3
