"""From samples to manifests: duplicates, faces, splits, and the list of what is excluded."""

import csv
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from facial_attributes_training.data.manifest import Row, read_manifest
from facial_attributes_training.prepare.duplicates import drop_duplicates
from facial_attributes_training.prepare.excluded import Excluded
from facial_attributes_training.prepare.job import FacePolicy, Prepared, choose, prepare
from facial_attributes_training.prepare.overlap import (
    SAME_FILE,
    SAME_PIXELS,
    drop_marked_copies,
    findings_of,
    same_images,
)
from facial_attributes_training.prepare.people import describe_people
from facial_attributes_training.prepare.scan import Scanned, recorded_fingerprints
from facial_attributes_training.prepare.splits import assign_splits, parse_fractions
from numpy.typing import NDArray

from facial_attributes_ros.attributes import Detection
from facial_attributes_ros.errors import UserError
from facial_attributes_ros.files import locked
from facial_attributes_ros.options import DetectorOptions

MALE, FEMALE = {"gender": "male"}, {"gender": "female"}


class OneFace:
    """Finds one face in the middle of images that are not black."""

    options = DetectorOptions()

    def detect(self, image: NDArray[np.uint8]) -> list[Detection]:
        return [Detection(np.array([8, 8, 16, 16], np.float32), 0.9)] if image.any() else []


def picture(folder: Path, name: str, shade: int) -> str:
    path = str(folder / name)
    cv2.imwrite(path, np.full((32, 32, 3), shade, np.uint8))
    return path


def run(rows: list[Row | Excluded], out: Path, policy: FacePolicy | None = None) -> Prepared:
    return prepare(rows, out, policy or FacePolicy(), OneFace, {})


def reasons(prepared: Prepared) -> Counter[str]:
    return Counter(entry.reason for entry in prepared.excluded)


def test_every_sample_is_in_a_manifest_or_in_the_list(tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"x")
    rows: list[Row | Excluded] = [
        Row(picture(tmp_path, "a.png", 10), "train", "s", MALE),
        Row(picture(tmp_path, "copy.png", 10), "train", "s", MALE),
        Row(picture(tmp_path, "b.png", 20), "val", "s", FEMALE, extra={"origin": "x"}),
        Row(picture(tmp_path, "black.png", 0), "train", "s", MALE),
        Row(str(tmp_path / "broken.png"), "train", "s", MALE),
        Row(str(tmp_path / "missing.png"), "train", "s", MALE),
        Excluded("c.png", "train", "s", "label outside the range"),
    ]
    prepared = run(rows, tmp_path / "out")
    assert reasons(prepared) == {"duplicate": 1, "no face": 1, "unreadable": 2, "label outside the range": 1}
    train = read_manifest(tmp_path / "out" / "manifest-train.csv")
    assert train.paths.tolist() == [str(tmp_path / "a.png")]
    assert train.boxes.tolist() == [[8, 8, 16, 16]]
    assert read_manifest(tmp_path / "out" / "manifest-val.csv").extra["origin"].tolist() == ["x"]
    with prepared.excluded_file.open(newline="") as file:
        assert len(list(csv.DictReader(file))) == sum(reasons(prepared).values())


def test_images_of_other_manifests_are_excluded(tmp_path: Path) -> None:
    held_out, copy = picture(tmp_path, "held-out.png", 50), picture(tmp_path, "copy.png", 50)
    new, known = Row(picture(tmp_path, "new.png", 60), "train", "s", MALE), Row(copy, "train", "s", MALE)
    run([Row(held_out, "val", "s", MALE)], tmp_path / "val")
    scanned = tmp_path / "val" / "manifest-val.csv"
    # The same manifest without a record of what is in the images.
    unscanned = tmp_path / "plain.csv"
    unscanned.write_text("path\nheld-out.png\ngone.png\n")
    for number, manifest in enumerate((scanned, unscanned)):
        out = tmp_path / f"train-{number}"
        prepared = prepare([new, known], out, FacePolicy(), OneFace, {}, against=[manifest])
        assert [(entry.path, entry.reason) for entry in prepared.excluded] == [(copy, "in another manifest")]
        assert held_out in prepared.excluded[0].detail
        assert read_manifest(out / "manifest-train.csv").paths.tolist() == [new.path]


