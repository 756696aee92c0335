"""`imaging.crop.cut_frame` for images in a GPU's memory: crop, turn, resize and border in one batched call."""

import math

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor
from torch.nn import functional

from facial_attributes_ros.imaging.crop import MAX_OVERSAMPLING


def crop_planes(image: Tensor, frames: ArrayLike, size: int) -> Tensor:
    """Cut faces out of an image on its own device; the result is that of `cut_frame` up to rounding.

    Args:
        image: uint8 (H, W, 3).
        frames: (N, 4) x, y of the centre, side and roll as `crop_frame` gives them, N at least 1, on the CPU, so that
            nothing waits for the GPU.
        size: side of the crops in pixels.

    Returns:
        float32 (N, 3, size, size), 0 to 255, black outside the image, on the device of `image`.
    """
    squares = torch.from_numpy(np.asarray(frames, np.float32).reshape(-1, 4))
    oversampling = [min(max(math.ceil(side / size), 1), MAX_OVERSAMPLING) for side in squares[:, 2].tolist()]
    planes = image.permute(2, 0, 1)[None].to(torch.float32)
    crops = torch.empty(len(squares), 3, size, size, device=image.device)
    for factor in sorted(set(oversampling)):  # one call for faces of similar size; seldom more than two or three
        chosen = [index for index, own in enumerate(oversampling) if own == factor]
        crops[chosen] = _sample(planes, squares[chosen], size, factor)
    return crops


def _sample(planes: Tensor, squares: Tensor, size: int, factor: int) -> Tensor:
    """Sample squares (x, y, side, roll) at `factor` points per pixel and axis, and average them."""
    height, width = planes.shape[2:]
    device = planes.device
    x, y, side, roll = squares.to(device, non_blocking=True)[:, :, None, None].unbind(1)
    offsets = (torch.arange(size * factor, device=device) + 0.5) / (size * factor) - 0.5
    across, down = side * offsets[None, None, :], side * offsets[None, :, None]
    # grid_sample without align_corners counts from border to border: -1 is the left edge of the first pixel.
    columns = 2 * (x + roll.cos() * across - roll.sin() * down) / width - 1
    rows = 2 * (y + roll.sin() * across + roll.cos() * down) / height - 1
    samples = functional.grid_sample(
        planes.expand(len(squares), -1, -1, -1),
        torch.stack((columns, rows), dim=-1),
        mode="bilinear",
        padding_mode="zeros",
        align_corners=False,
    )
    return functional.avg_pool2d(samples, factor).round() if factor > 1 else samples.round()
