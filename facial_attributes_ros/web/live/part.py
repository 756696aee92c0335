"""The page's part of the application: the WebSocket that a browser keeps open."""

import asyncio
import contextlib
import json
from typing import Any

from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from facial_attributes_ros.imaging.labels import PLATE, TEXT
from facial_attributes_ros.web.app import Part
from facial_attributes_ros.web.live.hub import Client, Hub, waker


def live_part(hub: Hub) -> Part:
    """Return the part; what the node gives the hub is sent to every page that shows it."""

    async def connect(socket: WebSocket) -> None:
        await socket.accept()
        event = asyncio.Event()
        client = Client(waker(event))
        hub.add(client)
        sending = asyncio.create_task(_send(socket, hub, client, event))
        try:
            await _receive(socket, hub, client)
        finally:
            hub.remove(client)
            sending.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await sending

    colours = {"plate": _css(PLATE), "text": _css(TEXT)}
    return Part("live", "Live", routes=[WebSocketRoute("/ws", connect)], facts=lambda: colours)


async def _receive(socket: WebSocket, hub: Hub, client: Client) -> None:
    """Pass on what a browser says until it leaves."""
    while True:
        try:
            message: Any = json.loads(await socket.receive_text())
        except (WebSocketDisconnect, RuntimeError):  # it has left, before or while it was sent something
            return
        except (ValueError, KeyError):  # no text, or no JSON: not from our page
            await socket.close(1003)
            return
        if isinstance(message, dict):
            hub.received(client, message)


async def _send(socket: WebSocket, hub: Hub, client: Client, event: asyncio.Event) -> None:
    """Send what is newest whenever there is something new."""
    with contextlib.suppress(WebSocketDisconnect, RuntimeError):  # it has left in the meantime
        while True:
            await event.wait()
            event.clear()
            for message in hub.to_send(client):
                await (socket.send_text(message) if isinstance(message, str) else socket.send_bytes(message))


def _css(colour: tuple[int, int, int]) -> str:
    return f"rgb{colour}"