def test_images_that_cannot_be_read_are_reported(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "plain.csv").write_text("path\ngone.tar#a.png\ngone.tar#b.png\n")
    row = Row(picture(tmp_path, "new.png", 60), "train", "s", MALE)
    prepare([row], tmp_path / "out", FacePolicy(), OneFace, {}, against=[tmp_path / "plain.csv"])
    assert "2 images of" in caplog.text
    assert "gone.tar can't be read" in caplog.text


def test_common_images_are_known_by_their_paths_and_pixels(tmp_path: Path) -> None:
    files = []
    for split, shades in (("train", {"a": 10, "b": 20, "c": 30}), ("val", {"d": 40, "e": 20, "c": 30})):
        rows: list[Row | Excluded] = [
            Row(picture(tmp_path, f"{name}.png", shade), split, "s", MALE) for name, shade in shades.items()
        ]
        files += list(run(rows, tmp_path / split).manifests)
    train, val = (read_manifest(file).paths.tolist() for file in files)
    known = findings_of([*train, *val], files, tmp_path / "unused.jsonl")
    assert not (tmp_path / "unused.jsonl").exists(), "all of it is recorded beside the manifests"
    found = same_images(val, train, known)
    assert {Path(path).stem: (Path(match.other).stem, match.how) for path, match in found.items()} == {
        "e": ("b", SAME_PIXELS),
        "c": ("c", SAME_FILE),
    }
    (tmp_path / "val" / "scan.jsonl").unlink()
    again = findings_of([*train, *val], files, tmp_path / "looked.jsonl")
    assert same_images(val, train, again) == found, "what is not recorded is looked at"
    assert [Path(path).stem for path in same_images(val, train, {})] == ["c"], "names are compared without any look"


@pytest.fixture
def noisy(tmp_path: Path) -> Callable[..., Row]:
    """Write a noisy image of a seed, changed as asked, and return its sample."""

    def make(seed: int, split: str, size: int = 64, mirrored: bool = False) -> Row:
        cells = np.random.default_rng(seed).integers(0, 256, (12, 12, 3), dtype=np.uint8)
        shown = cv2.resize(cells, (size, size), interpolation=cv2.INTER_LINEAR)
        path = tmp_path / f"{seed}-{split}-{size}-{mirrored}.jpg"
        cv2.imwrite(str(path), shown[:, ::-1] if mirrored else shown)
        return Row(str(path), split, "s", MALE)

    return make


def test_near_copies_stay_in_the_split_that_is_held_out(noisy: Callable[..., Row], tmp_path: Path) -> None:
    copies = [noisy(0, "train", size=40), noisy(1, "train", mirrored=True), noisy(2, "val", size=90)]
    originals = [noisy(0, "test"), noisy(1, "val"), noisy(2, "test"), noisy(3, "train")]
    series = noisy(3, "train", size=48)
    prepared = prepare([*copies, *originals, series], tmp_path / "out", FacePolicy("none"), None, {})
    excluded = {entry.path: entry for entry in prepared.excluded}
    assert set(excluded) == {row.path for row in copies}
    assert {entry.reason for entry in prepared.excluded} == {"near copy in another split"}
    assert originals[0].path in excluded[copies[0].path].detail
    kept = read_manifest(tmp_path / "out" / "manifest-train.csv").paths.tolist()
    assert kept == [originals[3].path, series.path], "a series within a split is kept"


