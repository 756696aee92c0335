"""Which face of an image is meant."""

from random import Random

import pytest
from facial_attributes_training.prepare.faces import FoundFace, face_at, main_face
from facial_attributes_training.prepare.scan import Scanned
from hypothesis import given
from hypothesis import strategies as st

FACE = st.tuples(st.floats(-20, 90), st.floats(-20, 90), st.floats(5, 80), st.floats(5, 80), st.floats(0.4, 1))


def scanned(*faces: tuple[float, ...]) -> Scanned:
    return Scanned("a.jpg", 100, 100, faces=[list(face) for face in faces])


def test_the_large_face_in_the_middle_is_meant() -> None:
    middle, corner = (30, 30, 40, 40, 0.8), (0, 0, 42, 42, 0.8)
    assert main_face(scanned(corner, middle)) == (FoundFace(middle[:4]), 2)


def test_a_bystander_does_not_count() -> None:
    assert main_face(scanned((20, 20, 60, 60, 0.9), (0, 0, 20, 20, 0.9)))[1] == 1


def test_no_face_is_no_box() -> None:
    assert main_face(scanned()) == (None, 0)
    assert face_at(scanned(), (0, 0, 10, 10)) is None


@given(st.lists(FACE, min_size=1, max_size=4), st.randoms())
def test_the_order_of_the_faces_does_not_matter(faces: list[tuple[float, ...]], random: Random) -> None:
    shuffled = list(faces)
    random.shuffle(shuffled)
    assert main_face(scanned(*faces))[1] == main_face(scanned(*shuffled))[1]


@given(FACE)
def test_a_face_is_found_at_its_own_box_and_not_far_away(face: tuple[float, ...]) -> None:
    found = face_at(scanned(face, (500, 500, 10, 10, 0.9)), face[:4])
    assert found is not None
    assert found.box == pytest.approx(face[:4])
    assert face_at(scanned(face), (face[0] + 200, face[1], face[2], face[3])) is None


def test_a_box_that_is_cut_wider_is_still_the_same_face() -> None:
    assert face_at(scanned((30, 30, 40, 40, 0.9)), (20, 20, 60, 60)) == FoundFace((30, 30, 40, 40))


def test_a_face_has_the_landmarks_that_were_found_with_it() -> None:
    landmarks = tuple(float(value) for value in range(40, 50))
    found = scanned((0, 0, 20, 20, 0.9), (30, 30, 40, 40, 0.9, *landmarks))
    face = FoundFace((30, 30, 40, 40), landmarks)
    assert main_face(found) == (face, 2)
    assert face_at(found, face.box) == face
