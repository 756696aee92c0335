"""The conversation with one page of the demonstrator, over one WebSocket. FIRST FILE TO OPEN of the demonstrator.

The page sends a request as JSON, and after it the file that the request announces, in pieces. One job runs for a page
at a time; a new request ends the one before, and a page that leaves ends its job and frees everything. Jobs take turns
for the one thread that computes: a whole image is one turn, and so is each frame of a video or a stream.

    page:   {"type": "image", "model": "small", "name": "a.jpg", "size": 12345}, then the bytes
            {"type": "video", ...}; the bytes follow when `{"type": "send"}` has come
            {"type": "frame", "model": "small", "stamp": 1.5, "size": 4567}, then the bytes
            {"type": "example", "model": "small", "number": 0}      {"type": "load", "model": "small"}
            {"type": "stop"}
    server: {"type": "models", ...}   {"type": "place", "place": 3}   {"type": "progress", "done": 5, "total": 90}
            {"type": "image" | "video" | "frame", "files": [...], ...}, then each of these files
            {"type": "error", "message": "..."}

Every request has a number, `job`, which the messages about it repeat: what comes late is about an older one.
"""

import asyncio
import json
import logging
import math
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

from starlette.websockets import WebSocket, WebSocketDisconnect

from facial_attributes_ros.errors import UserError
from facial_attributes_ros.imaging.decoder import read_within
from facial_attributes_ros.web.demonstrator import images, video
from facial_attributes_ros.web.demonstrator.images import Answer, Stream, still_answer
from facial_attributes_ros.web.demonstrator.line import Line, unnoticed
from facial_attributes_ros.web.demonstrator.models import Models
from facial_attributes_ros.web.demonstrator.video import VideoJob

_LOGGER = logging.getLogger(__name__)
_T = TypeVar("_T")

VIDEOS_AT_ONCE: Final = 2
"""Number of videos that are held at once; further visitors send theirs when one is done."""
LONGEST_LINE: Final = 64
"""Number of people who may wait; the next one is asked to come back later."""
MAX_FRAME: Final = 2 << 20
"""Largest frame of a stream in bytes."""
_WAITING_MESSAGES: Final = 64
_PIECES: Final = 4
_PATIENCE: Final = 30.0
"""Seconds without a piece of a file after which its job ends."""
_NAME: Final = 100


@dataclass(slots=True)
class Workshop:
    """What all visitors share.

    Attributes:
        models: to choose from.
        examples: image files to click.
        turns: for the one thread that computes.
        videos: for those that are held at once.
    """

    models: Models
    examples: tuple[Path, ...] = ()
    turns: Line = field(default_factory=Line)
    videos: Line = field(default_factory=lambda: Line(VIDEOS_AT_ONCE))
    _thread: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "demonstrator"))
    _sessions: "set[Session]" = field(default_factory=set)

    def __post_init__(self) -> None:
        """Send the list of models to all pages when it changes."""
        self.models.changed = self._models_changed

    async def answer(self, socket: WebSocket) -> None:
        """Talk to one page until it leaves."""
        session = Session(socket, self)
        self._sessions.add(session)
        try:
            await session.run()
        finally:
            self._sessions.discard(session)

    async def compute(self, work: Callable[[], _T], notify: Callable[[int], None] = unnoticed) -> _T:
        """Return what a function returns, run in the thread when it is its turn.

        Raises:
            UserError: too many are waiting.
        """
        _check_length(self.turns)
        async with self.turns.turn(notify):
            running = asyncio.get_running_loop().run_in_executor(self._thread, work)
            try:
                return await asyncio.shield(running)
            except asyncio.CancelledError:
                # The thread goes on to the end of its step; until then it is nobody else's turn.
                with suppress(Exception):
                    await running
                raise

    def _models_changed(self) -> None:
        for session in self._sessions:
            session.send_models()


