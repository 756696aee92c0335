"""Cost against work: more faces, larger frames, higher rates, each until the node no longer keeps up."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from facial_attributes_ros.bench.graph import EndToEnd, LiveGraph
from facial_attributes_ros.bench.stages import frame_with_faces

AXES: Final = {
    "faces": (1, 2, 5, 10, 20, 35, 50),
    "width": (320, 640, 960, 1280, 1920, 2560, 3840),
    "rate": (5, 10, 15, 20, 30, 45, 60),
}
"""What is changed, one after the other; the rest stays at `USUAL`. Frames are 4:3."""
USUAL: Final = {"faces": 1, "width": 640, "rate": 30}
KEEPS_UP: Final = 0.95
"""Share of the camera's frames that must be answered."""


@dataclass(frozen=True, slots=True)
class Point:
    """One point of a curve.

    Attributes:
        axis: which of `AXES` is changed.
        faces: in the frame.
        width: of the frame in pixels; its height is three quarters of it.
        rate: frames a second of the camera.
    """

    axis: str
    faces: int
    width: int
    rate: int

    @property
    def value(self) -> int:
        """Where on its axis the point is."""
        return int(getattr(self, self.axis))


def load_points(axes: Sequence[str] = tuple(AXES)) -> list[Point]:
    """Return the points of some axes."""
    return [Point(axis, **(USUAL | {axis: value})) for axis in axes for value in AXES[axis]]


def bench_load(
    graph: LiveGraph, points: Sequence[Point], seconds: float, tell: Callable[[float], object] = lambda _: None
) -> Iterator[tuple[Point, EndToEnd | str]]:
    """Measure points one after the other; one that fails gives its reason and doesn't keep the rest from running.

    Args:
        graph: the running node.
        points: where to measure.
        seconds: each.
        tell: told how many more seconds have passed.
    """
    from facial_attributes_ros.errors import UserError

    for point in points:
        try:
            frame = frame_with_faces(point.faces, point.width, point.width * 3 // 4)
            yield point, graph.measure(frame, point.rate, seconds, tell)
        except (UserError, MemoryError) as error:
            yield point, str(error) or "out of memory"


def limits(results: Sequence[tuple[Point, EndToEnd | str]]) -> dict[str, int | None]:
    """Return by axis the largest value up to which every point kept up; None if not even the first did."""
    found: dict[str, int | None] = {}
    for axis in dict.fromkeys(point.axis for point, _ in results):
        found[axis] = None
        for point, result in sorted((each for each in results if each[0].axis == axis), key=lambda each: each[0].value):
            if isinstance(result, str) or result.rate < KEEPS_UP * point.rate:
                break
            found[axis] = point.value
    return found