def test_near_copies_of_other_manifests_are_excluded(noisy: Callable[..., Row], tmp_path: Path) -> None:
    prepare([noisy(0, "test"), noisy(1, "test")], tmp_path / "test", FacePolicy("none"), None, {})
    copies, new = [noisy(0, "train", size=50), noisy(1, "train", mirrored=True)], noisy(2, "train")
    against = [tmp_path / "test" / "manifest-test.csv"]
    prepared = prepare([*copies, new], tmp_path / "out", FacePolicy("none"), None, {}, against=against)
    assert [(entry.path, entry.reason) for entry in prepared.excluded] == [
        (row.path, "in another manifest") for row in copies
    ]
    assert all(entry.detail.startswith("near copy as") for entry in prepared.excluded)


def test_the_faces_of_one_image_may_be_in_two_splits(noisy: Callable[..., Row], tmp_path: Path) -> None:
    row = noisy(0, "train")
    rows = [replace(row, box=(0, 0, 20, 20)), replace(row, box=(40, 40, 20, 20), split="test")]
    prepared = prepare(rows, tmp_path / "out", FacePolicy("given"), None, {})
    assert prepared.excluded == []


def test_a_log_without_looks_is_made_again(noisy: Callable[..., Row], tmp_path: Path) -> None:
    prepare([noisy(0, "test")], tmp_path / "test", FacePolicy("none"), None, {})
    log = tmp_path / "test" / "scan.jsonl"
    whole = log.read_text().splitlines()
    old = {name: value for name, value in json.loads(whole[1]).items() if name != "look"}
    log.write_text(f"{whole[0]}\n{json.dumps(old)}\n")
    assert recorded_fingerprints(log) == {}
    prepare([noisy(0, "test")], tmp_path / "test", FacePolicy("none"), None, {})
    assert [scanned.look for scanned in recorded_fingerprints(log).values()] == [json.loads(whole[1])["look"]]


def test_two_commands_do_not_prepare_one_folder_at_once(tmp_path: Path) -> None:
    rows: list[Row | Excluded] = [Row(picture(tmp_path, "a.png", 9), "train", "s", MALE)]
    with locked(tmp_path / "out" / "prepare"), pytest.raises(UserError, match="another command is preparing"):
        run(rows, tmp_path / "out")
    assert run(rows, tmp_path / "out").manifests


def test_a_name_that_is_no_text_is_excluded(tmp_path: Path) -> None:
    row = Row(str(tmp_path / "J\udcf6rg.png"), "train", "s", MALE)
    prepared = run([row, Row(picture(tmp_path, "脸\n.png", 9), "train", "s", MALE)], tmp_path / "out")
    assert "not UTF-8" in prepared.excluded[0].detail
    assert read_manifest(tmp_path / "out" / "manifest-train.csv").paths.tolist() == [str(tmp_path / "脸\n.png")]


def test_running_again_writes_the_same(tmp_path: Path) -> None:
    rows: list[Row | Excluded] = [Row(picture(tmp_path, f"{shade}.png", shade), "train", "s", MALE) for shade in (9, 8)]
    run(rows, tmp_path / "out")
    first = (tmp_path / "out" / "manifest-train.csv").read_text()
    run(rows, tmp_path / "out")
    assert (tmp_path / "out" / "manifest-train.csv").read_text() == first


def test_a_duplicate_across_splits_stays_where_it_is_measured() -> None:
    rows = [
        Row("a", "train", labels=MALE),
        Row("b", "val", labels=MALE),
        Row("c", "test", labels=FEMALE),
        Row("d", "train", labels=MALE),
    ]
    scanned = {name: Scanned(name, fingerprint="same" if name != "d" else "other") for name in "abcd"}
    kept, excluded = drop_duplicates(rows, scanned)
    assert [row.path for row in kept] == ["c", "d"]
    assert {entry.reason for entry in excluded} == {"duplicate in another split, other labels"}
    assert excluded[0].detail == "same image as c"


def test_what_is_held_out_wins_by_any_of_its_names() -> None:
    rows = [Row("a", "train"), Row("b", "Validation"), Row("c", "validation"), Row("d", "Testing")]
    kept, _ = drop_duplicates(rows, {name: Scanned(name, fingerprint="same") for name in "abcd"})
    assert kept == rows[3:]
    kept, _ = drop_duplicates(rows[:3], {name: Scanned(name, fingerprint="same") for name in "abc"})
    assert kept == rows[1:2]


