"""The teacher of visible expressions: what it is asked, and that a stopped run goes on. A stand-in answers here."""

import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from facial_attributes_training.data.expressions import expression_targets
from facial_attributes_training.data.manifest import Manifest, Row
from facial_attributes_training.prepare import teacher
from facial_attributes_training.prepare.teacher import check_teacher, write_expressions

from facial_attributes_ros.errors import UserError
from facial_attributes_ros.models.expression import BLENDSHAPES, EXPRESSIONS

PROGRAM = f"""
import json, sys
side = int(sys.argv[2])
while data := sys.stdin.buffer.read(side * side * 3):
    middle = data[(side // 2 * side + side // 2) * 3:][:3]
    open(sys.argv[1] + ".asked", "a").write(f"{{data[:3].hex()}} {{middle.hex()}}\\n")
    seen = middle[0] > 100
    scores = dict.fromkeys({BLENDSHAPES!r}, 0.25)
    print(json.dumps({{"scores": scores, "pose": [10.0, -5.0, 1.0]}} if seen else {{}}), flush=True)
"""


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stand-in that sees a face where the middle of what it is given is red."""
    program, model = tmp_path / "program.py", tmp_path / "model.task"
    program.write_text(PROGRAM)
    model.write_bytes(b"model")
    monkeypatch.setattr(teacher, "_PROGRAM", program)
    monkeypatch.setattr(teacher, "_environment", lambda: Path(sys.executable))
    monkeypatch.setattr(teacher, "FILE_SHA256", teacher.file_sha256(model))
    return model


@pytest.fixture
def faces(tmp_path: Path) -> Manifest:
    rows = []
    for index, red in enumerate((200, 200, 0)):
        image = np.zeros((60, 80, 3), np.uint8)
        image[10:30, 5:25, 2] = red
        cv2.imwrite(str(tmp_path / f"{index}.png"), image)
        rows.append(Row(str(tmp_path / f"{index}.png"), box=(5, 10, 20, 20)))
    return Manifest.from_rows([*rows, Row(str(tmp_path / "missing.png"), box=(0, 0, 9, 9))])


def asked(model: Path) -> list[str]:
    return model.with_name("model.task.asked").read_text().splitlines()


def test_what_it_says_becomes_the_targets_of_training(model: Path, faces: Manifest, tmp_path: Path) -> None:
    path = write_expressions(faces, model, tmp_path / "out")
    targets = expression_targets(path, faces.paths.tolist())
    assert np.isfinite(targets).all(axis=1).tolist() == [True, True, False, False]
    np.testing.assert_allclose(targets[0, : len(BLENDSHAPES)], 0.5, atol=0.01)
    assert targets.shape[1] == len(EXPRESSIONS)
    # It is given more than the box, black beyond the border, in RGB.
    assert asked(model)[0] == "000000 c80000"


def test_a_stopped_run_goes_on(model: Path, faces: Manifest, tmp_path: Path) -> None:
    out = tmp_path / "out"
    write_expressions(faces.take([0]), model, out)
    with (out / teacher.LOG).open("a") as log:
        log.write('{"path": "../1.p')
    write_expressions(faces, model, out)
    assert len(asked(model)) == 3
    assert np.load(out / teacher.OUTPUT)["paths"].tolist() == ["../0.png", "../1.png", "../2.png", "../missing.png"]


def test_a_teacher_that_ends_is_told(model: Path, faces: Manifest, tmp_path: Path) -> None:
    teacher._PROGRAM.write_text("")
    with pytest.raises(UserError, match="the teacher has ended"):
        write_expressions(faces, model, tmp_path / "out")


def test_another_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "other.task").write_bytes(b"other")
    with pytest.raises(UserError, match="has the SHA-256"):
        check_teacher(tmp_path / "other.task")
    with pytest.raises(UserError, match="is not there"):
        check_teacher(tmp_path / "none.task")
