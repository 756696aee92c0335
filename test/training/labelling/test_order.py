"""Which face comes next: uncertain ones first, one person not twice in a row, copies last, validation at random."""

import numpy as np
import pytest
from facial_attributes_training.labelling.candidates import disagreement
from facial_attributes_training.labelling.order import GAP, label_order
from hypothesis import given
from hypothesis import strategies as st

from .conftest import make_face, make_look

LOOKS = [make_look(seed) for seed in range(40)]


@st.composite
def collections(draw):
    count = draw(st.integers(1, 40))
    several = lambda values: draw(st.lists(values, min_size=count, max_size=count))  # noqa: E731
    hardness = several(st.floats(0, 1))
    people = several(st.sampled_from(["", "one", "two", "three"]))
    return hardness, people, several(st.sampled_from(LOOKS)), several(st.booleans())


@given(collections())
def test_every_face_comes_once_whatever_the_faces_are(collection):
    order = label_order(*collection)
    assert sorted(order) == list(range(len(collection[0])))
    assert order == label_order(*collection)


@given(st.lists(st.sampled_from(["one", "two", "three"]), min_size=1, max_size=30))
def test_a_person_comes_twice_in_a_row_only_if_nobody_else_is_left(people):
    rows = np.arange(len(people))
    order = label_order(rows / 30, people, [make_look(100 + row) for row in rows], rows < 0)
    shown = [people[row] for row in order]
    for place in range(1, len(shown)):
        assert shown[place] != shown[place - 1] or set(shown[place:]) == {shown[place]}


def test_the_hardest_come_first_and_people_are_kept_apart():
    hardness = [0.9, 0.8, 0.7, 0.1, 0.2, 0.3, 0.4]
    people = ["one", "one", "one", "two", "three", "four", "five"]
    order = label_order(hardness, people, LOOKS[:7], [False] * 7)
    assert order[0] == 0
    places = sorted(order.index(row) for row in range(3))
    assert places[1] - places[0] > GAP
    assert label_order(hardness, [""] * 7, LOOKS[:7], [False] * 7) == [0, 1, 2, 6, 5, 4, 3]


def test_near_copies_come_after_all_others():
    looks = [LOOKS[0], LOOKS[0], LOOKS[1], LOOKS[0], LOOKS[2]]
    assert label_order([0.9, 0.8, 0.3, 0.7, 0.2], [""] * 5, looks, [False] * 5) == [0, 2, 4, 1, 3]


def test_faces_for_validation_are_spread_evenly_and_drawn_at_random():
    count = 40
    hardness, held_out = np.linspace(1, 0, count), np.arange(count) % 4 == 0
    order = label_order(hardness, [""] * count, LOOKS, held_out)
    places = [place for place, row in enumerate(order) if held_out[row]]
    assert [place // 4 for place in places] == list(range(10))
    validation = [row for row in order if held_out[row]]
    assert validation != sorted(validation)
    assert [row for row in order if not held_out[row]] == [row for row in range(count) if not held_out[row]]


def test_no_face_is_in_order():
    assert label_order([], [], [], []) == []


@given(st.integers(2, 9), st.integers(0, 10**6))
def test_disagreement_is_a_symmetric_distance_from_0_to_1(classes, seed):
    one, other = np.random.default_rng(seed).dirichlet(np.full(classes, 0.3), 2)
    assert disagreement(one, one) == pytest.approx(0, abs=1e-9)
    assert 0 <= disagreement(one, other) <= 1
    assert disagreement(one, other) == pytest.approx(disagreement(other, one))


def test_a_view_that_contradicts_the_track_is_as_hard_as_an_uncertain_one():
    from facial_attributes_training.labelling.candidates import Candidate

    sure, unsure = make_face(emotion=0.98), make_face(emotion=1 / 7)
    track = [0.01, 0.94, *[0.01] * 5]
    plain, contradicting = Candidate("a", sure, 1, ""), Candidate("a", sure, 1, "", belief={"emotion": track})
    assert plain.hardness(["emotion"]) < 0.2 < 0.7 < contradicting.hardness(["emotion"])
    assert Candidate("a", unsure, 1, "").hardness(["emotion"]) == pytest.approx(1)
    assert plain.hardness([]) == 1