def test_a_face_whose_box_differs_a_little_is_a_duplicate() -> None:
    rows = [Row("a", "train", box=(10.4, 10, 100, 100)), Row("a", "test", box=(10.6, 10, 100, 100))]
    kept, excluded = drop_duplicates(rows, {"a": Scanned("a", fingerprint="f")})
    assert kept == rows[1:]
    assert excluded[0].reason == "duplicate in another split"


def test_a_sample_without_a_box_stands_for_every_face_of_its_image() -> None:
    rows = [Row("a", "train", box=(0, 0, 9, 9)), Row("a", "val"), Row("a", "train", box=(20, 0, 9, 9))]
    kept, excluded = drop_duplicates(rows, {"a": Scanned("a", fingerprint="f")})
    assert kept == rows[1:2]
    assert len(excluded) == 2


@pytest.mark.parametrize("boxes", [((7, 8, 16, 16), (9, 8, 16, 16)), ((10, 10, 16, 16), None)])
def test_given_boxes_of_one_found_face_are_kept_once(
    boxes: tuple[tuple[float, float, float, float], ...], tmp_path: Path
) -> None:
    path = picture(tmp_path, "a.png", 10)
    rows: list[Row | Excluded] = [
        Row(path, split, "s", MALE, box=box) for split, box in zip(("train", "val"), boxes, strict=True)
    ]
    prepared = run(rows, tmp_path / "out")
    assert [file.name for file in prepared.manifests] == ["manifest-val.csv"]
    assert reasons(prepared) == {"duplicate in another split": 1}


def test_people_in_several_splits_are_counted() -> None:
    people = {"a": ("train", "test"), "b": ("train", "train"), "c": ("val", "test", "train"), "": ("train",)}
    rows = [
        Row(f"{who}{index}", split, extra={"identity": who} if who else {})
        for who, splits in people.items()
        for index, split in enumerate(splits)
    ]
    printed = describe_people(rows)
    assert printed[:2] == (
        "Identities are in the column identity: 3 people in 7 samples.",
        "1 more samples have no identity.",
    )
    assert "2 people are in several splits, with 5 samples" in printed[2]
    assert "2 in test and train, 1 in test and val, 1 in train and val" in printed[2]
    assert describe_people(rows[2:4]) == ("Identities are in the column identity: 1 people in 2 samples.",)
    assert "so one person may be in several splits" in describe_people([Row("a", "train"), Row("b", "val")])[0]


@pytest.mark.parametrize("split", ["../../escape", "a/b", "tr\0ain", "two words", "x" * 65, "train\n"])
def test_a_split_that_can_name_no_manifest_is_excluded(split: str, tmp_path: Path) -> None:
    rows: list[Row | Excluded] = [
        Row(picture(tmp_path, f"{index}.png", 9 + index), name, "s", MALE)
        for index, name in enumerate((split, "train_1-b"))
    ]
    prepared = run(rows, tmp_path / "out")
    assert prepared.manifests == {tmp_path / "out" / "manifest-train_1-b.csv": 1}
    assert reasons(prepared) == {"split is no file name": 1}
    assert repr(split) in prepared.excluded[0].detail


def test_two_people_in_one_photograph_are_no_duplicates() -> None:
    rows = [Row("a", box=(0, 0, 9, 9)), Row("a", box=(20, 0, 9, 9)), Row("a", box=(0, 0, 9, 9))]
    kept, excluded = drop_duplicates(rows, {"a": Scanned("a", fingerprint="f")})
    assert kept == rows[:2]
    assert len(excluded) == 1


TWO = Scanned("a", 100, 100, faces=[[20, 20, 50, 50, 0.9], [60, 60, 40, 40, 0.8]])


