import itertools
import os

import cv2
import numpy as np
import pytest

from facial_attributes_ros.errors import UserError
from facial_attributes_ros.imaging.decoder import read_image
from facial_attributes_ros.imaging.sample_camera import PERIOD, SampleCamera
from facial_attributes_ros.imaging.sources import open_source, read_video, video_rate


def picture(path, shade=100, shape=(48, 64, 3)):
    cv2.imwrite(str(path), np.full(shape, shade, np.uint8))
    return path


@pytest.fixture
def video(tmp_path):
    path = tmp_path / "clip.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10.0, (64, 48))
    if not writer.isOpened():
        pytest.skip("this OpenCV writes no MJPG video")
    for shade in range(0, 200, 20):
        writer.write(np.full((48, 64, 3), shade, np.uint8))
    writer.release()
    return path


def test_the_sample_moves_smoothly_and_comes_back(six_faces, astronaut):
    camera = SampleCamera(320, 240)
    frames = [camera.frame(seconds).astype(int) for seconds in np.arange(0, PERIOD, 0.5)]
    assert all(frame.shape == (240, 320, 3) for frame in frames)
    assert all((one != other).mean() > 0.3 for one, other in itertools.pairwise(frames))
    near = np.abs(camera.frame(20.0).astype(int) - camera.frame(20.0 + 1 / 15)).mean()
    far = np.abs(frames[0] - frames[40]).mean()
    assert near < far / 2


def test_the_sample_shows_all_six_faces_in_part_of_its_round(yunet, six_faces):
    yunet.options = type(yunet.options)(score_threshold=0.7)
    counts = [len(yunet.detect(image)) for image, _ in itertools.islice(open_source("sample", rate=1), 27)]
    assert counts[:6] == [6] * 6
    assert min(counts) >= 1


def test_frames_come_at_the_rate_that_was_asked_for(tmp_path):
    frames = list(itertools.islice(open_source(str(picture(tmp_path / "a.png")), rate=5), 4))
    assert [seconds for _, seconds in frames] == pytest.approx([0, 0.2, 0.4, 0.6])
    assert frames[0][0].shape == (48, 64, 3)


def test_a_folder_shows_each_picture_a_second_and_passes_over_bad_ones(tmp_path, caplog):
    picture(tmp_path / "a.png", 10)
    (tmp_path / "b.jpg").write_bytes(b"no picture")
    picture(tmp_path / "c.png", 30)
    frames = list(open_source(str(tmp_path), rate=2))
    assert [int(image[0, 0, 0]) for image, _ in frames] == [10, 10, 30, 30]
    assert "b.jpg" in caplog.text


def test_a_video_keeps_its_times_and_ends(video):
    frames = list(open_source(str(video)))
    assert len(frames) == 10
    assert [seconds for _, seconds in frames] == pytest.approx(np.arange(10) / 10, abs=0.02)
    assert video_rate(video) == pytest.approx(10)


def test_a_looped_video_begins_again_while_its_time_goes_on(video):
    times = [seconds for _, seconds in itertools.islice(open_source(str(video), loop=True), 35)]
    assert all(later > earlier for earlier, later in itertools.pairwise(times))
    assert times[30] == pytest.approx(3.0, abs=0.1)


@pytest.mark.parametrize("spec", ["webcam:99", "webcam:x", "/no/such/picture.jpg", "/no/such/video.mp4"])
def test_what_is_not_there_is_a_sentence_at_once(spec):
    with pytest.raises(UserError):
        open_source(spec)


def test_bad_files_are_sentences(tmp_path):
    for name, content in (("empty.jpg", b""), ("text.png", b"hello"), ("text.mp4", b"hello")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UserError, match=name.partition(".")[0]):
            open_source(str(tmp_path / name))
    (tmp_path / "folder").mkdir()
    with pytest.raises(UserError, match="no images"):
        open_source(str(tmp_path / "folder"))
    with pytest.raises(UserError, match=r"no frame|not a video"):
        list(read_video(tmp_path / "text.mp4"))


def test_a_jpeg_that_is_cut_short_is_refused(tmp_path):
    whole = picture(tmp_path / "whole.jpg").read_bytes()
    (tmp_path / "half.jpg").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError):
        read_image(tmp_path / "half.jpg")
    random = np.random.default_rng(0).integers(0, 255, (200, 200, 3), dtype=np.uint8)
    cv2.imwrite(str(tmp_path / "noise.jpg"), random)
    (tmp_path / "cut.jpg").write_bytes((tmp_path / "noise.jpg").read_bytes()[:-3000])
    with pytest.raises(UserError, match="cut short"):
        read_image(tmp_path / "cut.jpg")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_a_sentence(tmp_path):
    picture(tmp_path / "a.png").chmod(0)
    with pytest.raises(UserError, match="permission"):
        read_image(tmp_path / "a.png")


@pytest.mark.parametrize("shape", [(10, 12), (10, 12, 4)])
def test_grey_and_transparent_pictures_come_as_colour(tmp_path, shape):
    assert read_image(picture(tmp_path / "a.png", shape=shape)).shape == (10, 12, 3)
