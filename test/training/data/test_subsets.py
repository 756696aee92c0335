"""Halves and data sets of a manifest."""

from random import Random

import numpy as np
import pytest
from facial_attributes_training.data.manifest import Manifest, Row
from facial_attributes_training.data.subsets import ALL, data_sets, first_half, fold_numbers, parted_by_people, strata
from hypothesis import given
from hypothesis import strategies as st


def manifest(names: list[tuple[str, str, str]], folder: str = "/data") -> Manifest:
    """Rows of images, sources and origins."""
    rows = [Row(f"{folder}/{name}", source=source, extra={"origin": origin}) for name, source, origin in names]
    return Manifest.from_rows(rows)


PICTURES = st.lists(
    st.integers(0, 40).flatmap(
        lambda n: st.tuples(
            # Names that differ in their folders alone, as of data sets with a folder a person.
            st.sampled_from([f"a.tar#{n}.jpg", f"{n}/face.jpg", f"{n}.tar#face.jpg"]),
            st.just("ab"[n % 2]),
            st.just(["", "x", "y"][n % 3]),
        )
    ),
    min_size=1,
)


@given(PICTURES, st.randoms(use_true_random=False))
def test_an_image_is_in_the_same_half_in_any_folder(names: list[tuple[str, str, str]], random: object) -> None:
    shuffled = list(names)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    here = dict(zip(names, first_half(manifest(names)).tolist(), strict=True))
    there = dict(zip(shuffled, first_half(manifest(shuffled, "/elsewhere/a")).tolist(), strict=True))
    assert here == there


@given(PICTURES)
def test_every_source_and_origin_is_halved_by_images(names: list[tuple[str, str, str]]) -> None:
    rows = manifest(names)
    half, groups = first_half(rows), strata(rows)
    for group in set(groups.tolist()):
        pictures = {str(path) for path in rows.paths[groups == group]}
        chosen = {str(path) for path in rows.paths[(groups == group) & half]}
        assert len(chosen) == (len(pictures) + 1) // 2
        assert not chosen & {str(path) for path in rows.paths[(groups == group) & ~half]}


@pytest.mark.parametrize("form", ["{}/face.png", "{}/shard.tar#face.png", "a/{}/face.png"])
def test_images_that_differ_in_their_folder_alone_are_halved(form: str) -> None:
    half = first_half(manifest([(form.format(person), "a", "") for person in range(48)]))
    assert half.sum() == 24


@given(
    st.lists(
        st.tuples(st.integers(0, 8), st.sampled_from(["", "p", "q", "r", "s"]), st.sampled_from("ab")), min_size=1
    ),
    st.randoms(use_true_random=False),
)
def test_people_and_images_are_in_one_half(entries: list[tuple[int, str, str]], random: Random) -> None:
    rows = [Row(f"/data/{n}.png", source=source, extra={"identity": person}) for n, person, source in entries]
    halves = dict(zip(map(str, rows), first_half(Manifest.from_rows(rows)).tolist(), strict=True))
    for what in ({row.path for row in rows}, {row.extra["identity"] for row in rows} - {""}):
        for each in what:
            found = {halves[str(row)] for row in rows if each in (row.path, row.extra["identity"])}
            assert len(found) == 1
    random.shuffle(rows)
    assert dict(zip(map(str, rows), first_half(Manifest.from_rows(rows)).tolist(), strict=True)) == halves


def test_people_of_many_images_leave_halves_of_about_one_size() -> None:
    counts = [40, 1, 1, 1, 7, 30, 2, 5, 12, 1]
    rows = [
        Row(f"{person}/{n}.png", extra={"identity": str(person)})
        for person, count in enumerate(counts)
        for n in range(count)
    ]
    half = first_half(Manifest.from_rows(rows))
    assert abs(int(half.sum()) - int((~half).sum())) <= 2


def test_origins_are_measured_by_themselves_where_a_source_has_several() -> None:
    rows = manifest([("1", "a", "x"), ("2", "a", "y"), ("3", "b", "z"), ("4", "b", "")])
    found = {name: mask.tolist() for name, mask in data_sets(rows)}
    assert found == {
        "a": [True, True, False, False],
        "a-from-x": [True, False, False, False],
        "a-from-y": [False, True, False, False],
        "b": [False, False, True, True],
        ALL: [True] * 4,
    }
    assert [name for name, _ in data_sets(manifest([("1", "", "")]))] == ["unnamed"]


def test_origins_of_a_single_image_are_halved_together() -> None:
    rows = manifest([(str(n), "a", f"o{n}") for n in range(8)])
    assert first_half(rows).sum() == 4


def test_a_column_with_a_value_for_every_image_is_no_origin() -> None:
    rows = manifest([(str(n), "a", f"https://pictures/{n}") for n in range(40)])
    assert [name for name, _ in data_sets(rows)] == ["a"]
    assert first_half(rows).sum() == 20


def test_a_source_that_is_called_as_all_together_keeps_its_figures() -> None:
    found = {name: mask.tolist() for name, mask in data_sets(manifest([("1", ALL, ""), ("2", "b", "")]))}
    assert found == {"all (source)": [True, False], "b": [False, True], ALL: [True, True]}


def test_a_manifest_without_origins_has_its_sources_as_strata() -> None:
    rows = Manifest.from_rows([Row("1", source="a"), Row("2", source="b"), Row("3", source="a")])
    np.testing.assert_array_equal(strata(rows), [0, 1, 0])


@given(st.integers(2, 6), st.integers(6, 40), st.randoms(use_true_random=False))
def test_folds_hold_people_together_and_labels_apart(count: int, people: int, random: Random) -> None:
    rows = [
        Row(f"/data/{index}.png", labels={"emotion": ["happy", "sad"][index % 2]}, extra={"identity": f"{index // 2}"})
        for index in range(2 * people)
    ]
    random.shuffle(rows)
    faces = Manifest.from_rows(rows)
    numbers = fold_numbers(faces, count)
    assert parted_by_people(faces, count)
    assert sorted(set(numbers.tolist())) == list(range(count))
    assert np.ptp(np.bincount(numbers)) <= 2
    for person in set(faces.people.tolist()):
        assert len(set(numbers[faces.people == person].tolist())) == 1


def test_images_of_one_person_are_parted_all_the_same() -> None:
    rows = [
        Row(f"{index}.png", labels={"emotion": ["happy", "sad"][index < 10]}, extra={"identity": "ana"})
        for index in range(20)
    ]
    faces = Manifest.from_rows(rows)
    assert not parted_by_people(faces, 5)
    numbers = fold_numbers(faces, 5)
    assert np.bincount(numbers).tolist() == [4] * 5
    # Every part has as many of each label.
    assert np.bincount(numbers[:10]).tolist() == [2] * 5
