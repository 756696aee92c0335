"""From a model's name to its folder, and from the folder to a network that is ready to run.

torch is imported only when a network is loaded, so that an engine without torch starts without it.
"""

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from facial_attributes_ros.errors import UserError
from facial_attributes_ros.files import expanded
from facial_attributes_ros.models.backbones.reference import is_hub_reference
from facial_attributes_ros.models.spec import SPEC_FILE, ModelSpec

if TYPE_CHECKING:
    from torch import Tensor

    from facial_attributes_ros.models.multitask import MultiTaskModel

NAMES: Final = ("small", "pe-l14-336")
"""Names of models: the first comes with its weights, the second needs weights that you trained or imported."""

_PACKAGED: Final = Path(__file__).parent / "weights"
_HUB: Final = re.compile(r"(?P<repository>[\w.-]+/[\w.-]+)@(?P<revision>[0-9a-f]{40})")
_HUB_UNPINNED: Final = re.compile(r"[\w-][\w.-]*/[\w.-]+(@[\w.-]*)?")


def model_folder(name_or_path: str | Path) -> Path:
    """Return the folder of a model.

    Args:
        name_or_path: a name of `NAMES`, a folder with `model.json`, or a hub reference `owner/name@revision` with a
            full commit hash. Models by name are searched in the folder FACIAL_ATTRIBUTES_MODELS first.

    Raises:
        UserError: there is no such model, it has no weights here, or it can't be downloaded.
    """
    text = str(name_or_path)
    if text in NAMES:
        return _named(text)
    path = expanded(text)
    try:
        if (path / SPEC_FILE).is_file():
            return path
        exists = path.exists()
    except (OSError, ValueError) as error:  # the name is too long, or there is no permission to read the folder
        raise UserError(f"The model {text!r} can't be searched: {error}.") from error
    if exists:
        raise UserError(f"{path} is not a model: it has no {SPEC_FILE}.")
    if match := _HUB.fullmatch(text):
        return _from_hub(match["repository"], match["revision"])
    hint = ""
    if _HUB_UNPINNED.fullmatch(text):
        hint = " (a hub reference needs its revision: owner/name@ and the 40 digits of a commit)"
    raise UserError(f"There is no model {text!r}: give {', '.join(NAMES)}, or a folder with {SPEC_FILE}{hint}.")


def listed_models() -> list[str]:
    """Return the names of `NAMES`, and the model folders inside the folder FACIAL_ATTRIBUTES_MODELS."""
    chosen = os.environ.get("FACIAL_ATTRIBUTES_MODELS")
    if not chosen:
        return list(NAMES)
    found = sorted(path.parent for path in expanded(chosen).glob(f"*/{SPEC_FILE}"))
    return [*NAMES, *(str(folder) for folder in found if folder.name not in NAMES)]


def is_shipped(folder: Path) -> bool:
    """Return True if a folder, resolved, is one of the models that come with the package."""
    return folder.is_relative_to(_PACKAGED.resolve())


def load_model(
    name_or_path: str | Path, tasks: Iterable[str] | None = None, *, merged: bool = True
) -> "tuple[MultiTaskModel, ModelSpec]":
    """Build a model, load its weights, and merge its adapters into the backbone.

    Args:
        name_or_path: as in `model_folder`.
        tasks: heads to keep, all by default.
        merged: False keeps the adapters as layers of their own, for further training.

    Returns:
        The network on the CPU in evaluation mode, float32, and its description.

    Raises:
        UserError: the model is missing, damaged, does not fit its description, or has not all of the tasks.
    """
    from facial_attributes_ros.models.adaptations.ladder import merge
    from facial_attributes_ros.models.adaptations.low_rank import expand
    from facial_attributes_ros.models.checkpoint import load_into, load_tensors

    folder = model_folder(name_or_path)
    spec = ModelSpec.read(folder)
    wanted = check_tasks(spec, tasks)
    model = build_network(spec, folder)
    try:
        tensors = expand(load_tensors(folder), model.state_dict())
    except (KeyError, RuntimeError) as error:
        raise UserError(
            f"{folder} holds a difference that does not fit its backbone ({error}): get it again."
        ) from error
    load_into(model, tensors, expected=_expected(spec, model, tensors))
    if merged:
        merge(model)
    for task in set(model.tasks) - set(wanted):
        del model.heads[task]
    return model.eval(), spec


def _expected(spec: ModelSpec, model: "MultiTaskModel", given: "Mapping[str, Tensor]") -> set[str] | None:
    """Return the tensors that a model's folder must hold, None for all of the network.

    The difference of a merged model may be in any layers of the backbone.
    """
    from facial_attributes_ros.models.adaptations.ladder import trained_tensors

    if spec.backbone.weights == "included":
        return None
    expected = set(trained_tensors(model))
    if spec.adaptation.get("merged"):
        expected |= {name for name in model.backbone.state_dict(prefix="backbone.") if name in given}
    return expected


