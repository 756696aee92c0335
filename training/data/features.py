"""Features of the frozen part of a backbone, computed once per image and cached on disk.

The features are in shards of consecutive samples. The name of a shard is a hash of everything that changes its content:
the backbone's weights, its depth, the crop, the augmentation, and the samples' paths, boxes and file times. So a shard
is either valid or absent, a stopped run is resumed at its shard, and a changed sample recomputes only its shard.
"""

import functools
import hashlib
import json
import logging
import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from facial_attributes_training.data.archive import ImageError, file_of, file_state
from facial_attributes_training.data.augment import Draws, augmented_crop
from facial_attributes_training.data.crops import CropReader, normalised
from facial_attributes_training.data.manifest import Manifest
from facial_attributes_training.recipe.augmentation import Augmentation
from numpy.typing import NDArray
from torch import Tensor, nn

from facial_attributes_ros.errors import UserError
from facial_attributes_ros.files import atomic_target, disk_errors
from facial_attributes_ros.models.backbones.base import Backbone
from facial_attributes_ros.models.spec import BOX

SHARD_ROWS = 512
"""Samples of a shard: at most this much work is lost when a run is stopped."""
BATCH = 64

Progress = Callable[[int, int], None]
"""Called with the number of finished samples and of all."""

_FORMAT = 1
_LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class FeatureOptions:
    """What is computed from every image.

    Attributes:
        depth: number of leading blocks to run, giving tokens (T, D); None for the pooled features (F,).
        margin: of the crop.
        variant: 0 for the plain image; every other number is another augmented copy.
        seed: of the augmentation.
        augmentation: of the variants from 1 on.
        crop: kind of the crop, one of `models.spec.CROPS`.
    """

    depth: int | None = None
    margin: float = 0.0
    variant: int = 0
    seed: int = 0
    augmentation: Augmentation | None = None
    crop: str = BOX


