"""The images of faces: what the page shows, and what is kept of a labelled frame of a video."""

import re
import zlib
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from facial_attributes_training.labelling.candidates import Candidate
from numpy.typing import NDArray

from facial_attributes_ros.files import atomic_target, disk_errors
from facial_attributes_ros.imaging.crop import crop_face
from facial_attributes_ros.imaging.decoder import read_image
from facial_attributes_ros.imaging.jpeg import jpeg, scaled_down
from facial_attributes_ros.imaging.sources import VideoFrames

Image = NDArray[np.uint8]
Box = tuple[float, float, float, float]

FRAMES: Final = "frames"
"""Folder for what is cut out of the frames of videos, in the folder of the answers."""
_FACE_SIDE: Final = 480
"""Side in pixels of the face on the page."""
_FACE_MARGIN: Final = 0.35
_SCENE_SIDE: Final = 960
"""Longest side in pixels of the whole image on the page."""
_QUALITY: Final = 90
"""Quality of these JPEG images, 1 to 100."""
_KEPT_MARGIN: Final = 1.0
"""What is kept of a frame around a face, in sides of its box: enough for the crops of training, and little more."""


class Pictures:
    """Reads the images of candidates. For one thread at a time."""

    def __init__(self) -> None:
        """Begin without an open file."""
        self._video: tuple[str, VideoFrames] | None = None
        self._last: tuple[tuple[str, int | None], Image] | None = None

    def image(self, candidate: Candidate) -> Image:
        """Return the image or frame of a face, uint8 (H, W, 3) BGR.

        Raises:
            UserError: it cannot be read any more.
        """
        place = candidate.media, candidate.frame
        if self._last is None or self._last[0] != place:
            self._last = place, self._read(candidate)
        return self._last[1]

    def face(self, candidate: Candidate) -> bytes:
        """Return a face with some of its surroundings as JPEG.

        Raises:
            UserError: as `image`.
        """
        return jpeg(crop_face(self.image(candidate), candidate.box, _FACE_SIDE, _FACE_MARGIN), _QUALITY)

    def scene(self, candidate: Candidate) -> bytes:
        """Return the whole image with a frame around the face as JPEG.

        Raises:
            UserError: as `image`.
        """
        image = self.image(candidate)
        small = scaled_down(image, _SCENE_SIDE).copy()
        scale = max(small.shape[:2]) / max(image.shape[:2])
        x, y, width, height = (round(scale * value) for value in candidate.box)
        for colour, thickness in (((0, 0, 0), 5), ((255, 255, 255), 2)):
            cv2.rectangle(small, (x, y), (x + width, y + height), colour, thickness)
        return jpeg(small, _QUALITY)

    def keep(self, candidate: Candidate, folder: Path) -> tuple[Path, Box, tuple[float, ...] | None]:
        """Return the image of a face for the manifest, with its box and landmarks there.

        An image stays where it is. Of a frame of a video, the surroundings of the face are stored in the folder.

        Raises:
            UserError: as `image`, or it cannot be stored.
        """
        if candidate.frame is None:
            return Path(candidate.media), candidate.box, candidate.landmarks
        image, (x, y, width, height) = self.image(candidate), candidate.box
        around = _KEPT_MARGIN * max(width, height)
        left, top = (max(int(value - around), 0) for value in (x, y))
        cut = image[top : int(y + height + around) + 1, left : int(x + width + around) + 1]
        path = self.kept_path(candidate, folder)
        with disk_errors(path), atomic_target(path) as partial:
            partial.write_bytes(bytes(cv2.imencode(".png", cut)[1]))
        points = candidate.landmarks
        moved = None if points is None else tuple(np.subtract(points, (left, top) * 5).tolist())
        return path, (x - left, y - top, width, height), moved

    def kept_path(self, candidate: Candidate, folder: Path) -> Path:
        """Return where the surroundings of a face in a video are stored: always the same place for the same face."""
        name = re.sub(r"[^\w-]", "_", Path(candidate.media).stem)[:60]
        number = zlib.crc32(f"{candidate.person} {candidate.box}".encode()) & 0xFFFFFF
        return folder / FRAMES / f"{name}-{candidate.frame:06d}-{number:06x}.png"

    def close(self) -> None:
        """Free the open video."""
        if self._video is not None:
            self._video[1].close()
        self._video = self._last = None

    def _read(self, candidate: Candidate) -> Image:
        if candidate.frame is None:
            return read_image(Path(candidate.media))
        if self._video is None or self._video[0] != candidate.media:
            self.close()
            self._video = candidate.media, VideoFrames(Path(candidate.media))
        return self._video[1].frame(candidate.frame, candidate.seconds or 0.0)
