"""ONNX Runtime: float32 or int8 on a CPU, CUDA and TensorRT where its providers are installed.

The merged network is built once from the model's folder and kept in the user's cache. It needs PyTorch only for models
whose folder does not hold their graph, see `skeleton`.
"""

import hashlib
import json
import logging
import re
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from glob import escape
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from typing_extensions import Self

from facial_attributes_ros.cache import cache_dir, writable_cache
from facial_attributes_ros.engines.base import Crops, Logits, check_crops, empty_logits, face_crops
from facial_attributes_ros.engines.batches import FittingBatches
from facial_attributes_ros.engines.onnx_export import (
    Runner,
    check_logits,
    check_onnx,
    write_deployed,
    write_quantised,
)
from facial_attributes_ros.engines.onnx_parts import PartedNetwork, part_paths, write_parts
from facial_attributes_ros.engines.skeleton import expected_logits, fill, read_skeleton
from facial_attributes_ros.errors import UserError
from facial_attributes_ros.files import atomic_target, disk_errors, file_sha256, locked, remove_leftovers, utf8_name
from facial_attributes_ros.models.arrays import model_arrays
from facial_attributes_ros.models.registry import check_tasks, weights_file
from facial_attributes_ros.models.spec import TENSORS_FILE, ModelSpec
from facial_attributes_ros.progress import announce

BUILD_VERSION: Final = 4
"""Increase it when the export of networks changes, so that engines built before are not used again."""
BATCH_SIZES: Final = (1, 2, 4, 8, 16, 32)
"""Largest number of faces in one call: the last of these, or an earlier one where memory is short."""
INT8_BATCH_SIZES: Final = BATCH_SIZES[:4]
"""The same in int8, where one scale serves all faces of a call: with more faces, the predictions are less accurate and
a face is not faster."""

KEPT: Final = 4
"""Number of engines per model name that stay in the cache; an older one that is open works until it is closed."""

_BUILT: Final = re.compile(r"-[0-9a-f]{16}-(float32|int8)\.onnx")
_LOGGER = logging.getLogger(__name__)
_SHAPING_FIELDS: Final = ("backbone", "adaptation", "tasks", "image_size", "mean", "std")
"""Fields of the description on which the network depends; it does not depend on calibration, for example."""


class OnnxEngine:
    """A merged network in ONNX Runtime; see `engines.base.Engine`."""

    def __init__(self, path: Path, spec: ModelSpec, device: str = "cpu", threads: int | None = None) -> None:
        """Open a network that `build_engine` wrote.

        Raises:
            UserError: onnxruntime is missing, can't read the file, or lacks the device.
        """
        self.spec = spec
        self.device = device
        self.name = "onnx-int8" if path.stem.endswith("int8") else "onnx"
        # TensorRT would build its own engine of a head, which takes long, when its task is first wanted.
        self._network = PartedNetwork(
            path, spec.all_outputs, lambda part: open_session(part, device, threads, tensorrt=part == path), device
        )
        self._batches = FittingBatches(INT8_BATCH_SIZES if self.name == "onnx-int8" else BATCH_SIZES, device)

    @classmethod
    def load(cls, folder: Path, device: str = "cpu", threads: int | None = None, int8: bool = False) -> Self:
        """Open a model's network; build it first if it is not in the cache.

        Raises:
            UserError: as for the constructor, or the model can't be built.
        """
        return cls(build_engine(folder, int8=int8), ModelSpec.read(folder), device, threads)

    def logits(self, crops: Crops, tasks: Iterable[str] | None = None) -> Logits:
        """See `Engine.logits`."""
        check_crops(crops, self.spec)
        wanted = list(check_tasks(self.spec, tasks))
        if not wanted or not len(crops):
            return empty_logits(self.spec, wanted)
        parts = self._batches.run(len(crops), lambda part: self._network.run(crops[part], wanted))
        return {task: np.concatenate(values) for task, values in zip(wanted, zip(*parts, strict=True), strict=True)}

    def from_frame(
        self,
        image: NDArray[np.uint8],
        boxes: ArrayLike,
        tasks: Iterable[str] | None = None,
        landmarks: ArrayLike | None = None,
    ) -> Logits:
        """See `Engine.from_frame`."""
        return self.logits(face_crops(self.spec, image, boxes, landmarks), tasks)

    def warm_up(self, batch_sizes: Iterable[int] = (1,), tasks: Iterable[str] | None = None) -> None:
        """See `Engine.warm_up`."""
        side = self.spec.image_size
        wanted = check_tasks(self.spec, tasks)
        if self._network.shared.get_providers()[0].startswith("Tensorrt"):
            # It builds its engine again, for minutes, whenever a batch is smaller or larger than any before.
            batch_sizes = (BATCH_SIZES[0], BATCH_SIZES[-1], *batch_sizes)
        for size in batch_sizes:
            self.logits(np.zeros((size, side, side, 3), np.uint8), wanted)


