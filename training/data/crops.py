"""From a manifest row to the square crop that a network sees; the same crop as at run time."""

from dataclasses import dataclass, field

import numpy as np
import torch
from facial_attributes_training.data.archive import PictureReader
from facial_attributes_training.data.manifest import Manifest
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from facial_attributes_ros.imaging.crop import crop_face


@dataclass(frozen=True)
class CropReader:
    """Cuts the faces of a manifest out of its pictures; safe to fork and to send to worker processes.

    Attributes:
        manifest: where the pictures and the faces are.
        size: side of the crop in pixels.
        margin: as in `facial_attributes_ros.imaging.crop`.
        pictures: reads the pictures.
    """

    manifest: Manifest
    size: int
    margin: float
    pictures: PictureReader = field(default_factory=PictureReader)

    def crop(self, row: int, shift: ArrayLike = (0.0, 0.0), scale: float = 1.0) -> Tensor:
        """Return one face as uint8 (3, size, size), RGB.

        Args:
            row: of the manifest; without a face box the whole picture is the box.
            shift: x, y by which the box is moved, in shares of its longer side.
            scale: factor on the sides of the box, about its centre.

        Raises:
            PictureError: the picture can't be read or decoded.
        """
        picture = self.pictures.picture(str(self.manifest.paths[row]))
        box = self.manifest.boxes[row]
        if np.isnan(box).any():
            box = np.array([0, 0, picture.shape[1], picture.shape[0]], np.float32)
        crop = crop_face(picture, _moved(box, np.asarray(shift, np.float64), scale), self.size, self.margin)
        return torch.from_numpy(np.ascontiguousarray(crop[..., ::-1].transpose(2, 0, 1)))


def normalised(crops: Tensor, mean: ArrayLike, std: ArrayLike) -> Tensor:
    """Return uint8 crops (..., 3, S, S), RGB, as a backbone's float32 input of the same shape."""
    centre = torch.as_tensor(np.asarray(mean, np.float32), device=crops.device).view(3, 1, 1)
    spread = torch.as_tensor(np.asarray(std, np.float32), device=crops.device).view(3, 1, 1)
    return (crops.float() / 255 - centre) / spread


def _moved(box: NDArray[np.float32], shift: NDArray[np.float64], scale: float) -> NDArray[np.float64]:
    x, y, width, height = (float(value) for value in box)
    side = max(width, height)
    centre_x, centre_y = x + width / 2 + shift[0] * side, y + height / 2 + shift[1] * side
    width, height = width * scale, height * scale
    return np.array([centre_x - width / 2, centre_y - height / 2, width, height])
