"""What the tests of the pages share: servers, and plain clients that send any headers."""

import http.client
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import cv2
import pytest
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from facial_attributes_ros.imaging.sample_camera import SampleCamera
from facial_attributes_ros.web.app import Part, create_app
from facial_attributes_ros.web.security import Access
from facial_attributes_ros.web.serve import WebServer


class Client:
    """Talks to a server as a browser's page of the server itself does, unless headers say otherwise."""

    def __init__(self, server: WebServer) -> None:
        self.url = server.url
        self.address = urlsplit(server.url)
        self.host = self.address.netloc

    def get(self, path: str, method: str = "GET", body: bytes | None = None, **headers: str):
        connection = http.client.HTTPConnection("127.0.0.1", self.address.port, timeout=20)
        connection.request(method, path, body, {"Host": self.host, **_names(headers)})
        response = connection.getresponse()
        response.text = response.read().decode(errors="replace")
        connection.close()
        return response

    @contextmanager
    def socket(self, path: str, **headers: str):
        wanted = {"Host": self.host, "Origin": f"http://{self.host}", **_names(headers)}
        host = wanted.pop("Host")
        plain = socket.create_connection(("127.0.0.1", self.address.port))
        with plain, connect(f"ws://{host}{path}", sock=plain, additional_headers=wanted) as opened:
            yield opened

    def status_of_socket(self, path: str, **headers: str) -> int:
        try:
            with self.socket(path, **headers):
                return 101
        except InvalidStatus as error:
            return error.response.status_code


def _names(headers: dict[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}


async def _echo(opened) -> None:
    await opened.accept()
    await opened.send_text(await opened.receive_text())
    await opened.close()


async def _length(request):
    return PlainTextResponse(str(len(await request.body())))


def frame_part() -> Part:
    """A page that is the common frame only."""
    routes = [WebSocketRoute("/echo", _echo), Route("/length", _length, methods=["POST"])]
    return Part("frame", "Frame", routes)


def new_server(*pages: Part, access: Access | None = None, **options) -> WebServer:
    access = access or Access.of("127.0.0.1")
    return WebServer(create_app(pages or [frame_part()], access), access, **options)


@contextmanager
def served(*pages: Part, **options) -> Iterator[Client]:
    with new_server(*pages, **options) as server:
        yield Client(server)


@pytest.fixture(scope="session")
def serve():
    """Return a context manager that serves pages, by default the common frame, and gives a client."""
    return served


@pytest.fixture(scope="session")
def make_server():
    """Return a function that makes a server of pages, by default the common frame, which has not started."""
    return new_server


@pytest.fixture(scope="session")
def write_people():
    """Return a function that writes a video of people, 10 frames a second."""

    def write(path: Path, frames: int) -> Path:
        camera = SampleCamera(320, 240)
        writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 10, (320, 240))
        for number in range(frames):
            writer.write(camera.frame(20 + number / 10))
        writer.release()
        return path

    return write


@pytest.fixture(scope="session")
def client_of():
    return Client


@pytest.fixture(scope="module")
def client():
    with served() as client:
        yield client
