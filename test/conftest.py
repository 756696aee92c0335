"""What holds for all tests."""

import os
import shutil
from collections.abc import Callable
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

import facial_attributes_ros  # noqa: F401 - switches telemetry off before a test imports a dependency
from facial_attributes_ros.attributes import LABELS
from facial_attributes_ros.detection.yunet import YuNetDetector
from facial_attributes_ros.errors import UserError
from facial_attributes_ros.imaging.decoder import read_image
from facial_attributes_ros.models.backbones.reference import BackboneReference
from facial_attributes_ros.models.spec import ModelSpec

if "PYTEST_XDIST_WORKER" in os.environ:
    # Processes that each compute with as many threads as there are cores wait for each other most of the time.
    os.environ.setdefault("OMP_NUM_THREADS", "1")

# Property tests are judged by what they find and not by how fast a busy machine runs them.
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")


@pytest.fixture(autouse=True)
def _environment_stays():
    """A command that is run in the test's own process sets variables for its children, not for later tests."""
    before = dict(os.environ)
    yield
    if os.environ != before:
        os.environ.clear()
        os.environ.update(before)


SPEC = ModelSpec("fake", BackboneReference("none"), image_size=112, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))


class FakeEngine:
    """Gives every face the logits that a function of the task returns, and remembers what it was asked."""

    spec = SPEC
    name = "fake"
    device = "cpu"

    def __init__(self, answer: Callable[[str], np.ndarray] | None = None) -> None:
        self.answer = answer or (lambda task: np.arange(len(LABELS[task]), dtype=np.float32))
        self.calls: list[tuple[int, tuple[str, ...]]] = []

    def from_frame(self, image, boxes, tasks=None, landmarks=None):
        self.calls.append((len(boxes), tuple(tasks)))
        return {task: np.stack([self.answer(task)] * len(boxes)).astype(np.float32) for task in tasks}

    def logits(self, crops, tasks=None):
        return self.from_frame(None, crops, tasks)

    def warm_up(self, batch_sizes=(1,), tasks=None):
        pass


@pytest.fixture
def fake_engine() -> FakeEngine:
    return FakeEngine()


@pytest.fixture(scope="session")
def make_engine() -> type[FakeEngine]:
    return FakeEngine


PATIENCE = 100_000
"""Milliseconds that a busy machine may need for a page."""


class Browser:
    """A real browser: Debian's Chromium, driven by Playwright."""

    def __init__(self, chromium) -> None:
        self.chromium = chromium

    @contextmanager
    def page(self, url, **options):
        """Open a page, and check afterwards that it logged nothing and asked no other server for anything."""
        context = self.chromium.new_context(**options)
        context.set_default_timeout(PATIENCE)
        page = context.new_page()
        logged, outside = [], []
        page.on("console", lambda message: logged.append(message.text))
        page.on("pageerror", lambda error: logged.append(str(error)))
        page.on("request", lambda request: outside.append(request.url) if _is_foreign(request.url, url) else None)
        page.goto(url)
        yield page
        context.close()
        assert logged == []
        assert outside == []

    def violations(self, page, *rules):
        """What axe-core finds wrong with a page's accessibility, in short; by all its rules, or by some of them."""
        axe = pytest.importorskip("axe_playwright_python.sync_playwright")
        options = {"resultTypes": ["violations"]} | ({"runOnly": list(rules)} if rules else {})
        found = axe.Axe().run(page, options=options).response["violations"]
        return [(one["id"], [node["html"][:120] for node in one["nodes"]]) for one in found]


def _is_foreign(asked, url):
    parts = urlsplit(asked)
    return parts.scheme not in ("blob", "data") and parts.netloc != urlsplit(url).netloc


@pytest.fixture(scope="session")
def chromium():
    """The path of Chromium; without it the test is skipped, or fails where `make test-web` asks for it."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    missing = "Chromium (apt-get install chromium)" if chromium is None else ""
    if find_spec("playwright") is None:
        missing = missing or "Playwright (make setup)"
    if missing:
        give_up = pytest.fail if os.environ.get("TEST_WEB") == "required" else pytest.skip
        give_up(f"the pages are not tried in a browser: there is no {missing}")
    return chromium


@pytest.fixture(scope="module")
def browser_arguments():
    """Arguments of the browser; a module may have its own."""
    return []


@pytest.fixture(scope="module")
def browser(chromium, browser_arguments):
    """The browser. Playwright allows one at a time in a process, so it ends with its module."""
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium, args=browser_arguments)
        yield Browser(started)
        started.close()


@pytest.fixture(scope="session")
def yunet() -> YuNetDetector:
    try:
        return YuNetDetector()
    except UserError as error:
        pytest.skip(f"the YuNet file cannot be had: {error}")


def package_picture(package: str, inner: str) -> np.ndarray:
    found = find_spec(package)
    if found is None or not found.submodule_search_locations:
        pytest.skip(f"{package} is not installed")
    return read_image(Path(found.submodule_search_locations[0]) / inner)


@pytest.fixture(scope="session")
def six_faces() -> np.ndarray:
    return package_picture("insightface", "data/images/t1.jpg")


@pytest.fixture(scope="session")
def astronaut() -> np.ndarray:
    return package_picture("skimage", "data/astronaut.png")