def build_engine(folder: Path, *, int8: bool = False) -> Path:
    """Return the cached network of a model; build and check it if there is none. Safe in several processes.

    It is the file with the common part; the parts of the tasks lie beside it, see `onnx_parts`.

    The name holds a hash of everything on which the network depends: the model's tensors, some fields of its
    description, and `BUILD_VERSION`. Versions of packages are not among them, so that a network that was built with
    PyTorch runs where there is no PyTorch.

    Raises:
        UserError: torch is needed and not installed, the model is damaged, the check fails, or the disk is full.
    """
    spec = ModelSpec.read(folder)
    stem = f"{_file_name(spec.name)}-{engine_key(folder, spec)}-{'int8' if int8 else 'float32'}"
    for cache in (cache_dir, writable_cache):
        path = cache() / "engines" / f"{stem}.onnx"
        parts = [path, *part_paths(path, spec.all_outputs).values()]
        if _is_whole(parts):
            _mark_used(path)
            return path
    with disk_errors(path), locked(path):
        remove_leftovers(path)
        if not _is_whole(parts):  # another process may have built it while this one waited
            announce(f"Building the engine of model {spec.name} (once) in {path.parent}")
            _build(folder, spec, path, int8)
            with atomic_target(_digest_file(path)) as temporary:
                temporary.write_text(_digests(parts), encoding="ascii")
            announce(f"Built {path.name} ({sum(part.stat().st_size for part in parts) / 1e6:.0f} MB)")
            _forget_old(path.parent, _file_name(spec.name))
    return path


def _digest_file(path: Path) -> Path:
    return path.with_suffix(".sha256")


def _digests(parts: Sequence[Path]) -> str:
    return "".join(f"{file_sha256(part)}\n" for part in parts)


def _is_whole(parts: Sequence[Path]) -> bool:
    """Return True if an engine is complete and unchanged: a loss of power may leave a part of a file."""
    try:
        return _digest_file(parts[0]).read_text(encoding="ascii") == _digests(parts)
    except (OSError, UnicodeDecodeError):
        return False


def _mark_used(path: Path) -> None:
    try:
        path.touch()
    except OSError:  # a cache that belongs to another user and is read-only
        _LOGGER.debug("%s can't be marked as used.", path)


def _forget_old(engines: Path, name: str) -> None:
    """Remove all but the last used engines of a model, so that training and upgrades don't fill the disk."""
    built = [path for path in engines.glob(f"{name}-*.onnx") if _BUILT.fullmatch(path.name.removeprefix(name))]
    for path in sorted(built, key=lambda path: path.stat().st_mtime)[:-KEPT]:
        for part in engines.glob(f"{escape(path.stem)}.*"):
            part.unlink(missing_ok=True)


def _build(folder: Path, spec: ModelSpec, path: Path, int8: bool) -> None:
    outputs = spec.all_outputs
    with atomic_target(path) as temporary:
        whole = temporary.with_name("whole.onnx")
        check = _write_whole(folder, spec, whole, int8)
        write_parts(whole, temporary, outputs)
        network = PartedNetwork(temporary, outputs, lambda part: open_session(part, "cpu", None))
        check(lambda crops: network.run(crops, outputs))
        own = part_paths(path, outputs)
        for task, part in part_paths(temporary, outputs).items():
            part.chmod(0o644)
            part.replace(own[task])


