"""Scanning pictures: what is found, resuming, and what goes wrong."""

import json
import os
import tarfile
from pathlib import Path

import cv2
import numpy as np
import pytest
from facial_attributes_training.data.archive import ImageReader
from facial_attributes_training.prepare.scan import fingerprint, scan, scan_image
from numpy.typing import NDArray

from facial_attributes_ros.attributes import Detection
from facial_attributes_ros.errors import UserError
from facial_attributes_ros.options import DetectorOptions


class SquareFinder:
    """Takes every white square for a face; counts how often it is asked."""

    options = DetectorOptions()

    def __init__(self) -> None:
        self.pictures = 0

    def detect(self, image: NDArray[np.uint8]) -> list[Detection]:
        self.pictures += 1
        boxes = cv2.connectedComponentsWithStats((image[..., 0] > 200).astype(np.uint8))[2][1:, :4]
        return [Detection(box.astype(np.float32), 0.9) for box in boxes]


@pytest.fixture
def pictures(tmp_path: Path) -> list[str]:
    """Five images; number n has n white squares of 20 pixels."""
    paths = []
    for count in range(5):
        picture = np.full((60, 200, 3), count, np.uint8)
        for square in range(count):
            picture[10:30, 40 * square + 5 : 40 * square + 25] = 255
        paths.append(str(tmp_path / f"{count}.png"))
        cv2.imwrite(paths[-1], picture)
    return paths


def test_every_image_is_described(pictures: list[str], tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    found = scan(pictures, tmp_path / "scan.jsonl", {}, SquareFinder, progress=lambda *state: told.append(state))
    assert [len(found[path].faces or []) for path in pictures] == [0, 1, 2, 3, 4]
    assert found[pictures[1]].faces == [[5, 10, 20, 20, 0.9, *[None] * 10]]
    assert (found[pictures[0]].width, found[pictures[0]].height) == (200, 60)
    assert told[0] == (0, 5)
    assert told[-1] == (5, 5)


def test_a_stopped_scan_resumes_where_it_stopped(pictures: list[str], tmp_path: Path) -> None:
    log = tmp_path / "scan.jsonl"
    whole = scan(pictures, log, {"size": 1}, SquareFinder)
    lines = log.read_text().splitlines()
    # As after a kill in the middle of a line.
    log.write_text("\n".join([*lines[:3], lines[3][:20]]))
    finder = SquareFinder()
    assert scan(pictures, log, {"size": 1}, lambda: finder) == whole
    assert finder.pictures == 3
    assert sorted(json.loads(line)["path"] for line in log.read_text().splitlines()[1:]) == pictures


def test_landmarks_are_kept_and_faces_of_older_logs_are_looked_at_again(pictures: list[str], tmp_path: Path) -> None:
    class WithLandmarks(SquareFinder):
        def detect(self, image: NDArray[np.uint8]) -> list[Detection]:
            points = np.arange(10, dtype=np.float32).reshape(5, 2)
            return [Detection(face.box, face.score, points) for face in super().detect(image)]

    log = tmp_path / "scan.jsonl"
    whole = scan(pictures, log, {}, WithLandmarks)
    assert whole[pictures[2]].faces == [[x, 10, 20, 20, 0.9, *range(10)] for x in (5, 45)]
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    lines[3]["faces"] = [face[:5] for face in lines[3]["faces"]]
    log.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    finder = WithLandmarks()
    assert scan(pictures, log, {}, lambda: finder) == whole
    assert finder.pictures == 1


def test_an_image_that_changed_is_scanned_again(pictures: list[str], tmp_path: Path) -> None:
    log = tmp_path / "scan.jsonl"
    before = scan(pictures, log, {}, SquareFinder)
    Path(pictures[0]).write_bytes(Path(pictures[3]).read_bytes())
    after = scan(pictures, log, {}, SquareFinder)
    assert len(after[pictures[0]].faces or []) == 3
    assert all(after[path] == before[path] for path in pictures[1:])


def test_a_scan_of_other_settings_is_refused(pictures: list[str], tmp_path: Path) -> None:
    scan(pictures, tmp_path / "scan.jsonl", {"size": 1}, SquareFinder)
    with pytest.raises(UserError, match="made with another size"):
        scan(pictures, tmp_path / "scan.jsonl", {"size": 2}, SquareFinder)
    (tmp_path / "scan.jsonl").write_text("rubbish\n")
    with pytest.raises(UserError, match="damaged"):
        scan(pictures, tmp_path / "scan.jsonl", {"size": 2}, SquareFinder)


def test_a_broken_image_is_reported_and_tried_again(pictures: list[str], tmp_path: Path) -> None:
    Path(pictures[2]).write_bytes(b"no picture")
    assert "not a whole image" in scan(pictures, tmp_path / "scan.jsonl", {}, SquareFinder)[pictures[2]].error
    cv2.imwrite(pictures[2], np.zeros((8, 8, 3), np.uint8))
    assert not scan(pictures, tmp_path / "scan.jsonl", {}, SquareFinder)[pictures[2]].error


def test_images_in_an_archive_that_can_not_be_read_are_reported(pictures: list[str], tmp_path: Path) -> None:
    (tmp_path / "rubbish.tar").write_bytes(b"rubbish")
    places = {"gone.tar": "can't be read", "rubbish.tar": "not a whole", "n\0.tar": "null byte"}
    inside = {f"{tmp_path / name}#{member}.png": why for name, why in places.items() for member in "ab"}
    found = scan([*pictures, *inside], tmp_path / "scan.jsonl", {}, None)
    assert all(why in found[path].error for path, why in inside.items())
    assert not any(found[path].error for path in pictures)


def test_an_archive_that_goes_away_is_reported(pictures: list[str], tmp_path: Path) -> None:
    reader, path = ImageReader(), f"{tmp_path / 'faces.tar'}#0.png"
    with tarfile.open(tmp_path / "faces.tar", "w") as archive:
        archive.add(pictures[0], "0.png")
    reader.index([path])
    (tmp_path / "faces.tar").unlink()
    assert "can't be read" in scan_image(reader, None, path).error


def test_two_processes_find_what_one_finds(pictures: list[str], tmp_path: Path) -> None:
    alone = scan(pictures, tmp_path / "one.jsonl", {}, None, workers=1)
    assert scan(pictures, tmp_path / "two.jsonl", {}, None, workers=2) == alone


def test_workers_that_can_not_start_end_the_scan(pictures: list[str], tmp_path: Path) -> None:
    with pytest.raises(UserError, match="a worker process was killed"):
        scan(pictures, tmp_path / "scan.jsonl", {}, os.abort, workers=2)  # type: ignore[arg-type]


def test_the_fingerprint_is_of_the_pixels_and_the_shape() -> None:
    picture = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    assert fingerprint(picture) == fingerprint(np.asfortranarray(picture))
    assert fingerprint(picture) != fingerprint(picture.reshape(4, 2, 3))
    assert fingerprint(picture) != fingerprint(picture + np.uint8(1))
