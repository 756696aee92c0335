import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facial_attributes_ros.attributes import Detection
from facial_attributes_ros.pipeline import FramePipeline
from facial_attributes_ros.tracking.camera_motion import CameraMotion

RNG = np.random.default_rng(0)
WALL = cv2.GaussianBlur(RNG.integers(0, 256, (800, 2400, 3)).astype(np.float32), (0, 0), 4)
WALL = np.clip((WALL - 128) * 6 + 128, 0, 255).astype(np.uint8)


def view(x, y, noise=0.0):
    frame = WALL[y : y + 480, x : x + 640]
    return np.clip(frame + RNG.normal(0, noise, frame.shape), 0, 255).astype(np.uint8) if noise else frame.copy()


def motion(*frames):
    camera = CameraMotion()
    return [camera.follow(frame) for frame in frames][-1]


@given(st.integers(-250, 250), st.integers(-120, 120))
def test_a_turn_of_the_camera_is_told_in_pixels_of_the_frame(x, y):
    found = motion(view(800, 160), view(800 - x, 160 - y))
    assert found == pytest.approx((x, y), abs=5), "one pixel of the copies that are compared"


def test_a_still_scene_stays_still_however_noisy():
    assert motion(view(800, 160, noise=15), view(800, 160, noise=15)) == (0, 0)
    assert motion(np.full((480, 640, 3), 90, np.uint8), np.full((480, 640, 3), 90, np.uint8)) == (0, 0)


@pytest.mark.parametrize("width", [60, 200, 300])
def test_somebody_who_walks_through_a_still_scene_is_not_the_camera(width):
    frames = []
    for step in (0, 40):
        frame = view(100, 100)
        frame[80:, 150 + step : 150 + step + width] = WALL[300:700, 1500 : 1500 + width]
        frames.append(frame)
    assert motion(*frames) == pytest.approx((0, 0), abs=2.5)


def test_other_scenes_other_sizes_and_the_first_frame_are_no_motion():
    assert motion(view(800, 160)) == (0, 0)
    assert motion(view(0, 0), view(1700, 300)) == (0, 0)
    assert motion(view(800, 160), view(800, 160)[:240]) == (0, 0)
    camera = CameraMotion()
    camera.follow(view(800, 160))
    assert camera.follow(view(780, 160), needed=False) == (0, 0)
    assert camera.follow(view(760, 160)) == pytest.approx((20, 0), abs=2.5)


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (3, 2), (2, 900), (7, 7)])
def test_the_smallest_pictures_do_no_harm(shape):
    frames = RNG.integers(0, 256, (2, *shape, 3), dtype=np.uint8)
    assert np.isfinite(motion(*frames)).all()


def test_a_comparison_that_fails_is_no_motion(monkeypatch):
    monkeypatch.setattr(cv2, "phaseCorrelate", lambda *_: ((np.nan, np.nan), 0.0))
    assert motion(view(800, 160), view(780, 160)) == (0, 0)


class FacesOnTheWall:
    """Sees four faces that hang side by side on the wall, wherever the camera looks."""

    def __init__(self):
        self.x = 0

    def detect(self, image):
        left = 1000 + 100 * np.arange(4) - self.x
        return [Detection(np.array([x, 200, 40, 50], np.float32), 0.9) for x in left if 0 <= x <= 600]


@pytest.mark.parametrize("rate", [10, 15, 30])
def test_a_robot_that_turns_its_head_keeps_everybody_apart(fake_engine, rate):
    detector = FacesOnTheWall()
    pipeline = FramePipeline(detector, fake_engine)
    names = set()
    for frame in range(4 * rate):
        now = frame / rate
        # From rest to 630 pixels a second, a dozen faces' sizes, and back.
        detector.x = round(850 + 130 * np.sin(4.85 * max(0.0, now - 1)))
        faces = pipeline.process(view(detector.x, 160, noise=4), now).faces
        names |= {(face.id, round((face.detection.box[0] + detector.x - 1000) / 100)) for face in faces}
    assert len(names) == 4
