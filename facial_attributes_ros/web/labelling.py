"""The labelling page as a part of the application. What it shows and keeps is the work of the training module."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from facial_attributes_ros.errors import UserError
from facial_attributes_ros.web.app import Part

Json = dict[str, Any]


class Labelling(Protocol):
    """What the page needs of `facial_attributes_training.labelling.session.Labelling`, which documents it."""

    def facts(self) -> Json:
        """Return what stays the same while the page is open."""

    def status(self) -> Json:
        """Return the progress."""

    def current(self) -> Json | None:
        """Return the face that is to be labelled now."""

    def answer(
        self, number: int, labels: Mapping[str, str], cannot_say: Sequence[str], age_years: float | None = None
    ) -> None:
        """Keep the labels of a face."""

    def leave_out(self, number: int) -> None:
        """Note that a face must not be used."""

    def skip(self, number: int) -> None:
        """Put a face off."""

    def undo(self) -> None:
        """Take the last answer back."""

    def estimate(self, number: int) -> Json:
        """Return what the model estimates of a face."""

    def image(self, number: int, whole: bool = False) -> bytes:
        """Return a face, or the whole image around it, as JPEG."""


def labelling_page(work: Labelling) -> Part:
    """Return the page on which somebody labels faces."""

    def state() -> Json:
        return {"face": work.current(), "status": work.status()}

    async def begin(_: Request) -> Response:
        return await _answered(lambda: {"facts": work.facts(), **state()})

    def route(name: str, act: Callable[[Json], None]) -> Route:
        async def endpoint(request: Request) -> Response:
            sent = await _sent(request)

            def answer() -> Json:
                act(sent)
                return state()

            return await _answered(answer)

        return Route(f"/{name}", endpoint, methods=["POST"])

    async def estimate(request: Request) -> Response:
        number = request.path_params["number"]
        return await _answered(lambda: work.estimate(number))

    async def image(request: Request) -> Response:
        number, whole = request.path_params["number"], request.path_params["view"] == "scene"
        return await _answered(lambda: work.image(number, whole))

    routes = [
        Route("/begin", begin),
        route("answer", lambda sent: work.answer(_number(sent), *_labels(sent))),
        route("leave-out", lambda sent: work.leave_out(_number(sent))),
        route("skip", lambda sent: work.skip(_number(sent))),
        route("undo", lambda _: work.undo()),
        Route("/estimate/{number:int}", estimate, methods=["POST"]),
        Route("/image/{view}/{number:int}", image),
    ]
    return Part("label", "Label", routes)


async def _answered(work: Callable[[], Json | bytes]) -> Response:
    """Return what a function returns, run in a thread; what the user can mend is a sentence with the status 400."""
    try:
        found = await run_in_threadpool(work)
    except UserError as error:
        return JSONResponse({"error": str(error)}, 400)
    return Response(found, media_type="image/jpeg") if isinstance(found, bytes) else JSONResponse(found)


async def _sent(request: Request) -> Json:
    """Return the JSON object in a request, an empty one if there is none."""
    try:
        sent = json.loads(await request.body() or b"{}")
    except (ValueError, RecursionError):
        return {}
    return sent if isinstance(sent, dict) else {}


def _number(sent: Json) -> int:
    number = sent.get("number")
    if not isinstance(number, int):
        raise UserError("The request names no face.")
    return number


def _labels(sent: Json) -> tuple[dict[str, str], list[str], float | None]:
    """Return the labels, the tasks that cannot be said, and the age in years of a request."""
    labels, unsaid, years = sent.get("labels"), sent.get("cannot_say"), sent.get("age_years")
    if not (isinstance(labels, dict) and isinstance(unsaid, list) and isinstance(years, int | float | None)):
        raise UserError("The request has no labels.")
    return {str(task): str(label) for task, label in labels.items()}, [*map(str, unsaid)], years
