"""Spoilt views of a face."""

import numpy as np
import pytest
from facial_attributes_training.measure.corruptions import STRENGTHS, Degradation, degradations
from numpy.typing import NDArray

from facial_attributes_ros.imaging.crop import crop_face

SIZE = 56
BOX = (20.0, 16.0, 60.0, 60.0)


@pytest.fixture(scope="module")
def picture() -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (96, 100, 3), dtype=np.uint8)


@pytest.mark.parametrize("kind", degradations(), ids=lambda kind: f"{kind.kind} {kind.label}")
def test_a_spoilt_face_is_a_crop_and_the_same_every_time(kind: Degradation, picture: NDArray[np.uint8]) -> None:
    before = picture.copy()
    spoilt = kind(picture, BOX, SIZE, 0.1)
    assert spoilt.shape == (SIZE, SIZE, 3)
    assert spoilt.dtype == np.uint8
    np.testing.assert_array_equal(spoilt, kind(picture, BOX, SIZE, 0.1))
    np.testing.assert_array_equal(picture, before)
    assert (spoilt != crop_face(picture, BOX, SIZE, 0.1)).mean() > 0.1


@pytest.mark.parametrize("kind", ["resolution", "blur"])
def test_stronger_leaves_less_detail(kind: str, picture: NDArray[np.uint8]) -> None:
    detail = [Degradation(kind, strength)(picture, BOX, SIZE, 0.0).std() for strength in STRENGTHS[kind]]
    assert detail == sorted(detail, reverse=True)


def test_a_tilt_of_nothing_is_the_crop(picture: NDArray[np.uint8]) -> None:
    crop = crop_face(picture, BOX, SIZE, 0.0).astype(int)
    assert np.abs(Degradation("tilt", 0)(picture, BOX, SIZE, 0.0) - crop).max() <= 1


def test_darkness_leaves_the_share_of_the_light(picture: NDArray[np.uint8]) -> None:
    crop = crop_face(picture, BOX, SIZE, 0.0)
    assert Degradation("darkness", 0.5)(picture, BOX, SIZE, 0.0).mean() == pytest.approx(crop.mean() / 2, rel=0.02)


def test_what_is_covered_is_grey_and_the_rest_is_as_it_was(picture: NDArray[np.uint8]) -> None:
    crop, covered = crop_face(picture, BOX, SIZE, 0.0), Degradation("cover", "mouth")(picture, BOX, SIZE, 0.0)
    assert len(np.unique(covered[-10:])) == 1
    np.testing.assert_array_equal(covered[:30], crop[:30])


def test_labels_tell_the_strength() -> None:
    labels = {f"{kind.kind} {kind.label}" for kind in degradations()}
    assert {"resolution 24 px", "darkness 25% of the light", "tilt 45°", "cover eyes"} <= labels