def test_the_policy_decides_on_doubtful_faces() -> None:
    row, nobody = Row("a"), Scanned("a", 100, 100, faces=[])
    assert isinstance(choose(row, TWO, FacePolicy(several="leave-out")), Excluded)
    assert choose(row, TWO, FacePolicy()) == Row("a", box=(20, 20, 50, 50))
    assert isinstance(choose(row, nobody, FacePolicy()), Excluded)
    assert choose(row, nobody, FacePolicy(no_face="keep")) == row


def test_a_given_box_selects_the_face() -> None:
    row = Row("a", box=(58, 58, 44, 44))
    assert choose(row, TWO, FacePolicy(several="leave-out")) == Row("a", box=(60, 60, 40, 40))
    assert choose(row, TWO, FacePolicy(boxes="given")) == row
    assert choose(row, TWO, FacePolicy(boxes="none")) == Row("a")
    nowhere = choose(Row("a", box=(0, 90, 9, 9)), TWO, FacePolicy())
    assert isinstance(nowhere, Excluded)
    assert nowhere.detail == "none at the given box"


def test_the_landmarks_of_the_face_that_is_meant_are_stored() -> None:
    points = tuple(float(value) for value in range(10))
    found = Scanned("a", 100, 100, faces=[[20, 20, 50, 50, 0.9, *points]])
    assert choose(Row("a"), found, FacePolicy()) == Row("a", box=(20, 20, 50, 50), landmarks=points)
    assert choose(Row("a", landmarks=points), found, FacePolicy(boxes="none")) == Row("a")


def test_samples_that_the_data_set_calls_near_copies_of_what_is_measured_are_dropped() -> None:
    marks = {"train": "test", "training": "val", "val": "test", "test": "test", "": "test"}
    rows = [Row(split, split, extra={"near_copy_of": mark}) for split, mark in marks.items()]
    kept, excluded = drop_marked_copies([*rows, Row("b", "val", extra={"near_copy_of": "val"}), Row("a", "train")])
    assert [row.path for row in kept] == ["test", "b", "a"]
    assert {entry.reason for entry in excluded} == {"near copy"}


def test_drawn_splits_have_their_fractions_and_keep_people_together() -> None:
    rows = [Row(f"{index}", extra={"identity": str(index // 4)}) for index in range(4000)]
    drawn = [row for row in assign_splits(rows, parse_fractions("train=0.6,val=0.2,test=0.2")) if isinstance(row, Row)]
    counts = Counter(row.split for row in drawn)
    assert counts["train"] == pytest.approx(2400, rel=0.1)
    assert counts["val"] == pytest.approx(800, rel=0.2)
    split_of = {(row.extra["identity"], row.split) for row in drawn}
    assert len(split_of) == 1000


def test_a_fraction_is_kept_and_the_draw_depends_on_the_seed() -> None:
    rows = [Row(str(index)) for index in range(2000)]
    kept = [
        [row.path for row in assign_splits(rows, keep=0.5, seed=seed) if isinstance(row, Row)] for seed in (0, 0, 1)
    ]
    assert len(kept[0]) == pytest.approx(1000, rel=0.1)
    assert kept[0] == kept[1] != kept[2]
    assert len(assign_splits([Row("/faces/caf\udce9.png")], keep=0.5)) == 1, "a name that is no text"


def test_a_data_set_that_moves_keeps_its_splits() -> None:
    shares = parse_fractions("train=0.5,val=0.5")
    drawn = []
    for base in (Path("/here"), Path("/over/there")):
        rows = [Row(f"{base}/faces/{index}.png") for index in range(50)]
        drawn.append([row.split for row in assign_splits(rows, shares, base=base)])
    assert drawn[0] == drawn[1]


@pytest.mark.parametrize(
    "text",
    [
        "train",
        "train=0.5",
        "train=0.5,val=0.6",
        "train=1,val=0",
        "train=x,val=1",
        "train=nan,test=0.5",
        "test=0.5,train=nan",
        "train=0.3,train=1",
        "../train=0.5,val=0.5",
    ],
)
def test_fractions_that_make_no_sense_are_refused(text: str) -> None:
    with pytest.raises(UserError, match="split"):
        parse_fractions(text)
