"""The published weights of backbones: their origin and their licence."""

import os
from pathlib import Path
from typing import Final

from facial_attributes_ros.assets import ASSETS
from facial_attributes_ros.models.backbones.reference import BackboneReference, is_hub_reference
from facial_attributes_ros.models.provenance import Licence, Parent

_PUBLISHED: Final = {
    "dinov2-vits14": Licence("Apache-2.0", "yes", ("DINOv2 ViT-S/14",)),
    "PE-Core-": Licence("Apache-2.0", "yes", ("Perception Encoder",)),
}
"""First part of a backbone's name to the licence of its published weights."""


def backbone_parent(reference: BackboneReference) -> Parent | None:
    """Return a backbone's starting weights as the parent of a model; None for random ones."""
    if reference.weights in (None, "included"):
        return None
    version = ""
    if reference.weights == "asset":
        carrier = ASSETS[reference.name]
        version = f"{carrier.package} {carrier.version}"
    elif is_hub_reference(reference.weights):
        version = str(reference.weights).partition("@")[2]
    return Parent(reference.name, version, reference.sha256)


def backbone_licence(reference: BackboneReference) -> Licence | None:
    """Return the licence of a backbone's starting weights; None for random ones, which have none.

    The licence of a file is unknown, unless its hash is that of a pinned asset.
    """
    if reference.weights in (None, "included"):
        return None
    pinned = reference.name in ASSETS and reference.sha256 == ASSETS[reference.name].sha256
    if reference.weights == "asset" or is_hub_reference(reference.weights) or pinned:
        for beginning, licence in _PUBLISHED.items():
            if reference.name.startswith(beginning):
                return licence
    return Licence(sources=(f"weights of {reference.name}",))


def moved_weights(reference: BackboneReference, source: Path, target: Path) -> str | None:
    """Return the path of a backbone's weights relative to another model folder.

    Args:
        reference: of the model in `source`; its weights may be a path relative to it.
        source: folder of the model.
        target: folder of the copy. A file inside `source` is taken to be copied along.
    """
    weights = reference.weights
    if weights in (None, "included", "asset") or is_hub_reference(weights) or Path(str(weights)).is_absolute():
        return weights
    path = Path(os.path.normpath(source / Path(str(weights)).expanduser()))
    inside = path.is_relative_to(os.path.normpath(source))
    return weights if inside else os.path.relpath(path, target)
