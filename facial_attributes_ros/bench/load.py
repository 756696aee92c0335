"""Cost against load: more faces, larger frames and higher rates, until the node no longer keeps up."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from facial_attributes_ros.bench.frames import frame_with_faces
from facial_attributes_ros.bench.graph import EndToEnd, LiveGraph, Progress
from facial_attributes_ros.errors import UserError

AXES: Final = {
    "faces": (1, 2, 5, 10, 20, 35, 50),
    "width": (320, 640, 960, 1280, 1920, 2560, 3840),
    "rate": (5, 10, 15, 20, 30, 45, 60),
}
"""Values that are changed, one axis after the other; the rest stays at `USUAL`. Frames are 4:3."""
USUAL: Final = {"faces": 1, "width": 640, "rate": 30}
KEEPS_UP: Final = 0.95
"""Fraction of the camera's frames for which a message must arrive."""


@dataclass(frozen=True, slots=True)
class Point:
    """One point of a curve.

    Attributes:
        axis: the one of `AXES` that is changed.
        faces: number of faces in the frame.
        width: of the frame in pixels; its height is three quarters of it.
        rate: of the camera, frames/s.
    """

    axis: str
    faces: int
    width: int
    rate: int

    @property
    def value(self) -> int:
        """Position of the point on its axis."""
        return int(getattr(self, self.axis))


def load_points(axes: Sequence[str] = tuple(AXES)) -> list[Point]:
    """Return the points of some axes."""
    return [Point(axis, **(USUAL | {axis: value})) for axis in axes for value in AXES[axis]]


def bench_load(
    graph: LiveGraph, points: Sequence[Point], seconds: float, progress: Progress = lambda _: None
) -> Iterator[tuple[Point, EndToEnd | str]]:
    """Measure points one after the other; one that fails gives its reason, and the others follow.

    Args:
        graph: the running node.
        points: where to measure.
        seconds: each.
        progress: called with the seconds that have passed since the last call.
    """
    for point in points:
        try:
            frame = frame_with_faces(point.faces, point.width, point.width * 3 // 4)
            yield point, graph.measure(frame, point.rate, seconds, progress)
        except (UserError, MemoryError) as error:
            yield point, str(error) or "out of memory"


def limits(results: Sequence[tuple[Point, EndToEnd | str]]) -> dict[str, int | None]:
    """Return by axis the largest value up to which every point kept up; None if the first did not."""
    found: dict[str, int | None] = {}
    for axis in dict.fromkeys(point.axis for point, _ in results):
        found[axis] = None
        for point, result in sorted((each for each in results if each[0].axis == axis), key=lambda each: each[0].value):
            if isinstance(result, str) or result.rate < KEEPS_UP * point.rate:
                break
            found[axis] = point.value
    return found
