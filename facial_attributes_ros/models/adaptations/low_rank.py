"""Fully trained matrices as differences of low rank from the weights that training started from.

Fine-tuning changes weights mostly in few directions (Aghajanyan et al., 2021). So the difference, cut to its largest
singular values, keeps the trained model in a fraction of the size. It is for storage only: training is not restricted.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from facial_attributes_ros.models.arrays import FACTORS, IN, OUT, SCALE


def compress(tensors: Mapping[str, Tensor], start: Mapping[str, Tensor], rank: int) -> dict[str, Tensor]:
    """Replace matrices by the factors of their difference from the starting weights, where that is smaller.

    Args:
        tensors: trained tensors by name.
        start: the starting weights by the same names; what has none there is kept whole.
        rank: of the stored differences.

    Returns:
        The tensors for `expand`. The error is the smallest that any matrix of this rank has (Eckart and Young 1936).
    """
    stored: dict[str, Tensor] = {}
    for name, trained in tensors.items():
        before = start.get(name)
        if before is None or trained.ndim != 2 or rank * sum(trained.shape) >= trained.numel():
            stored[name] = trained
            continue
        difference = trained.double().cpu() - before.double().cpu()
        left, values, right = torch.linalg.svd(difference, full_matrices=False)
        # Half of the scale on each side, so that neither factor leaves the range of half precision.
        scale = values[:rank].sqrt()
        stored[name + OUT] = (left[:, :rank] * scale).float()
        stored[name + IN] = (scale[:, None] * right[:rank]).float()
    return stored


def expand(stored: Mapping[str, Tensor], start: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the trained tensors that `compress` or `difference.stored_difference` stored, float32 where added up.

    Args:
        stored: what one of them returned, in half or single precision.
        start: the starting weights by name.

    Raises:
        KeyError: a factor is missing, or the matrix that it belongs to.
        RuntimeError: the factors are not of a floating type, or do not fit each other or the matrix.
    """
    whole = {name: tensor for name, tensor in stored.items() if not name.endswith(FACTORS)}
    for name in (key.removesuffix(OUT) for key in stored if key.endswith(OUT)):
        factors = stored[name + OUT], stored[name + IN]
        if not all(factor.is_floating_point() for factor in factors):
            raise RuntimeError(f"the difference of {name} is not of floating numbers")
        difference = factors[0].float() @ factors[1].float()
        if difference.shape != start[name].shape:  # adding might stretch it
            raise RuntimeError(f"the difference of {name} is {tuple(difference.shape)}")
        whole[name] = start[name].float() + difference
        if name + SCALE in stored:
            whole[name] = stored[name + SCALE].float()[:, None] * whole[name]
    return whole
