"""Manifests: what is written is read back, and mistakes are named with their line."""

from pathlib import Path

import numpy as np
import pytest
from facial_attributes_training.data.manifest import Manifest, Row, read_manifest, read_manifests, write_manifest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from facial_attributes_ros.attributes import AGE, EMOTION, GENDER, LABELS, MISSING
from facial_attributes_ros.errors import UserError

HEADER = "path,split,source,age_years,age_group,gender,emotion,box_x,box_y,box_w,box_h"


def write(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def label(task: str) -> st.SearchStrategy[str]:
    return st.sampled_from(LABELS[task])


TEXT = st.text(st.characters(categories=("L", "N"), include_characters=' ,"-'), max_size=8).map(str.strip)
ROWS = st.builds(
    Row,
    path=st.text("abc/", min_size=1, max_size=8).map(lambda text: f"/data/{text}.jpg".replace("//", "/")),
    split=st.sampled_from(("train", "val", "")),
    source=TEXT,
    labels=st.fixed_dictionaries({}, optional={GENDER: label(GENDER), EMOTION: label(EMOTION)}),
    age_years=st.none() | st.integers(0, 110).map(float),
    box=st.none() | st.tuples(*[st.integers(-50, 500).map(float)] * 2, *[st.integers(1, 500).map(float)] * 2),
    extra=st.fixed_dictionaries({"origin": TEXT}),
    landmarks=st.none() | st.tuples(*[st.integers(-50, 500).map(float)] * 10),
)


@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(ROWS, min_size=1, max_size=5))
def test_what_is_written_is_read_back(rows: list[Row], tmp_path: Path) -> None:
    before = Manifest.from_rows(rows)
    write_manifest(tmp_path / "m.csv", before)
    after = read_manifest(tmp_path / "m.csv")
    assert [str(Path(path)) for path in before.paths] == after.paths.tolist()
    assert after.splits.tolist() == before.splits.tolist()
    assert after.sources.tolist() == before.sources.tolist()
    for task in LABELS:
        assert after.labels[task].tolist() == before.labels[task].tolist()
    np.testing.assert_array_equal(after.age_years, before.age_years)
    np.testing.assert_array_equal(after.boxes, before.boxes)
    np.testing.assert_array_equal(after.landmarks, before.landmarks)
    assert after.extra["origin"].tolist() == before.extra["origin"].tolist()


def test_paths_are_relative_to_the_file_and_follow_it(tmp_path: Path) -> None:
    manifest = Manifest.from_rows([Row(str(tmp_path / "a" / "shard.tar#x/0.jpg"))])
    write_manifest(tmp_path / "lists" / "m.csv", manifest)
    assert "../a/shard.tar#x/0.jpg" in (tmp_path / "lists" / "m.csv").read_text()
    assert read_manifest(tmp_path / "lists" / "m.csv").paths[0] == str(tmp_path / "a" / "shard.tar#x/0.jpg")


def test_an_age_in_years_gives_the_age_group(tmp_path: Path) -> None:
    manifest = read_manifest(write(tmp_path / "m.csv", "path,age_years", "a.jpg,9.0", "b.jpg,70", "c.jpg,"))
    assert manifest.labels[AGE].tolist() == [1, 8, MISSING]
    assert np.isnan(manifest.age_years[2])


def test_shard_and_file_are_read_as_well(tmp_path: Path) -> None:
    path = write(tmp_path / "m.csv", "shard,file,gender,origin", "s.tar,d/0.jpg,male,ffhq")
    manifest = read_manifest(path)
    assert manifest.paths[0] == f"{tmp_path}/s.tar#d/0.jpg"
    assert manifest.labels[GENDER][0] == 0
    assert set(manifest.extra) == {"origin"}


@pytest.mark.parametrize(
    ("cells", "sentence"),
    [
        ("a.jpg,,,,,man,,,,,", "gender 'man' is not one of male, female"),
        ("a.jpg,,,,30-40,,,,,,", "age_group '30-40' is not one of"),
        ("a.jpg,,,old,,,,,,,", "age_years 'old' is not a number"),
        ("a.jpg,,,nan,,,,,,,", "age_years 'nan' is not a number"),
        ("a.jpg,,,-1,,,,,,,", "age_years -1 is outside 0 to 120"),
        ("a.jpg,,,35,20-29,,,,,,", "age_years 35 is not in age_group 20-29"),
        ("a.jpg,,,,,,,1,2,,", "the box is only partly given"),
        ("a.jpg,,,,,,,1,2,0,5", "the box is 0 by 5 pixels"),
        (",,,,,,,,,,", "it names no image"),
        ("a.jpg,train", "it does not have as many cells as the first line"),
        ("a.jpg,,,,,,,,,,,,", "it does not have as many cells as the first line"),
    ],
)
def test_a_wrong_value_is_reported_with_its_line(tmp_path: Path, cells: str, sentence: str) -> None:
    path = write(tmp_path / "m.csv", HEADER, "good.jpg,,,,,,,,,,", cells)
    with pytest.raises(UserError, match="line 3: ") as error:
        read_manifest(path)
    assert sentence in str(error.value)


def test_many_wrong_lines_are_counted(tmp_path: Path) -> None:
    path = write(tmp_path / "m.csv", "path,gender", *["a.jpg,x"] * 9)
    with pytest.raises(UserError, match="and 6 more lines have errors"):
        read_manifest(path)


def test_a_missing_file_and_a_file_of_another_kind_get_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="can't be read"):
        read_manifest(tmp_path / "none.csv")
    with pytest.raises(UserError, match="is not a manifest"):
        read_manifest(write(tmp_path / "m.csv", "name,age", "a,1"))
    (tmp_path / "b.csv").write_bytes(b"path\n\xff\xfe\n")
    with pytest.raises(UserError, match="UTF-8"):
        read_manifest(tmp_path / "b.csv")


def test_manifests_with_different_columns_join(tmp_path: Path) -> None:
    first = write(tmp_path / "a.csv", "path,origin", "a.jpg,ffhq")
    second = write(tmp_path / "b.csv", "path,ethnicity,split", "b.jpg,White,val")
    manifest = read_manifests([first, second])
    assert manifest.extra["origin"].tolist() == ["ffhq", ""]
    assert manifest.extra["ethnicity"].tolist() == ["", "White"]
    assert manifest.split("val").paths.tolist() == [str(tmp_path / "b.jpg")]
    with pytest.raises(UserError, match="these splits: val"):
        manifest.split("test")