class _Upload:
    """The file that a request announced, as its pieces come."""

    def __init__(self, size: int) -> None:
        self._size = self._missing = size
        self._pieces: asyncio.Queue[bytes] = asyncio.Queue(_PIECES)
        self._wanted = True

    async def put(self, piece: bytes) -> None:
        """Take the next piece, and wait while too many are not used yet.

        Raises:
            _BadPageError: the file is longer than announced.
        """
        self._missing -= len(piece)
        if self._missing < 0 or not piece:
            raise _BadPageError("a file that is longer than announced")
        if self._wanted:
            await self._pieces.put(piece)

    async def pieces(self) -> AsyncIterator[bytes]:
        """Yield all pieces.

        Raises:
            UserError: the page sends nothing for a while; it would keep others from their turn.
        """
        received = 0
        while received < self._size:
            try:
                piece = await asyncio.wait_for(self._pieces.get(), _PATIENCE)
            except asyncio.TimeoutError as error:
                raise UserError("The file stopped coming: try again.") from error
            received += len(piece)
            yield piece

    def discard(self) -> None:
        """Drop what has come and what is still to come: nobody uses it."""
        self._wanted = False
        while not self._pieces.empty():
            self._pieces.get_nowait()


class _BadPageError(Exception):
    """A page sends what no page of ours sends."""


