"""The demonstrator as a part of the application."""

import asyncio
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute

from facial_attributes_ros.imaging.decoder import read_image
from facial_attributes_ros.web.app import Part
from facial_attributes_ros.web.demonstrator import images, video
from facial_attributes_ros.web.demonstrator.session import Workshop
from facial_attributes_ros.web.serve import PIECE

_THUMBNAIL = 320
"""Longest side of the examples in pixels."""


def demonstrator(workshop: Workshop) -> Part:
    """Return the page of a workshop."""
    thumbnails: dict[int, bytes] = {}

    async def example(request: Request) -> Response:
        number = request.path_params["number"]
        if number >= len(workshop.examples):
            return PlainTextResponse("There is no such example.", 404)
        if number not in thumbnails:
            thumbnails[number] = await asyncio.to_thread(_thumbnail, workshop.examples[number])
        return Response(thumbnails[number], media_type="image/jpeg")

    def facts() -> dict[str, Any]:
        limits = {
            "image": images.MAX_BYTES,
            "video": video.MAX_BYTES,
            "seconds": video.MAX_SECONDS,
            "piece": PIECE,
            "frame": images.FRAME_SIDE,
        }
        return {"examples": range(len(workshop.examples)), "limits": limits}

    routes = [WebSocketRoute("/ws", workshop.answer), Route("/examples/{number:int}", example)]
    return Part("demonstrator", "Demonstrator", routes, facts)


def _thumbnail(path: Path) -> bytes:
    return images.shown(read_image(path, images.MAX_PIXELS), _THUMBNAIL)
