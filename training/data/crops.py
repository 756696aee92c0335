"""From a sample of a manifest to the square crop that a network sees; the same crop as at run time."""

from dataclasses import dataclass, field

import cv2
import numpy as np
import torch
from facial_attributes_training.data.archive import ImageReader
from facial_attributes_training.data.manifest import Manifest
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from facial_attributes_ros.imaging.crop import crop_frame, cut_frame
from facial_attributes_ros.models.spec import BOX


@dataclass(frozen=True, slots=True)
class Framing:
    """The difference of a crop from the one at run time.

    Attributes:
        shift: x, y of the square's shift, as fractions of its side without a margin.
        scale: factor on its side, about its centre.
        tilt: rotation in degrees.
        margin: instead of the reader's; None for that.
        mirrored_border: whether the image is mirrored beyond its border, instead of black.
    """

    shift: tuple[float, float] = (0.0, 0.0)
    scale: float = 1.0
    tilt: float = 0.0
    margin: float | None = None
    mirrored_border: bool = False


@dataclass(frozen=True)
class CropReader:
    """Crops the faces of a manifest; safe to fork and to send to worker processes.

    Attributes:
        manifest: paths of the images, and boxes and landmarks of the faces.
        size: side of the crop in pixels.
        margin: as in `facial_attributes_ros.imaging.crop`.
        images: reads the images.
        kind: of the crop, one of `models.spec.CROPS`.
    """

    manifest: Manifest
    size: int
    margin: float
    images: ImageReader = field(default_factory=ImageReader)
    kind: str = BOX

    def crop(self, row: int, framing: Framing | None = None) -> Tensor:
        """Return one face as uint8 (3, size, size), RGB.

        Args:
            row: of the manifest; without a face box the whole image is the box.
            framing: difference from the crop at run time.

        Raises:
            ImageError: the image can't be read or decoded.
        """
        picture = self.images.image(str(self.manifest.paths[row]))
        framing = framing or Framing()
        border = cv2.BORDER_REFLECT_101 if framing.mirrored_border else cv2.BORDER_CONSTANT
        crop = cut_frame(picture, self._frame(row, picture, framing), self.size, border)
        return torch.from_numpy(np.ascontiguousarray(crop[..., ::-1].transpose(2, 0, 1)))

    def _frame(self, row: int, picture: NDArray[np.uint8], framing: Framing) -> NDArray[np.float64]:
        box = self.manifest.boxes[row]
        if np.isnan(box).any():
            box = np.array([0, 0, picture.shape[1], picture.shape[0]], np.float32)
        frame = crop_frame(box, 0.0, None if self.kind == BOX else self.manifest.landmarks[row])
        frame[:2] += np.asarray(framing.shift) * frame[2]
        margin = self.margin if framing.margin is None else framing.margin
        frame[2] *= (1 + 2 * margin) * framing.scale
        frame[3] += np.radians(framing.tilt)
        return frame


def normalised(crops: Tensor, mean: ArrayLike, std: ArrayLike) -> Tensor:
    """Return uint8 crops (..., 3, S, S), RGB, as a backbone's float32 input of the same shape."""
    centre = torch.as_tensor(np.asarray(mean, np.float32), device=crops.device).view(3, 1, 1)
    deviation = torch.as_tensor(np.asarray(std, np.float32), device=crops.device).view(3, 1, 1)
    return (crops.float() / 255 - centre) / deviation