class Session:
    """One page that is open somewhere."""

    def __init__(self, socket: WebSocket, workshop: Workshop) -> None:
        """Prepare; `run` begins."""
        self._socket, self._workshop = socket, workshop
        self._outgoing: asyncio.Queue[dict[str, Any] | bytes] = asyncio.Queue(_WAITING_MESSAGES)
        self._job: asyncio.Task[None] | None = None
        self._job_number = 0
        self._upload: _Upload | None = None
        self._stream: tuple[str, Stream] | None = None
        self._sender: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Accept the page, and answer its requests until it leaves."""
        await self._socket.accept()
        self.send_models()
        self._sender = asyncio.create_task(self._send_all())
        receiver = asyncio.create_task(self._receive_all())
        try:
            await asyncio.wait((self._sender, receiver), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (self._sender, receiver, self._job):
                await _ended(task)
            with suppress(RuntimeError, WebSocketDisconnect):  # it is closed already
                await self._socket.close(1008)

    def send_models(self) -> None:
        """Send the list of models."""
        self._send({"type": "models", "models": self._workshop.models.to_list()})

    def _send(self, message: dict[str, Any], files: tuple[bytes, ...] = ()) -> None:
        try:
            self._outgoing.put_nowait(message | {"job": self._job_number})
            for file in files:
                self._outgoing.put_nowait(file)
        except asyncio.QueueFull:
            if self._sender is not None:
                self._sender.cancel()  # the page reads nothing

    async def _send_all(self) -> None:
        with suppress(WebSocketDisconnect, RuntimeError):
            while True:
                message = await self._outgoing.get()
                if isinstance(message, bytes):
                    await self._socket.send_bytes(message)
                else:
                    await self._socket.send_text(json.dumps(message, allow_nan=False))

    async def _receive_all(self) -> None:
        try:
            while (message := await self._socket.receive())["type"] == "websocket.receive":
                if (piece := message.get("bytes")) is not None:
                    if self._upload is None:
                        raise _BadPageError("bytes that no request announced")
                    await self._upload.put(piece)
                else:
                    await self._request(message.get("text") or "")
        except _BadPageError as error:
            _LOGGER.info("A page sent %s.", error)

    async def _request(self, text: str) -> None:
        """Begin a job; the one before ends."""
        try:
            request = json.loads(text)
            kind, model = str(request["type"]), str(request.get("model", ""))
            size, name = int(request.get("size", 0)), str(request.get("name", ""))[:_NAME] or "The file"
            stamp, number = _finite(request.get("stamp", 0)), int(request.get("number", 0))
            job_number = int(request.get("job", 0))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError) as error:
            raise _BadPageError("a request that is none") from error
        await _ended(self._job)
        self._job, self._upload, self._job_number = None, None, job_number
        if kind != "frame":
            self._stream = None
        jobs: dict[str, Callable[[], Coroutine[Any, Any, None]]] = {
            "load": lambda: self._load(model),
            "image": lambda: self._image(model, name, size),
            "example": lambda: self._example(model, number),
            "frame": lambda: self._frame(model, stamp, size),
            "video": lambda: self._video(model, name, size),
        }
        if kind in jobs:
            if kind in ("image", "frame"):
                self._upload = _Upload(size)
            self._job = asyncio.create_task(self._reported(jobs[kind]()))
        elif kind != "stop":
            raise _BadPageError("a request of an unknown type")

    async def _reported(self, job: Coroutine[Any, Any, None]) -> None:
        """Run a job; the page gets a sentence if it fails."""
        try:
            await job
        except UserError as error:
            self._send({"type": "error", "message": str(error)})
        except Exception:
            _LOGGER.exception("A request of the demonstrator failed.")
            self._send({"type": "error", "message": "The server failed; its log says why."})
        finally:
            if self._upload is not None:
                self._upload.discard()

    async def _load(self, model: str) -> None:
        await self._workshop.models.get(model)

    async def _image(self, model: str, name: str, size: int) -> None:
        data = await _received(self._upload, name, size, images.MAX_BYTES)
        parts = await self._workshop.models.get(model)
        self._answer(await self._workshop.compute(lambda: still_answer(parts, data, name), self._place))

    async def _example(self, model: str, number: int) -> None:
        examples = self._workshop.examples
        if not 0 <= number < len(examples):
            raise UserError("There is no such example.")
        path = examples[number]
        parts = await self._workshop.models.get(model)
        work = lambda: still_answer(parts, read_within(path, images.MAX_PIXELS), path.name)  # noqa: E731
        self._answer(await self._workshop.compute(work, self._place))

    async def _frame(self, model: str, stamp: float, size: int) -> None:
        data = await _received(self._upload, "The frame", size, MAX_FRAME)
        parts = await self._workshop.models.get(model)
        if self._stream is None or self._stream[0] != model:
            self._stream = model, Stream(parts)
        stream = self._stream[1]
        self._answer(await self._workshop.compute(lambda: stream.answer(data, stamp), self._place))

    async def _video(self, model: str, name: str, size: int) -> None:
        _check_size(name, size, video.MAX_BYTES)
        _check_length(self._workshop.videos)
        async with self._workshop.videos.turn(self._place):
            parts = await self._workshop.models.get(model)
            with tempfile.TemporaryFile() as file:
                self._upload = upload = _Upload(size)
                self._send({"type": "send"})
                async for piece in upload.pieces():
                    await asyncio.to_thread(file.write, piece)
                file.flush()
                job = await self._workshop.compute(lambda: VideoJob(parts, file, name), self._place)
                try:
                    await self._play(job)
                finally:
                    job.close()

    async def _play(self, job: VideoJob) -> None:
        steps = job.steps()
        more = object()
        while await self._workshop.compute(lambda: next(steps, more)) is not more:
            if self._outgoing.qsize() < _WAITING_MESSAGES // 2:  # a slow page hears less often
                self._send({"type": "progress", "done": job.done, "total": max(job.total, job.done)})
        self._answer(await asyncio.to_thread(job.answer))

    def _answer(self, answer: Answer) -> None:
        self._send(answer.message, answer.files)

    def _place(self, place: int) -> None:
        self._send({"type": "place", "place": place})


def _finite(value: Any) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise ValueError("a time is a finite number")
    return number


async def _received(upload: _Upload | None, name: str, size: int, limit: int) -> bytes:
    """Return a whole file that a page sends."""
    _check_size(name, size, limit)
    return b"" if upload is None else b"".join([piece async for piece in upload.pieces()])


def _check_length(line: Line) -> None:
    if line.length >= LONGEST_LINE:
        raise UserError("Too many people are waiting: try again later.")


def _check_size(name: str, size: int, limit: int) -> None:
    if size <= 0:
        raise UserError(f"{name} is empty.")
    if size > limit:
        raise UserError(f"{name} has {size / 1e6:.0f} MB, and the limit is {limit / 1e6:.0f} MB.")


async def _ended(task: "asyncio.Task[None] | None") -> None:
    """Cancel a task and wait until it has freed what it holds."""
    if task is None:
        return
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
