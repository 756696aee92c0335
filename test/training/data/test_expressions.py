from pathlib import Path

import numpy as np
import pytest
from facial_attributes_training.data.expressions import expression_targets
from hypothesis import given
from hypothesis import strategies as st

from facial_attributes_ros.errors import UserError
from facial_attributes_ros.models.expression import (
    BLENDSHAPES,
    EXPRESSIONS,
    YAW,
    expression_outputs,
    expression_values,
)

SIDED = ("browDown", "browOuterUp", "eyeBlink", "mouthSmile")
NAMES = ["_neutral", *(f"{name}{side}" for name in SIDED for side in ("Left", "Right"))]
NAMES += [name for name in BLENDSHAPES if name not in SIDED]


@pytest.fixture
def teacher(tmp_path: Path) -> Path:
    """Three faces, of which the second was not found."""
    scores = np.full((3, len(NAMES)), 127, np.uint8)
    scores[0, NAMES.index("mouthSmileLeft")], scores[0, NAMES.index("mouthSmileRight")] = 254, 0
    scores[1] = 255
    pose = np.array([[15, -6, 2], [np.nan] * 3, [0, 0, 0]], np.float16)
    paths = np.array(["a.tar#x/0.jpg", "a.tar#x/1.jpg", "plain/2.jpg"])
    np.savez(tmp_path / "blendshapes.npz", paths=paths, scores=scores, names=np.array(NAMES), pose=pose)
    return tmp_path / "blendshapes.npz"


def test_targets_are_found_by_the_image_and_averaged_over_both_sides(teacher: Path) -> None:
    images = [
        "/elsewhere/a.tar#x/0.jpg",
        str(teacher.parent / "plain" / "2.jpg"),
        "/elsewhere/a.tar#x/1.jpg",
        "/no.jpg",
    ]
    targets = expression_targets(teacher, images)
    assert targets.shape == (4, len(EXPRESSIONS))
    assert np.isfinite(targets).all(axis=1).tolist() == [True, True, False, False]
    values = expression_values(targets[:2])
    assert values[0, EXPRESSIONS.index("mouthSmile")] == pytest.approx(0.5)
    assert values[:, EXPRESSIONS.index("jawOpen")] == pytest.approx(0.5)
    assert values[0, YAW:].tolist() == pytest.approx([15, -6])


def test_a_file_of_other_images_is_refused(teacher: Path) -> None:
    with pytest.raises(UserError, match="has none of the 1 images"):
        expression_targets(teacher, ["/b.tar#x/0.jpg"])


@pytest.mark.parametrize("content", [b"", b"PK", None])
def test_a_damaged_file_is_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "blendshapes.npz"
    if content is None:
        np.savez(path, paths=np.array(["a"]))
    else:
        path.write_bytes(content)
    with pytest.raises(UserError, match="can't be read"):
        expression_targets(path, ["/a"])


@given(st.lists(st.floats(0, 1, width=32), min_size=23, max_size=23), st.floats(-90, 90), st.floats(-90, 90))
def test_what_the_network_should_give_is_read_back(scores: list[float], yaw: float, pitch: float) -> None:
    outputs = expression_outputs(np.array([scores]), np.array([[yaw, pitch]]))
    np.testing.assert_allclose(expression_values(outputs)[0], [*scores, yaw, pitch], atol=1e-4)
