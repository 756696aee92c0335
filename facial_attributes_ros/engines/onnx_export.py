"""From PyTorch to ONNX: one file with the merged network and its colour handling, checked before it is used."""

import logging
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from facial_attributes_ros.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor, nn

    from facial_attributes_ros.engines.deployed import DeployedModel

INPUT: Final = "crops"
OPSET: Final = 17
FLOAT_TOLERANCE: Final = 2e-3
"""Largest difference of a logit between PyTorch and ONNX Runtime, both float32."""
INT8_TOLERANCE: Final = 0.15
"""Largest mean difference of a probability between float32 and int8; that of a broken network is far larger."""

_BLOCK: Final = re.compile(r"\bblocks\.(\d+)/")
"""Number of the transformer block in a node's name."""

Runner = Callable[[NDArray[np.uint8]], Sequence[NDArray[np.float32]]]

_LOGGER = logging.getLogger(__name__)


def write_onnx(network: "nn.Module", example: "Tensor", outputs: Sequence[str], path: Path) -> None:
    """Write a network of one input and several outputs as ONNX, for any number of faces.

    Args:
        network: called with `example`, returns a tuple of one tensor (N, …) per output.
        example: (N, …), at least two faces, since the exporter takes a batch of one for a constant.
        outputs: their names.
        path: to write, a temporary one since a failure leaves a part of the file; the input is named `crops`.

    Raises:
        UserError: the network is too large for one ONNX file (2 GiB) or has an operation that ONNX lacks.
    """
    import torch

    with warnings.catch_warnings():
        # The exporter warns of every shape that it takes for a constant; `check_onnx` checks whether it is one.
        warnings.simplefilter("ignore")
        try:
            torch.onnx.export(
                network.eval(),
                (example,),
                str(path),
                input_names=[INPUT],
                output_names=list(outputs),
                dynamic_axes={name: {0: "faces"} for name in (INPUT, *outputs)},
                opset_version=OPSET,
                dynamo=False,
            )
        except (torch.onnx.errors.OnnxExporterError, RuntimeError, ValueError) as error:
            raise UserError(f"This model can't be written as ONNX ({error}): use the engine torch.") from error


def write_deployed(deployed: "DeployedModel", image_size: int, path: Path, *, int8: bool = False) -> None:
    """Write a deployed model as ONNX, `crops` uint8 (N, S, S, 3) BGR in, logits (N, classes) out.

    `check_onnx` compares it with PyTorch.

    Raises:
        UserError: it can't be written.
    """
    import torch

    example = torch.zeros(2, image_size, image_size, 3, dtype=torch.uint8)
    write_quantised(lambda whole: write_onnx(deployed, example, deployed.tasks, whole), path, int8=int8)


def write_quantised(write: Callable[[Path], None], path: Path, *, int8: bool) -> None:
    """Write a network as a function writes it, in int8 if wanted."""
    if not int8:
        write(path)
        return
    whole = path.with_name("float32.onnx")
    write(whole)
    quantise(whole, path)
    whole.unlink()


def quantise(source: Path, target: Path) -> None:
    """Write a copy whose linear layers have int8 weights per channel and dynamically quantised activations.

    The first and the last transformer block stay in float32: in `small`, they cause most of the error of int8.
    """
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    blocks = {node.name: int(found[1]) for node in onnx.load(source).graph.node if (found := _BLOCK.search(node.name))}
    kept = [name for name, block in blocks.items() if block in (min(blocks.values()), max(blocks.values()))]
    with _silent_root_logger():  # it recommends a pre-processing that changes nothing here
        quantize_dynamic(
            source,
            target,
            op_types_to_quantize=["MatMul"],
            nodes_to_exclude=kept,
            per_channel=True,
            weight_type=QuantType.QInt8,
        )


@contextmanager
def _silent_root_logger() -> Iterator[None]:
    """Drop a library's messages on the root logger, and keep the library from adding a handler to that logger."""
    root, nobody = logging.getLogger(), logging.NullHandler()
    level = root.level
    root.setLevel(logging.ERROR)
    root.addHandler(nobody)
    try:
        yield
    finally:
        root.removeHandler(nobody)
        root.setLevel(level)


def example_crops(count: int, size: int) -> NDArray[np.uint8]:
    """Return smooth random images uint8 (count, size, size, 3) to compare engines on, the same in every run."""
    import cv2

    random = np.random.default_rng(7)
    coarse = random.integers(0, 256, (count, 7, 7, 3), dtype=np.uint8)
    return np.stack([cv2.resize(image, (size, size), interpolation=cv2.INTER_CUBIC) for image in coarse])


def check_onnx(run: Runner, deployed: "DeployedModel", image_size: int, *, int8: bool = False) -> float:
    """Compare an ONNX network with the one that it was made from, on one, two and five faces.

    Args:
        run: returns its logits for crops uint8 (N, S, S, 3).
        deployed: the network in PyTorch.
        image_size: S.
        int8: whether it was quantised.

    Returns:
        The largest difference: of logits for float32, of probabilities (mean over the faces) for int8.

    Raises:
        UserError: the difference is above the tolerance.
    """
    return _checked(largest_difference(run, deployed, image_size, int8), int8)


def check_logits(run: Runner, expected: Sequence[NDArray[np.float32]], image_size: int, *, int8: bool = False) -> float:
    """Compare an ONNX network with the logits of PyTorch for example crops.

    Args:
        run: returns its logits for crops uint8 (N, S, S, 3).
        expected: the logits for `example_crops`, float32 (N, classes) per output.
        image_size: S.
        int8: whether it was quantised.

    Returns:
        As in `check_onnx`.

    Raises:
        UserError: the difference is above the tolerance.
    """
    return _checked(_difference(run(example_crops(len(expected[0]), image_size)), expected, int8), int8)


def _checked(worst: float, int8: bool) -> float:
    tolerance = INT8_TOLERANCE if int8 else FLOAT_TOLERANCE
    if not worst <= tolerance:
        raise UserError(f"The ONNX network differs from PyTorch's by {worst:.2g}, more than {tolerance}: use torch.")
    _LOGGER.info("ONNX and PyTorch differ by at most %.2g.", worst)
    return worst


def largest_difference(
    run: Runner, deployed: "DeployedModel", image_size: int, as_probabilities: bool = False
) -> float:
    """Return the largest difference between a network and another form of it, on one, two and five faces.

    Args:
        run: returns the other form's logits for crops uint8 (N, S, S, 3).
        deployed: the network in PyTorch.
        image_size: S.
        as_probabilities: compare probabilities, averaged over the faces, instead of logits; outputs of one number are
            compared as they are.
    """
    import torch

    worst = 0.0
    for count in (1, 2, 5):
        crops = example_crops(count, image_size)
        with torch.inference_mode():
            expected = [logits.cpu().numpy() for logits in deployed(torch.from_numpy(crops).to(deployed.scale.device))]
        worst = max(worst, _difference(run(crops), expected, as_probabilities))
    return worst


def _difference(
    found: Sequence[NDArray[np.float32]], expected: Sequence[NDArray[np.float32]], as_probabilities: bool
) -> float:
    """Return the largest difference of two lists of logits, see `largest_difference`."""
    from scipy.special import softmax

    worst = 0.0
    for ours, theirs in zip(found, expected, strict=True):
        if as_probabilities and ours.shape[1] > 1:  # an age in years is one number
            difference = np.abs(softmax(ours, axis=1) - softmax(theirs, axis=1)).mean(axis=0).max()
        else:
            difference = np.abs(ours - theirs).max()
        worst = max(worst, float(difference))
    return worst
