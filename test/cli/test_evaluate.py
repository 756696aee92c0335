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
    [(["--split", "test"], "these splits: train, val"), (["--crop", "detect", "--detector", "nobody"], "nobody")],
)
def test_mistakes_end_with_a_sentence(
    manifest: Path, arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", "--manifest", str(manifest), *arguments]) == 2
    assert sentence in capsys.readouterr().err