class Features:
    """Features of a manifest's samples, read from disk on demand.

    Attributes:
        shards: float16 (samples of the shard, ...), mapped from disk without keeping their files open.
    """

    def __init__(self, shards: list[NDArray[np.float16]]) -> None:
        self.shards = shards

    def __len__(self) -> int:
        return sum(len(shard) for shard in self.shards)

    def __getitem__(self, row: int) -> NDArray[np.float16]:
        """Return one sample's features, all NaN where its image could not be read."""
        return np.asarray(self.shards[row // SHARD_ROWS][row % SHARD_ROWS])

    def stack(self) -> NDArray[np.float16]:
        """Return all features in memory, float16 (samples, ...)."""
        return np.concatenate([np.asarray(shard) for shard in self.shards])

    def broken(self) -> list[int]:
        """Return the samples whose image could not be read."""
        first = [np.asarray(shard).reshape(len(shard), -1)[:, 0] for shard in self.shards]
        return np.flatnonzero(np.isnan(np.concatenate(first))).tolist() if first else []


def cached_features(
    backbone: Backbone,
    manifest: Manifest,
    options: FeatureOptions,
    folder: Path,
    progress: Progress | None = None,
) -> Features:
    """Return the features of every sample; shards that are not on disk yet are computed.

    Args:
        backbone: frozen, in evaluation mode, on the device to compute on.
        manifest: the samples.
        options: what to compute.
        folder: of the shards; several manifests and options may use the same.
        progress: called after every batch.

    Raises:
        UserError: no space or no write access, or an archive can't be read. An image that can't be read is no error,
            see `Features.broken`.
    """
    names = list(_shard_names(backbone, manifest, options))
    crops = CropReader(manifest, backbone.preprocess.image_size, options.margin, kind=options.crop)
    for number, name in enumerate(names):
        path = folder / f"{name}.npy"
        rows = range(number * SHARD_ROWS, min((number + 1) * SHARD_ROWS, len(manifest)))
        if not path.exists():
            shard = np.ascontiguousarray(_compute(backbone, crops, rows, options, progress))
            with disk_errors(path), atomic_target(path) as temporary, temporary.open("wb") as file:
                # np.save would report a full disk without the system's error number.
                np.lib.format.write_array_header_1_0(file, np.lib.format.header_data_from_array_1_0(shard))
                file.write(shard.data)
        elif progress:
            progress(rows.stop, len(manifest))
    return Features([_mapped(folder / f"{name}.npy") for name in names])


def _mapped(path: Path) -> NDArray[np.float16]:
    """Return a shard mapped from disk; unlike numpy's and Python's own maps, it keeps no file open.

    Raises:
        UserError: the file is damaged.
    """
    try:
        with path.open("rb") as file:
            np.lib.format.read_magic(file)
            shape, _, _ = np.lib.format.read_array_header_1_0(file)
            start = file.tell() // 2
        flat = torch.from_file(str(path), shared=False, size=start + math.prod(shape), dtype=torch.float16)
    except (OSError, ValueError, RuntimeError) as error:
        raise UserError(
            f"the features {path} can't be read ({error}); remove the file, and they are computed again."
        ) from error
    return np.asarray(flat[start:].view(shape).numpy(), np.float16)


def weights_digest(module: nn.Module) -> str:
    """Return a hash of every parameter and buffer of a module, names included."""
    digest = hashlib.sha256()
    for name, value in sorted(module.state_dict().items()):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        digest.update(value.detach().cpu().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _shard_names(backbone: Backbone, manifest: Manifest, options: FeatureOptions) -> Iterator[str]:
    settings = asdict(options) | {"backbone": weights_digest(backbone), "preprocess": asdict(backbone.preprocess)}
    if options.variant == 0:
        del settings["augmentation"], settings["seed"]
    state = functools.cache(file_state)
    for start in range(0, len(manifest), SHARD_ROWS):
        part = slice(start, start + SHARD_ROWS)
        places = np.concatenate([manifest.boxes[part], manifest.landmarks[part].reshape(-1, 10)], axis=1)
        if options.crop == BOX:
            places = places[:, :4]
        rows = [
            (str(path), state(file_of(str(path))), place.tolist())
            for path, place in zip(manifest.paths[part], places, strict=True)
        ]
        # Augmentation is seeded by the sample, so there the place in the manifest counts too.
        text = json.dumps([_FORMAT, settings, start if options.variant else 0, rows], sort_keys=True)
        yield hashlib.sha256(text.encode()).hexdigest()[:32]


def _read(crops: CropReader, rows: range, options: FeatureOptions) -> tuple[Tensor, list[int]]:
    """Return uint8 (samples, 3, S, S), and which of them, from 0, could not be read and are black."""
    pictures = torch.zeros((len(rows), 3, crops.size, crops.size), dtype=torch.uint8)
    broken = []
    for place, row in enumerate(rows):
        try:
            pictures[place] = _crop(crops, row, options)
        except ImageError as error:
            _LOGGER.warning("Sample %d is skipped: %s", row, error)
            broken.append(place)
    return pictures, broken


def _crop(crops: CropReader, row: int, options: FeatureOptions) -> Tensor:
    if options.variant == 0 or options.augmentation is None:
        return crops.crop(row)
    return augmented_crop(crops, row, options.augmentation, Draws(options.seed, options.variant, row))[0]


@torch.inference_mode()
def _compute(
    backbone: Backbone, crops: CropReader, rows: range, options: FeatureOptions, progress: Progress | None
) -> NDArray[np.float16]:
    """Return float16 (samples, ...), NaN where an image can't be read."""
    device = next(backbone.parameters()).device
    batches = [rows[start : start + BATCH] for start in range(0, len(rows), BATCH)]
    computed = []
    # One thread reads ahead while the network works; decoding releases the interpreter lock.
    with ThreadPoolExecutor(1) as reader:
        for batch, (pictures, broken) in zip(
            batches, reader.map(lambda batch: _read(crops, batch, options), batches), strict=True
        ):
            images = normalised(pictures.to(device), backbone.preprocess.mean, backbone.preprocess.std)
            output = backbone(images) if options.depth is None else backbone.prefix(images, options.depth)
            output[broken] = torch.nan
            computed.append(output.cpu().half().numpy())
            if progress:
                progress(batch.stop, len(crops.manifest))
    return np.concatenate(computed)
