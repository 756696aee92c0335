"""The models that visitors can choose from: which are here, which are loaded, and what is missing for the others."""

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from facial_attributes_ros.attributes import TASKS
from facial_attributes_ros.detection.base import FaceDetector
from facial_attributes_ros.detection.load import load_detector
from facial_attributes_ros.engines.base import Engine
from facial_attributes_ros.engines.load import load_engine
from facial_attributes_ros.errors import UserError
from facial_attributes_ros.models.registry import listed_models, model_folder
from facial_attributes_ros.models.spec import ModelSpec
from facial_attributes_ros.pipeline import FramePipeline

_LOGGER = logging.getLogger(__name__)

LOADED: Final = 2
"""Number of models that are kept in memory; the one that was used longest ago makes room."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What estimates the faces of an image.

    Attributes:
        detector: finds them.
        engine: estimates their attributes.
        tasks: that are wanted, of those that the model has.
    """

    detector: FaceDetector
    engine: Engine
    tasks: tuple[str, ...]


@dataclass(slots=True)
class Model:
    """A model of the list.

    Attributes:
        name: in the list.
        reference: name or folder, as `model_folder` takes it.
        status: `missing` (its weights are not here), `here`, `loading`, `ready` or `failed`.
        message: what is missing and how to bring it, what is being loaded, or why it failed.
        spec: its description; None while it is missing.
    """

    name: str
    reference: str
    status: str = "missing"
    message: str = ""
    spec: ModelSpec | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return what the page shows in its list."""
        spec = self.spec
        return {
            "name": self.name,
            "title": self.name if spec is None else f"{self.name} {spec.version}".strip(),
            "status": self.status,
            "message": self.message,
            "tasks": [] if spec is None else spec.tasks,
            "commercial_use": None if spec is None else spec.licence.commercial_use,
        }


class Models:
    """Loads models when they are first asked for. For one event loop.

    Attributes:
        changed: is called after every change of a status.
    """

    def __init__(
        self,
        references: Iterable[str] = (),
        detector: str = "yunet",
        load: Callable[[str], Engine] = load_engine,
        tasks: Collection[str] = TASKS,
    ) -> None:
        """List the models.

        Args:
            references: names or folders to list first; those that the package knows follow.
            detector: as in `detection.load.load_detector`.
            load: loads an engine.
            tasks: that are wanted; the others are not computed.
        """
        self.changed: Callable[[], None] = lambda: None
        self._detector_name, self._load, self._tasks = detector, load, tasks
        self._detector: FaceDetector | None = None
        self._models: dict[str, Model] = {}
        for reference in dict.fromkeys((*references, *listed_models())):
            name = _name(reference)
            self._models.setdefault(name, Model(name, reference))
        self._loaded: dict[str, Parts] = {}
        self._loading: dict[str, asyncio.Task[Parts]] = {}
        for model in self._models.values():
            self._look(model)

    def to_list(self) -> list[dict[str, Any]]:
        """Return the list for the page."""
        for model in self._models.values():
            if model.status == "missing":
                self._look(model)
        return [model.to_dict() for model in self._models.values()]

    def named(self, name: str) -> Model:
        """Return a model of the list.

        Raises:
            UserError: there is no such one; visitors cannot make the server read other folders.
        """
        if name not in self._models:
            raise UserError(f"There is no model {name!r} in the list.")
        return self._models[name]

    async def get(self, name: str) -> Parts:
        """Return a loaded model; whoever asks while it is being loaded waits for the same.

        Raises:
            UserError: there is no such model, or it cannot be loaded.
        """
        model = self.named(name)
        if name in self._loaded:
            self._loaded[name] = self._loaded.pop(name)  # the last one used is the last in the order
            return self._loaded[name]
        if name not in self._loading:
            self._loading[name] = asyncio.create_task(self._get(model))
            self._loading[name].add_done_callback(lambda task: task.cancelled() or task.exception())
        # A visitor who leaves does not take the model away from those who wait for it.
        return await asyncio.shield(self._loading[name])

    async def _get(self, model: Model) -> Parts:
        loop = asyncio.get_running_loop()
        self._set(model, "loading", "The weights are read; the first time takes up to a minute.")

        def announced(message: str) -> None:
            loop.call_soon_threadsafe(self._set, model, "loading", message)

        try:
            with _announcements(announced):
                parts = await asyncio.to_thread(self._load_parts, model.reference)
        except UserError as error:
            self._set(model, "failed", str(error))
            raise
        except Exception as error:
            _LOGGER.exception("Model %s cannot be loaded.", model.name)
            self._set(model, "failed", f"It cannot be loaded ({type(error).__name__}); the log has more.")
            raise UserError(f"Model {model.name} cannot be loaded; the server's log has more.") from error
        finally:
            self._loading.pop(model.name, None)
        self._keep(model, parts)
        return parts

    def _load_parts(self, reference: str) -> Parts:
        if self._detector is None:
            self._detector = load_detector(self._detector_name)
        engine = self._load(reference)
        engine.warm_up()
        FramePipeline(self._detector, engine)  # imports what the first visitor would wait for
        return Parts(self._detector, engine, tuple(task for task in engine.spec.tasks if task in self._tasks))

    def _keep(self, model: Model, parts: Parts) -> None:
        self._loaded[model.name] = parts
        model.spec = model.spec or parts.engine.spec
        while len(self._loaded) > LOADED:
            oldest = next(iter(self._loaded))
            del self._loaded[oldest]
            self._set(self._models[oldest], "here")
        self._set(model, "ready")

    def _set(self, model: Model, status: str, message: str = "") -> None:
        if status == "loading" and model.status == "ready":
            return  # an announcement that comes late
        model.status, model.message = status, message
        self.changed()

    def _look(self, model: Model) -> None:
        """Note whether a model's weights are here."""
        try:
            folder = _local_folder(model.reference)
            model.spec = ModelSpec.identified(folder)
        except UserError as error:
            model.message = str(error)
        else:
            model.status, model.message = "here", ""


def _name(reference: str) -> str:
    """Return what a model is called in the list: a folder by its own name."""
    return reference if "@" in reference else Path(reference).name or reference


def _local_folder(reference: str) -> Path:
    """Return the folder of a model that is on this machine; nothing is fetched to fill a list."""
    if "@" in reference and not Path(reference).exists():
        raise UserError(f"Model {reference} is fetched from its hub when it is chosen.")
    return model_folder(reference)


class _announcements(logging.Handler):  # noqa: N801 (used like a function)
    """Hands what this process announces about long steps to a function, during a block."""

    def __init__(self, use: Callable[[str], None]) -> None:
        super().__init__(logging.INFO)
        self._use = use
        self._logger = logging.getLogger("facial_attributes_ros.progress")

    def emit(self, record: logging.LogRecord) -> None:
        """Hand a message on."""
        self._use(record.getMessage())

    def __enter__(self) -> None:
        """Begin."""
        self._logger.addHandler(self)

    def __exit__(self, *_: object) -> None:
        """End."""
        self._logger.removeHandler(self)
