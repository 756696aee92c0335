"""`imaging.crop.crop_faces` for images in a GPU's memory: crop, resize and border in one batched call."""

import math
from collections.abc import Sequence

import torch
from numpy.typing import ArrayLike
from torch import Tensor
from torch.nn import functional

from facial_attributes_ros.imaging.crop import MAX_OVERSAMPLING, square_crop


def crop_planes(image: Tensor, boxes: ArrayLike, size: int, margin: float) -> Tensor:
    """Cut faces out of an image on its own device; the result is that of `crop_faces` up to rounding.

    Args:
        image: uint8 (H, W, 3).
        boxes: (N, 4) x, y, width, height in pixels, N at least 1, on the CPU, so that nothing waits for the GPU.
        size: side of the crops in pixels.
        margin: as in `square_crop`.

    Returns:
        float32 (N, 3, size, size), 0 to 255, black outside the image, on the device of `image`.

    Raises:
        ValueError: a box has no area or is not finite.
    """
    squares = [square_crop(box, margin).tolist() for box in torch.as_tensor(boxes).reshape(-1, 4).tolist()]
    oversampling = [min(max(math.ceil(side / size), 1), MAX_OVERSAMPLING) for *_, side in squares]
    planes = image.permute(2, 0, 1)[None].to(torch.float32)
    crops = torch.empty(len(squares), 3, size, size, device=image.device)
    for factor in sorted(set(oversampling)):  # one call for faces of similar size; seldom more than two or three
        chosen = [index for index, own in enumerate(oversampling) if own == factor]
        crops[chosen] = _sample(planes, [squares[index] for index in chosen], size, factor)
    return crops


def _sample(planes: Tensor, squares: Sequence[Sequence[float]], size: int, factor: int) -> Tensor:
    """Sample squares (x, y, side) at `factor` points per pixel and axis, and average them."""
    height, width = planes.shape[2:]
    device = planes.device
    x, y, side = torch.tensor(squares).to(device, non_blocking=True).unbind(1)
    steps = (torch.arange(size * factor, device=device) + 0.5) / (size * factor)
    # grid_sample without align_corners counts from border to border: -1 is the left edge of the first pixel.
    columns = 2 * (x[:, None] + side[:, None] * steps) / width - 1
    rows = 2 * (y[:, None] + side[:, None] * steps) / height - 1
    shape = (len(squares), len(steps), len(steps))
    grid = torch.stack((columns[:, None, :].expand(shape), rows[:, :, None].expand(shape)), dim=-1)
    samples = functional.grid_sample(
        planes.expand(len(squares), -1, -1, -1), grid, mode="bilinear", padding_mode="zeros", align_corners=False
    )
    return functional.avg_pool2d(samples, factor).round() if factor > 1 else samples.round()