def build_network(spec: ModelSpec, folder: Path = Path()) -> "MultiTaskModel":
    """Build the network of a description: its backbone with its starting weights, new adapters and heads.

    Args:
        spec: the description.
        folder: to which the path of a weights file is relative.

    Raises:
        UserError: the backbone or the adaptation is unknown, or the weights are missing or differ from the
            description's.
    """
    from facial_attributes_ros.models.adaptations.ladder import Adaptation, build_model
    from facial_attributes_ros.models.backbones.build import build_backbone
    from facial_attributes_ros.models.readout import EmotionReadout

    weights = _backbone_weights(spec, folder)
    backbone = build_backbone(spec.backbone.name, weights, image_size=spec.image_size, **spec.backbone.architecture)
    in_years = spec.age_regression is not None
    adaptation = Adaptation.from_dict(spec.adaptation)
    if adaptation.merged:
        # Its blocks say what its training changed last; the difference may be in others.
        adaptation = replace(adaptation, blocks=0)
    model = build_model(backbone, adaptation, spec.tasks, in_years, bool(spec.expressions))
    if spec.readout:
        model.readout = EmotionReadout(len(spec.expressions))
    return model


def weights_file(spec: ModelSpec, folder: Path) -> Path | None:
    """Return the file with the backbone's weights of a description, or None if there is no such file."""
    weights = spec.backbone.weights
    if weights in (None, "included", "asset") or is_hub_reference(weights):
        return None
    try:
        path = folder / Path(str(weights)).expanduser()
        return path if path.is_file() else None
    except (OSError, RuntimeError, ValueError):  # the name is too long, or names the home of an unknown user
        return None


def check_tasks(spec: ModelSpec, tasks: Iterable[str] | None) -> tuple[str, ...]:
    """Return the wanted tasks in the model's order, all of them for None.

    The output `EXPRESSION` may be asked for as well where the model has it.

    Raises:
        UserError: the model has not all of them.
    """
    known = spec.all_outputs
    asked = set(spec.tasks if tasks is None else tasks)
    if lacking := sorted(asked - set(known)):
        raise UserError(f"Model {spec.name} has no task {', '.join(lacking)}; it has {', '.join(spec.tasks)}.")
    return tuple(name for name in known if name in asked)


def _named(name: str) -> Path:
    chosen = os.environ.get("FACIAL_ATTRIBUTES_MODELS")
    folders = [expanded(chosen) / name] if chosen else []
    for folder in (*folders, _PACKAGED / name):
        if (folder / SPEC_FILE).is_file():
            return folder
    raise UserError(
        f"Model {name} has no weights here: train or import them and give their folder as the model, or put it as "
        f"{name} into a folder that FACIAL_ATTRIBUTES_MODELS names."
    )


def _from_hub(repository: str, revision: str) -> Path:
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError
    except ImportError as error:
        raise UserError(f"To fetch {repository}, install the package huggingface-hub.") from error
    try:
        folder = snapshot_download(repository, revision=revision, allow_patterns=["model.json", "model.safetensors"])
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError, ValueError) as error:  # the last for an impossible name
        raise UserError(
            f"{repository} at {revision} can't be fetched ({error}): check the name and the network."
        ) from error
    weights = ModelSpec.read(Path(folder)).backbone.weights
    if not (weights in (None, "included", "asset") or is_hub_reference(weights)):
        raise UserError(f"{repository} at {revision} names a file of this machine as its weights, so it is not loaded.")
    return Path(folder)


def _backbone_weights(spec: ModelSpec, folder: Path) -> str | Path | None:
    """Return the weights for `build_backbone`, after checking the hash of a file."""
    from facial_attributes_ros.assets import ASSETS
    from facial_attributes_ros.files import file_sha256

    reference = spec.backbone
    if reference.weights in (None, "included"):
        return None
    if reference.weights == "asset":
        expected = ASSETS[reference.name].sha256 if reference.name in ASSETS else None
        if expected is None or reference.sha256 not in (None, expected):
            raise UserError(
                f"Model {spec.name} was trained on other weights of {reference.name} than this release downloads."
            )
        return "asset"
    if is_hub_reference(reference.weights):
        return reference.weights
    path = weights_file(spec, folder)
    if path is None:
        raise UserError(f"Model {spec.name} needs the backbone weights {reference.weights}, which are not there.")
    if reference.sha256 is not None and file_sha256(path) != reference.sha256:
        raise UserError(f"{path} has another SHA-256 than model {spec.name} was trained on: get the right file.")
    return path
