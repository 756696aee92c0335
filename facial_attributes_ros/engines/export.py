"""Export of models for other programs: ONNX, PyTorch's pt2, TensorRT. Each file is checked against PyTorch."""

import importlib.util
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from facial_attributes_ros.attributes import AGE, GENDER, LABELS
from facial_attributes_ros.engines.deployed import DeployedModel
from facial_attributes_ros.engines.onnx import engine_key
from facial_attributes_ros.engines.onnx_export import (
    FLOAT_TOLERANCE,
    INPUT,
    check_onnx,
    example_crops,
    largest_difference,
    write_deployed,
)
from facial_attributes_ros.engines.skeleton import EXAMPLES, SKELETON_FILE, write_skeleton
from facial_attributes_ros.errors import UserError
from facial_attributes_ros.files import atomic_target, disk_errors
from facial_attributes_ros.models.arrays import model_arrays
from facial_attributes_ros.models.registry import check_tasks, load_model, model_folder
from facial_attributes_ros.models.spec import BOX, LANDMARKS, ModelSpec

FORMATS: Final = ("onnx", "pt2", "tensorrt")
LARGEST_BATCH: Final = 64
"""Largest number of faces in one call of a pt2 or TensorRT file."""
HALF_TOLERANCE: Final = 0.1
"""Largest mean difference of a probability between float32 and TensorRT's half precision."""

_LOGGER = logging.getLogger(__name__)


def export(
    model: str | Path, kind: str, path: Path, tasks: Sequence[str] | None = None, *, int8: bool = False
) -> tuple[Path, float]:
    """Write a model in another format, with its notes as JSON beside it, after checking it against PyTorch.

    Args:
        model: as in `models.registry.model_folder`.
        kind: one of `FORMATS`.
        path: the file to write; its folder is made.
        tasks: which outputs it has, all by default.
        int8: quantise the linear layers; ONNX only.

    Returns:
        The path of the notes, and the largest difference in the check.

    Raises:
        UserError: no such model or format, TensorRT is not installed, or the check fails; nothing is written then.
    """
    if kind not in FORMATS:
        raise UserError(f"There is no export format {kind!r}: choose one of {', '.join(FORMATS)}.")
    if int8 and kind != "onnx":
        raise UserError("Only the format onnx can be written in int8.")
    if path.is_dir():
        raise UserError(f"{path} is a folder: give the name of a file, such as {path / f'model.{kind}'}.")
    if kind == "tensorrt":
        check_tensorrt()
    network, _ = load_model(model, tasks)
    spec = ModelSpec.identified(model_folder(model))
    deployed = DeployedModel(network, spec, check_tasks(spec, tasks)).eval().requires_grad_(False)
    with disk_errors(path), atomic_target(path) as temporary:
        difference = _WRITERS[kind](deployed, spec, temporary, int8)
    notes = path.with_name(f"{path.name}.json")
    with disk_errors(notes), atomic_target(notes) as temporary:
        described = _notes(spec, deployed.tasks, kind, "int8" if int8 else "float32", difference)
        temporary.write_text(json.dumps(described, indent=2) + "\n", encoding="utf-8")
    return notes, difference


def write_graph(folder: Path) -> Path:
    """Write the graph of a model into its folder, so that its engine can be built without PyTorch; see `skeleton`.

    Raises:
        UserError: no such model, or it can't be written as ONNX.
    """
    network, spec = load_model(folder)
    deployed = DeployedModel(network, spec, spec.all_outputs).eval().requires_grad_(False)
    crops = torch.from_numpy(example_crops(EXAMPLES, spec.image_size))
    logits = [values.numpy() for values in deployed(crops)]
    path = folder / SKELETON_FILE
    with TemporaryDirectory() as scratch:
        whole = Path(scratch) / "whole.onnx"
        write_deployed(deployed, spec.image_size, whole)
        write_skeleton(whole, model_arrays(folder, spec), engine_key(folder, spec), logits, path)
    return path


def check_tensorrt() -> None:
    """Check that TensorRT and a GPU are there.

    Raises:
        UserError: one of them is not.
    """
    if not importlib.util.find_spec("tensorrt"):
        raise UserError("TensorRT is not installed here: install the package tensorrt on a machine with a GPU.")
    if not torch.cuda.is_available():
        raise UserError("TensorRT builds its engines on the GPU that runs them, and there is none here.")


