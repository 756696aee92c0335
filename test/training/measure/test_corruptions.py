"""Corrupted views of a face."""

import numpy as np
import pytest
from facial_attributes_training.measure.corruptions import STRENGTHS, Corruption, corruptions
from numpy.typing import NDArray

from facial_attributes_ros.imaging.crop import cut_frame

SIZE = 56
FRAME = (50.0, 46.0, 60.0, 0.1)


@pytest.fixture(scope="module")
def picture() -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (96, 100, 3), dtype=np.uint8)


@pytest.mark.parametrize("kind", corruptions(), ids=lambda kind: f"{kind.kind} {kind.label}")
def test_a_corrupted_face_is_a_crop_and_the_same_every_time(kind: Corruption, picture: NDArray[np.uint8]) -> None:
    before = picture.copy()
    corrupted = kind(picture, FRAME, SIZE)
    assert corrupted.shape == (SIZE, SIZE, 3)
    assert corrupted.dtype == np.uint8
    np.testing.assert_array_equal(corrupted, kind(picture, FRAME, SIZE))
    np.testing.assert_array_equal(picture, before)
    assert (corrupted != cut_frame(picture, FRAME, SIZE)).mean() > 0.1


@pytest.mark.parametrize("kind", ["resolution", "blur"])
def test_stronger_leaves_less_detail(kind: str, picture: NDArray[np.uint8]) -> None:
    detail = [Corruption(kind, strength)(picture, FRAME, SIZE).std() for strength in STRENGTHS[kind]]
    assert detail == sorted(detail, reverse=True)


def test_a_tilt_of_nothing_is_the_crop(picture: NDArray[np.uint8]) -> None:
    crop = cut_frame(picture, FRAME, SIZE).astype(int)
    assert np.abs(Corruption("tilt", 0)(picture, FRAME, SIZE) - crop).max() <= 1


def test_darkness_leaves_the_fraction_of_the_light(picture: NDArray[np.uint8]) -> None:
    crop = cut_frame(picture, FRAME, SIZE)
    assert Corruption("darkness", 0.5)(picture, FRAME, SIZE).mean() == pytest.approx(crop.mean() / 2, rel=0.02)


def test_what_is_covered_is_grey_and_the_rest_is_as_it_was(picture: NDArray[np.uint8]) -> None:
    crop, covered = cut_frame(picture, FRAME, SIZE), Corruption("cover", "mouth")(picture, FRAME, SIZE)
    assert len(np.unique(covered[-10:])) == 1
    np.testing.assert_array_equal(covered[:30], crop[:30])


def test_labels_tell_the_strength() -> None:
    labels = {f"{kind.kind} {kind.label}" for kind in corruptions()}
    assert {"resolution 24 px", "darkness 25% of the light", "tilt 45°", "cover eyes"} <= labels
