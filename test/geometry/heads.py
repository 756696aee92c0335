"""Heads whose place and pose are known, as a camera sees them."""

import numpy as np
from scipy.spatial.transform import Rotation

from facial_attributes_ros.attributes import Detection, Distribution, FaceAttributes
from facial_attributes_ros.geometry.camera import Camera
from facial_attributes_ros.geometry.fit import FRONTAL
from facial_attributes_ros.geometry.head import POINTS, PUPILS, pupil_distance

MATRIX = np.array([[600.0, 0, 320], [0, 610, 240], [0, 0, 1]])
FISHEYE_MATRIX = np.array([[220.0, 0, 320], [0, 220, 240], [0, 0, 1]])
PLAIN = Camera(640, 480, MATRIX, np.zeros(0))
LENSES = {
    "plumb_bob": Camera(640, 480, MATRIX, np.array([-0.3, 0.1, 0.001, -0.002, 0.01])),
    "rational": Camera(640, 480, MATRIX, np.array([5.0, 2.0, 0.0, 0.0, 0.3, 5.3, 3.1, 0.6])),
    "equidistant": Camera(640, 480, FISHEYE_MATRIX, np.array([-0.02, 0.003, -0.001, 0.0001]), fisheye=True),
}


def looking(direction, yaw=0.0, pitch=0.0, roll=0.0):
    """Rotation to the optical frame of a head in a direction, in degrees relative to one that faces the camera."""
    ahead = np.array(direction, float) / np.linalg.norm(direction)
    right = np.cross([0, 1, 0], ahead)
    right /= np.linalg.norm(right)
    view = np.stack([right, np.cross(ahead, right), ahead])
    return view.T @ FRONTAL @ Rotation.from_euler("ZYX", [yaw, pitch, roll], degrees=True).as_matrix()


def head(camera, position, rotation, age=40.0, age_stddev=0.0, held=0.0, name="f1"):
    """A face of the generic shape, and of the mean size of its age, at a position in metres."""
    size = pupil_distance(age, age_stddev)[0] / PUPILS
    pixels = camera.project(size * POINTS @ rotation.T + position)
    low, high = pixels.min(axis=0), pixels.max(axis=0)
    box = np.concatenate([low - (high - low) * 0.4, (high - low) * 1.8])
    detection = Detection(box.astype(np.float32), 0.9, pixels.astype(np.float32), held)
    unknown = (Distribution.unknown(task) for task in ("age", "gender", "emotion"))
    return FaceAttributes(name, detection, age, age_stddev, *unknown, observations=1, updated=0.0)
