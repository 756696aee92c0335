"""The services of the perception node. Each answers with a sentence, in every state of the node."""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from rclpy.callback_groups import ReentrantCallbackGroup

from facial_attributes_ros.attributes import FaceAttributes
from facial_attributes_ros.engines.base import Engine
from facial_attributes_ros.errors import UserError
from facial_attributes_ros.ros.conversion import ConversionError, compressed_to_bgr, image_to_bgr
from facial_attributes_ros.ros.loading import Stages
from facial_attributes_ros.ros.managed import SUCCESS, ManagedNode
from facial_attributes_ros.ros.messages import FrameTime, faces_message
from facial_attributes_ros.ros.perception.configured import Configured, free_memory, load_model
from facial_attributes_ros.srv import EstimateFaces, ForgetFaces, SetEnabled, SetModel

PATIENCE: Final = 5.0
"""Seconds for which a service waits for the image in work."""

Act = Callable[[Any, Any], Awaitable[str]]
"""Does what a request asks, fills the response, and returns the sentence of the answer."""


class Services:
    """Answers to the services, as long as the node exists.

    Args:
        node: whose services they are.
        configured: returns the pipeline and the publishers, None while the node is not configured.
        forgotten: called when the pipeline has forgotten all faces.
        model_set: called with the name of another model that is in use.
    """

    def __init__(
        self,
        node: ManagedNode,
        configured: Callable[[], Configured | None],
        forgotten: Callable[[], None],
        model_set: Callable[[str], None],
    ) -> None:
        self._node, self._configured = node, configured
        self._forgotten, self._model_set = forgotten, model_set
        self._loading_model = ""
        group = ReentrantCallbackGroup()  # while one waits, the others are answered
        for kind, name, act in (
            (ForgetFaces, "forget_faces", self._forget),
            (SetModel, "set_model", self._set_model),
            (SetEnabled, "set_enabled", self._set_enabled),
            (EstimateFaces, "estimate_faces", self._estimate),
        ):
            node.create_service(kind, f"~/{name}", self._answering(name, act), callback_group=group)

    def _answering(self, name: str, act: Act) -> Callable[[Any, Any], Awaitable[Any]]:
        """Return the callback of a service: whatever happens becomes a sentence."""

        async def answer(request: Any, response: Any) -> Any:
            try:
                response.message = await act(request, response)
                response.success = True
            except UserError as error:
                response.message = str(error)
            except Exception as error:  # of any type, by a driver; a request must not end the node
                response.message = f"The request failed ({type(error).__name__}: {error})."
            log = self._node.get_logger()
            # rclpy wants one call site per level.
            if response.success:
                log.info(f"{name}: {response.message}")
            else:
                log.warning(f"{name}: {response.message}")
            return response

        return answer

    async def _forget(self, _request: Any, _response: Any) -> str:
        configured = self._ready()

        def reset(_: Stages) -> None:
            with _at_rest(configured):
                configured.pipeline.reset()

        await self._node.outside(reset)
        self._forgotten()
        return "All faces are forgotten: who is in view is estimated anew."

    async def _set_model(self, request: Any, _response: Any) -> str:
        configured, name = self._ready(), request.model.strip()
        before = configured.about["model"]
        if not name:
            raise UserError("The request names no model.")
        if self._loading_model:
            raise UserError(f"The model {self._loading_model} is being loaded: wait for it.")
        self._loading_model = name
        try:
            await self._node.outside(lambda stages: self._switch(configured, name, stages))
        except UserError as error:
            raise UserError(f"{error} The node keeps the model {before}.") from error
        finally:
            self._loading_model = ""
            free_memory()
        if self._configured() is not configured:
            raise UserError(f"The node was cleaned up while the model {name} was loaded: set the parameter model.")
        self._model_set(name)
        return f"The model is {name}, no longer {before}."

    def _switch(self, configured: Configured, name: str, stages: Stages) -> None:
        """Load a model and use it; runs in a thread of its own, and images are processed meanwhile."""
        settings = replace(configured.settings, node=replace(configured.settings.node, model=name))
        try:
            engine: Engine = load_model(settings, stages)
        except UserError:
            raise
        except Exception as error:  # of any type, by a driver, such as a full GPU
            raise UserError(f"The model {name} cannot be loaded ({type(error).__name__}: {error}).") from error
        with _at_rest(configured):
            configured.use(engine)

    async def _set_enabled(self, request: Any, _response: Any) -> str:
        node, wanted = self._node, "active" if request.enabled else "inactive"
        if node.state == wanted:
            return f"The node is {wanted} already."
        if not node.between_transitions:
            raise UserError(f"The node is {node.state}: ask again when that is over.")
        if node.state not in ("active", "inactive"):
            raise UserError(f"The node is {node.state}: it has to be configured first.")
        outcome = node.trigger_activate() if request.enabled else node.trigger_deactivate()
        if outcome != SUCCESS:
            raise UserError(f"The node is {node.state}: {node.problem}")
        return f"The node is {wanted}; everything stays loaded."

    async def _estimate(self, request: Any, response: Any) -> str:
        configured = self._ready()
        header, image = _image(request, configured.settings.node.max_pixels)

        def estimate(_: Stages) -> list[FaceAttributes]:
            with _at_rest(configured):
                return configured.pipeline.still(image)

        faces = await self._node.outside(estimate)
        stamp = FrameTime(0.0, header.stamp)
        faces = [replace(face, updated=stamp) for face in faces]
        response.faces = faces_message(configured.about["model"], header, (image.shape[1], image.shape[0]), faces)
        return f"Faces in the image: {len(faces)}."

    def _ready(self) -> Configured:
        configured = self._configured()
        if configured is None:
            raise UserError(f"The node is {self._node.state} and has no model: it has to be configured first.")
        return configured


def _image(request: Any, max_pixels: int) -> tuple[Any, NDArray[np.uint8]]:
    """Return the header of a request's image, and the image as uint8 (H, W, 3), BGR.

    Raises:
        UserError: there is none, or it cannot be converted.
    """
    try:
        if len(request.image.data):
            return request.image.header, image_to_bgr(request.image)
        if len(request.compressed.data):
            return request.compressed.header, compressed_to_bgr(request.compressed, max_pixels=max_pixels)
    except ConversionError as error:
        raise UserError(f"The image is invalid: {error}") from error
    raise UserError("The request holds no image: fill image or compressed.")


@contextmanager
def _at_rest(configured: Configured) -> Iterator[None]:
    """Hold the pipeline between two frames.

    Raises:
        UserError: the image in work does not come to an end.
    """
    if not configured.working.acquire(timeout=PATIENCE):
        raise UserError("The image in work does not come to an end: ask again, and see /diagnostics.")
    try:
        yield
    finally:
        configured.working.release()