def _write_whole(folder: Path, spec: ModelSpec, path: Path, int8: bool) -> Callable[[Runner], object]:
    """Write the whole network, without PyTorch if the model's folder holds its graph, and return its check."""
    if graph := read_skeleton(folder, engine_key(folder, spec)):
        expected = expected_logits(graph)
        write_quantised(lambda whole: fill(graph, model_arrays(folder, spec), whole), path, int8=int8)
        return partial(check_logits, expected=expected, image_size=spec.image_size, int8=int8)
    try:
        from facial_attributes_ros.engines.deployed import DeployedModel
        from facial_attributes_ros.models.registry import load_model
    except ImportError as error:
        raise UserError(
            f"The engine of this model must be built once, which needs PyTorch ({error}): pip install '.[torch]'."
        ) from error
    model, _ = load_model(folder)
    deployed = DeployedModel(model, spec, spec.all_outputs).eval()
    write_deployed(deployed, spec.image_size, path, int8=int8)
    return partial(check_onnx, deployed=deployed, image_size=spec.image_size, int8=int8)


def engine_key(folder: Path, spec: ModelSpec) -> str:
    """Return a hash of everything that changes the network of a model."""
    parts = [f"build {BUILD_VERSION}"]
    document = spec.to_json()
    parts += [json.dumps(document[name], sort_keys=True) for name in _SHAPING_FIELDS]
    parts += [name for name in ("expressions", "readout") if document[name]]
    files = (folder / TENSORS_FILE, weights_file(spec, folder))
    parts += [file_sha256(path) for path in files if path is not None and path.is_file()]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def _file_name(name: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in name)


def open_session(path: Path, device: str, threads: int | None, *, tensorrt: bool = True) -> Any:
    """Return an onnxruntime session with this package's settings; it uses TensorRT where that is installed and allowed.

    Raises:
        UserError: onnxruntime is missing, can't read the file, or lacks the device.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise UserError("Engine onnx needs the package onnxruntime: install it, or use engine torch.") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or 0
    options.inter_op_num_threads = 1
    # Waiting threads that spin would keep the cores from the detector and from DDS between two frames.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    providers = _providers(onnxruntime.get_available_providers(), device, tensorrt)
    try:
        with utf8_name(path) as name:
            session = _session(onnxruntime, name, options, providers)
    except Exception as error:  # onnxruntime's errors have no common base class of their own
        raise UserError(f"onnxruntime can't open {path} ({error}): make the file again.") from error
    if device != "cpu" and session.get_providers()[0] == "CPUExecutionProvider":
        raise UserError(f"onnxruntime can't use {device}: install onnxruntime-gpu and CUDA, or choose device cpu.")
    return session


def _session(onnxruntime: Any, name: str, options: Any, providers: Sequence[tuple[str, dict[str, Any]]]) -> Any:
    # onnxruntime's own fallback ignores the device that was asked for, and prints to standard output.
    try:
        return onnxruntime.InferenceSession(name, options, providers=list(providers), enable_fallback=0)
    except Exception as error:
        if not providers[0][0].startswith("Tensorrt"):
            raise
        _LOGGER.warning("TensorRT can't be used (%s); the engine uses CUDA.", error)
        return onnxruntime.InferenceSession(name, options, providers=list(providers[1:]), enable_fallback=0)


def _providers(available: list[str], device: str, tensorrt: bool) -> list[tuple[str, dict[str, Any]]]:
    cpu: tuple[str, dict[str, Any]] = ("CPUExecutionProvider", {})
    if device == "cpu":
        return [cpu]
    index = int(device.partition(":")[2] or 0)
    cache = {"trt_engine_cache_enable": True, "trt_engine_cache_path": str(writable_cache() / "engines")}
    wanted: list[tuple[str, dict[str, Any]]] = [
        ("TensorrtExecutionProvider", {"device_id": index, "trt_fp16_enable": True, **cache}),
        ("CUDAExecutionProvider", {"device_id": index}),
    ]
    usable = [name for name in available if tensorrt or not name.startswith("Tensorrt")]
    return [*(provider for provider in wanted if provider[0] in usable), cpu]
