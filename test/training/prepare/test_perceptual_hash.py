"""Near copies of images are found, whatever was done to them; other images are not taken for copies."""

from collections.abc import Callable

import cv2
import numpy as np
import pytest
from facial_attributes_training.prepare.perceptual_hash import (
    MAX_DISTANCE,
    ImageHashes,
    describe,
    is_description,
    near_copies,
)
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

Picture = NDArray[np.uint8]


def scene(seed: int, height: int = 240, width: int = 200) -> Picture:
    """An image with large and small forms, as photographs have them."""
    random, total = np.random.default_rng(seed), np.zeros((height, width, 3), np.float32)
    for cells, weight in ((4, 60), (10, 30), (40, 12)):
        total += weight * cv2.resize(random.normal(size=(cells, cells, 3)).astype(np.float32), (width, height))
    return (128 + total).clip(0, 255).astype(np.uint8)


def encoded(picture: Picture, quality: int) -> Picture:
    data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)


def framed(picture: Picture) -> Picture:
    return np.asarray(picture[3:-3, 2:-3])


def grey(picture: Picture) -> Picture:
    return np.asarray(cv2.cvtColor(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR), np.uint8)


CHANGES: dict[str, Callable[[Picture], Picture]] = {
    "encoded anew": lambda picture: encoded(picture, 60),
    "smaller": lambda picture: np.asarray(cv2.resize(picture, None, fx=0.3, fy=0.3, interpolation=cv2.INTER_AREA)),
    "larger": lambda picture: np.asarray(cv2.resize(picture, None, fx=1.7, fy=1.7)),
    "squeezed": lambda picture: np.asarray(cv2.resize(picture, (200, 200))),
    "mirrored": lambda picture: np.ascontiguousarray(picture[:, ::-1]),
    "mirrored, smaller, encoded anew": lambda picture: encoded(cv2.resize(picture[:, ::-1], None, fx=0.5, fy=0.5), 70),
    "darker": lambda picture: cv2.convertScaleAbs(picture, alpha=0.7, beta=10).astype(np.uint8),
    "grey": grey,
    "blurred": lambda picture: np.asarray(cv2.GaussianBlur(picture, (0, 0), 2)),
    "cut a little": framed,
}


def looks(*pictures: Picture) -> ImageHashes:
    return ImageHashes.of([describe(picture) for picture in pictures])


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_image_is_a_near_copy(change: str) -> None:
    scenes = [scene(seed) for seed in range(12)]
    changed = looks(*(CHANGES[change](picture) for picture in scenes))
    assert near_copies(changed, looks(*scenes)).tolist() == list(range(12))
    assert near_copies(looks(*scenes), changed).tolist() == list(range(12))


def test_other_images_are_no_copies() -> None:
    scenes = looks(*(scene(seed) for seed in range(150)))
    assert (near_copies(scenes, looks(*(scene(seed) for seed in range(150, 300)))) == -1).all()


def test_studio_portraits_of_one_background_are_no_copies() -> None:
    """All the same but for the face in the middle."""
    background, people = scene(0), []
    for seed in range(1, 9):
        people.append(background.copy())
        people[-1][60:180, 50:150] = scene(seed, 120, 100)
    portraits = looks(*people)
    assert (near_copies(portraits, portraits, np.arange(8), np.arange(8)) == -1).all()


def test_flat_images_are_compared_with_nothing() -> None:
    flat = looks(*(np.full((20, 20, 3), shade, np.uint8) for shade in (0, 90, 200)))
    assert (near_copies(flat, flat) == -1).all()


def test_an_image_is_not_compared_with_its_own_group() -> None:
    one = looks(scene(1), scene(2))
    assert near_copies(one, one).tolist() == [0, 1]
    assert near_copies(one, one, np.array([0, 1]), np.array([0, 9])).tolist() == [-1, 1]


@given(st.integers(0, 2**32 - 1), st.lists(st.integers(0, 63), min_size=0, max_size=9, unique=True), st.booleans())
def test_all_hashes_up_to_six_bits_apart_are_compared(seed: int, bits: list[int], mirrored: bool) -> None:
    random = np.random.default_rng(seed)
    thumbnails = random.integers(0, 256, (1, 16, 16), dtype=np.uint8)
    hashes = random.integers(0, 2**64, 30, dtype=np.uint64)
    other = hashes[17] ^ np.uint64(sum(1 << bit for bit in bits))
    unlike = np.zeros(30, np.uint64) if mirrored else hashes
    others = ImageHashes(
        unlike, hashes if mirrored else ~hashes, np.repeat(thumbnails, 30, 0)[:, :, :: -1 if mirrored else 1]
    )
    one = ImageHashes(np.array([other]), np.array([other]), thumbnails)
    distances = [(value ^ int(other)).bit_count() for value in hashes.tolist()]
    found = int(near_copies(one, others)[0])
    if min(distances) > MAX_DISTANCE:
        assert found == -1
    else:
        assert distances[found] <= MAX_DISTANCE


def test_a_description_is_reported_from_other_texts() -> None:
    assert is_description(describe(scene(0)))
    assert not any(map(is_description, ("", "a", "????", describe(scene(0))[:-4])))


def test_images_of_any_size_are_described() -> None:
    for height, width in ((1, 1), (1, 300), (7, 5), (500, 3)):
        assert is_description(describe(np.full((height, width, 3), 9, np.uint8)))