def _write_onnx(deployed: DeployedModel, spec: ModelSpec, path: Path, int8: bool) -> float:
    import onnxruntime

    write_deployed(deployed, spec.image_size, path, int8=int8)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])

    def run(crops: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
        outputs: list[NDArray[np.float32]] = session.run(list(deployed.tasks), {INPUT: crops})
        return outputs

    return check_onnx(run, deployed, spec.image_size, int8=int8)


def _write_pt2(deployed: DeployedModel, spec: ModelSpec, path: Path, _: bool) -> float:
    side = spec.image_size
    example = torch.zeros(2, side, side, 3, dtype=torch.uint8)
    faces = torch.export.Dim("faces", min=1, max=LARGEST_BATCH)
    try:
        program = torch.export.export(deployed, (example,), dynamic_shapes=({0: faces},))
    except (torch._dynamo.exc.TorchDynamoException, RuntimeError, ValueError) as error:
        raise UserError(f"This model can't be written as pt2 ({str(error).splitlines()[0]}): use onnx.") from error
    torch.export.save(program, path)
    loaded = torch.export.load(path).module()

    def run(crops: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
        with torch.inference_mode():
            return [output.numpy() for output in loaded(torch.from_numpy(crops))]

    return _accepted(largest_difference(run, deployed, side), FLOAT_TOLERANCE)


def _write_tensorrt(deployed: DeployedModel, spec: ModelSpec, path: Path, _: bool) -> float:
    """Build a half-precision engine from the ONNX file; it runs on this GPU model and TensorRT version only."""
    import tensorrt as trt  # type: ignore[import-not-found, unused-ignore]

    if not hasattr(trt.BuilderFlag, "FP16"):
        raise UserError(
            f"TensorRT {trt.__version__} takes the precision from the network alone, which is float32 here: install "
            "'tensorrt<11', or use onnx."
        )
    side = spec.image_size
    onnx = path.with_name("network.onnx")
    write_deployed(deployed, side, onnx)
    logger = trt.Logger(trt.Logger.WARNING)
    builder = trt.Builder(logger)
    # TensorRT 8 needs a flag for networks whose batch is a dimension like others; later versions have no others.
    explicit = getattr(trt.NetworkDefinitionCreationFlag, "EXPLICIT_BATCH", None)
    network = builder.create_network(0 if explicit is None else 1 << int(explicit))
    parser = trt.OnnxParser(network, logger)
    if not parser.parse(onnx.read_bytes()):
        raise UserError(f"TensorRT can't read this network ({parser.get_error(0).desc()}): use onnx.")
    config = builder.create_builder_config()
    config.set_flag(trt.BuilderFlag.FP16)
    profile = builder.create_optimization_profile()
    profile.set_shape(INPUT, (1, side, side, 3), (8, side, side, 3), (LARGEST_BATCH, side, side, 3))
    config.add_optimization_profile(profile)
    serialised = builder.build_serialized_network(network, config)
    if serialised is None:
        raise UserError("TensorRT could not build this network; its log above says why. Use onnx.")
    path.write_bytes(serialised)
    onnx.unlink()
    outputs = {task: spec.outputs(task) for task in deployed.tasks}
    runner = _tensorrt_runner(trt.Runtime(logger).deserialize_cuda_engine(serialised), outputs)
    return _accepted(largest_difference(runner, deployed.cuda(), side, as_probabilities=True), HALF_TOLERANCE)


def _tensorrt_runner(
    engine: Any, widths: Mapping[str, int]
) -> Callable[[NDArray[np.uint8]], list[NDArray[np.float32]]]:
    context = engine.create_execution_context()

    def run(crops: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
        inputs = torch.from_numpy(crops).cuda()
        outputs = {task: torch.empty(len(crops), width, device="cuda") for task, width in widths.items()}
        context.set_input_shape(INPUT, tuple(inputs.shape))
        for name, tensor in {INPUT: inputs, **outputs}.items():
            context.set_tensor_address(name, tensor.data_ptr())
        context.execute_async_v3(torch.cuda.current_stream().cuda_stream)
        torch.cuda.synchronize()
        return [outputs[task].cpu().numpy() for task in widths]

    return run


def _accepted(difference: float, tolerance: float) -> float:
    if not difference <= tolerance:
        raise UserError(f"The written network differs from PyTorch's by {difference:.2g}, more than {tolerance}.")
    _LOGGER.info("The written network and PyTorch's differ by at most %.2g.", difference)
    return difference


_WRITERS: Final = {"onnx": _write_onnx, "pt2": _write_pt2, "tensorrt": _write_tensorrt}


_CROP_NOTES: Final = {
    BOX: "enclosing square of the face box, widened on every side by crop_margin times its longer side, resized by "
    "area averaging, black outside the image",
    LANDMARKS: "square that follows YuNet's five landmarks as facial_attributes_ros.imaging.crop.crop_frame gives it, "
    "widened on every side by crop_margin times its side, upright, resized by area averaging, black outside the image",
}


def _notes(spec: ModelSpec, tasks: Sequence[str], kind: str, precision: str, difference: float) -> dict[str, Any]:
    """Return the description of inputs and outputs for another program."""
    side, regression = spec.image_size, spec.age_regression
    outputs: dict[str, Any] = {
        task: {
            "labels": list(LABELS[task]),
            "temperature": spec.temperatures[task],
            "unknown_below": None if task in spec.uncalibrated else spec.thresholds[task],
            "untrained_labels": list(spec.untrained_labels.get(task, ())),
        }
        for task in tasks
    }
    if GENDER in tasks and spec.gender_thresholds:
        outputs[GENDER]["unknown_below_by_age"] = spec.gender_thresholds
    years: dict[str, Any] = {"mean_of": list(spec.age_centroids)}
    if regression is not None and AGE in tasks:
        outputs[AGE] = {"standard_deviation_in_years": regression.deviation}
        years = {"mean": regression.mean, "plus_output_times": regression.std}
    return {
        "model": spec.name,
        "version": spec.version,
        "sha256": spec.sha256,
        "format": kind,
        "precision": precision,
        "input": {
            "name": INPUT,
            "type": "uint8",
            "shape": ["faces", side, side, 3],
            "channels": "BGR",
            "crop": _CROP_NOTES[spec.crop],
            "crop_margin": spec.crop_margin,
        },
        "normalisation": {"where": "inside the network", "channels": "RGB", "mean": spec.mean, "std": spec.std},
        "outputs": outputs,
        "probabilities": "softmax(logits / temperature)",
        **({"age_in_years": years} if AGE in tasks else {}),
        "check": {"against": f"PyTorch {torch.__version__}", "largest_difference": difference},
        "licence": asdict(spec.licence),
        "parent": None if spec.parent is None else asdict(spec.parent),
    }
