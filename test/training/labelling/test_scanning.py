"""The faces of images and videos are found once; a stopped scan continues, and what cannot be read is listed."""

import json

import cv2
import numpy as np
import pytest
from facial_attributes_training.labelling.scanning import LOOK_SECONDS, WINDOW_SECONDS, Scanner

from facial_attributes_ros.attributes import Detection
from facial_attributes_ros.imaging.sources import VideoFrames, read_video
from facial_attributes_ros.pipeline import FramePipeline


class BrightSquares:
    """Finds the white squares of an image."""

    def __init__(self):
        self.searched = 0

    def detect(self, image, options=None):
        self.searched += 1
        count, _, found, _ = cv2.connectedComponentsWithStats((image[..., 0] > 200).astype(np.uint8))
        return [Detection(box[:4].astype(np.float32), 0.9) for box in found[1:count]]


@pytest.fixture
def scanner(make_engine):
    return Scanner(FramePipeline(BrightSquares(), make_engine()), "squares", smallest=20)


def squares(*corners, side=40):
    image = np.zeros((120, 160, 3), np.uint8)
    for x, y in corners:
        image[y : y + side, x : x + side] = 255
    return image


@pytest.fixture
def files(tmp_path):
    """Two faces, a small one, none, and what is no image."""
    images = [squares((10, 10), (90, 50)), squares((10, 10), side=12), squares()]
    for number, image in enumerate(images):
        cv2.imwrite(str(tmp_path / f"{number}.png"), image)
    (tmp_path / "broken.png").write_bytes(b"\x89PNG nothing")
    return [tmp_path / name for name in ("0.png", "1.png", "2.png", "broken.png")]


def scan(scanner, files, log):
    return scanner.scan(files, [file.name for file in files], log, lambda done, total: None)


def test_faces_are_found_and_a_broken_file_is_listed(scanner, files, tmp_path):
    found = scan(scanner, files, tmp_path / "log")
    assert [len(file.candidates) for file in found] == [2, 0, 0, 0]
    assert [bool(file.error) for file in found] == [False, False, False, True]
    face = found[0].candidates[0]
    assert (face.box[2:], face.person, face.belief, face.landmarks) == ((40, 40), "", {}, None)
    assert face.view("emotion").argmax() == 6


def test_what_was_scanned_is_not_scanned_again_unless_it_has_changed(scanner, files, tmp_path):
    log = tmp_path / "log"
    first = scan(scanner, files, log)
    lines = log.read_text().splitlines()
    log.write_text("\n".join(lines[:2]) + "\n" + lines[2][:30])  # killed in the second image
    before = scanner.pipeline.detector.searched
    again = scan(scanner, files, log)
    assert scanner.pipeline.detector.searched == before + 2
    assert [file.to_dict() for file in again] == [file.to_dict() for file in first]
    cv2.imwrite(str(files[0]), squares((10, 10)))
    assert len(scan(scanner, files, log)[0].candidates) == 1
    other = Scanner(scanner.pipeline, "squares", smallest=8)
    assert len(scan(other, files, log)[1].candidates) == 1


def test_the_log_holds_no_pixels(scanner, files, tmp_path):
    scan(scanner, files, tmp_path / "log")
    settings, *lines = map(json.loads, (tmp_path / "log").read_text().splitlines())
    assert settings["detector"] == "squares"
    assert set(lines[0]["faces"][0]) == {"media", "face", "quality", "look", "frame", "seconds", "person", "belief"}


def test_a_person_of_a_video_is_offered_once_in_a_while_with_the_belief_of_the_track(scanner, tmp_path):
    path, rate, seconds = tmp_path / "people.avi", 10, 5
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), rate, (160, 120))
    for number in range(rate * seconds):
        writer.write(squares((10 + number // 5, 10), (100, 60)))
    writer.release()
    (found,) = scan(scanner, [path], tmp_path / "log")
    people = {face.person for face in found.candidates}
    assert people == {"people.avi/1", "people.avi/2"}
    windows = [(face.person, face.seconds // WINDOW_SECONDS) for face in found.candidates]
    assert len({*windows}) == len(windows) == 2 * 3
    assert all(face.belief.keys() == {"age", "gender", "emotion"} for face in found.candidates)
    assert LOOK_SECONDS < WINDOW_SECONDS


@pytest.mark.parametrize(("name", "codec"), [("a.avi", "MJPG"), ("a.mp4", "mp4v")])
def test_a_frame_of_a_video_is_the_one_that_was_scanned_in_any_order(tmp_path, name, codec):
    path = tmp_path / name
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), 12.5, (160, 120))
    for number in range(40):
        writer.write(squares((number, 10)))
    writer.release()
    frames, video = list(read_video(path)), VideoFrames(path)
    for number in (30, 3, 39, 0, 17):
        image, seconds = frames[number]
        assert np.array_equal(video.frame(number, seconds), image)
        assert np.array_equal(video.frame(number, seconds + 5.0), image)  # a seek that seems to miss
    video.close()
