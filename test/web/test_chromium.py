"""The pages in a real Chromium: what a visitor does and sees, for eyes, keyboards and screen readers.

`make test-web` asks for Chromium and runs these tests; without it they are skipped.
"""

import json
from contextlib import ExitStack
from pathlib import Path

import cv2
import pytest

from facial_attributes_ros.engines.load import load_engine
from facial_attributes_ros.imaging.sample_camera import SampleCamera
from facial_attributes_ros.imaging.sample_images import sample_images
from facial_attributes_ros.web.demonstrator import images
from facial_attributes_ros.web.demonstrator.models import Models
from facial_attributes_ros.web.demonstrator.part import demonstrator
from facial_attributes_ros.web.demonstrator.session import Workshop
from facial_attributes_ros.web.live.hub import Hub
from facial_attributes_ros.web.live.part import live_part
from facial_attributes_ros.web.model_cards import model_cards

pytest.importorskip("playwright", reason="playwright is missing: pip install '.[test-web]'")
from playwright.sync_api import Page, expect

PHONE, WIDE = {"width": 390, "height": 844}, {"width": 1440, "height": 900}


@pytest.fixture(scope="module")
def files(write_people, tmp_path_factory) -> Path:
    """Files to upload, and what the browser takes for a webcam."""
    folder = tmp_path_factory.mktemp("files")
    camera = SampleCamera(320, 240)
    with (folder / "webcam.mjpeg").open("wb") as webcam:
        for number in range(10):
            webcam.write(cv2.imencode(".jpg", camera.frame(20 + number / 10))[1])
    write_people(folder / "people.mp4", 8)
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 this is no image" * 20)
    return folder


@pytest.fixture(scope="module")
def url(yunet, make_engine, serve, tmp_path_factory):
    """A server of all pages with the model `small`, and another one, which answers always the same."""
    other = tmp_path_factory.mktemp("models") / "other"
    other.symlink_to(Path(images.__file__).parents[2] / "models" / "weights" / "small")
    models = Models(["small", str(other)], load=lambda name: make_engine() if name == str(other) else load_engine(name))
    page = demonstrator(Workshop(models, tuple(sample_images())))
    with serve(page, model_cards(models, [page]), live_part(Hub())) as client:
        yield client.url.rstrip("/")


@pytest.fixture(scope="module")
def browser_arguments(files):
    return [
        "--use-fake-device-for-media-stream",
        "--use-fake-ui-for-media-stream",
        f"--use-file-for-fake-video-capture={files / 'webcam.mjpeg'}",
    ]


@pytest.fixture
def open_page(browser, url):
    """Return a function that opens a page."""
    with ExitStack() as opened:

        def open_one(path="/demonstrator", viewport=WIDE, scheme="light") -> Page:
            options = {"viewport": viewport, "color_scheme": scheme, "permissions": ["camera"]}
            return opened.enter_context(browser.page(url + path, **options))

        yield open_one


def upload(page: Page, file: Path) -> None:
    page.set_input_files("#file", file)


def wait_for(page: Page, text: str) -> None:
    expect(page.locator("#state")).to_contain_text(text)


@pytest.fixture
def check_accessibility(browser):
    """Return a function that checks a page with axe-core: by all its rules, or by some of them."""

    def check(page: Page, *rules: str) -> None:
        assert browser.violations(page, *rules) == []

    return check


def overflow(page: Page) -> int:
    """Return by how many pixels the page is wider than the window."""
    return page.evaluate("document.documentElement.scrollWidth - window.innerWidth")


def test_a_photograph_gets_a_card_for_each_face_with_what_the_file_to_save_says(open_page, check_accessibility):
    page = open_page()
    upload(page, sample_images("insightface")[0])
    wait_for(page, "6 faces")
    with page.expect_download() as download:
        page.click("#save-json")
    faces = json.loads(Path(download.value.path()).read_text())["faces"]
    assert download.value.suggested_filename == "faces.json"
    cards = page.locator(".face")
    assert cards.count() == len(faces) == 6
    for number, face in enumerate(faces):
        age, gender, emotion = cards.nth(number).locator(".value").all_text_contents()
        assert age.startswith(f"{int(face['age'])} ± ")
        assert (gender, emotion) == (face["gender"] or "unknown", face["emotion"] or "unknown")
        assert len(cards.nth(number).locator(".number").all_text_contents()) == 18
        assert cards.nth(number).locator(".crop").evaluate("image => image.naturalWidth") > 0
    assert page.locator("#annotated").evaluate("image => image.naturalWidth") > 600
    assert page.locator("#annotated").get_attribute("alt") == "Image with 6 faces marked"
    check_accessibility(page)
    page.emulate_media(color_scheme="dark")
    check_accessibility(page, "color-contrast")
    page.set_viewport_size(PHONE)
    assert overflow(page) <= 0


def test_another_model_answers_for_the_same_image(open_page):
    page = open_page()
    page.click(".example >> nth=-1")
    wait_for(page, "1 face")
    before = page.locator(".face .bars").all_text_contents()
    page.select_option("#model", "other")
    expect(page.locator(".face .bars").first).not_to_have_text(before[0])
    assert page.locator("#model-status").text_content().startswith("Ready")
    assert "weights missing" in page.locator("#model").text_content()
    page.select_option("#model", "pe-l14-336")
    page.wait_for_selector("#problem:not([hidden])")
    assert "no weights here" in page.locator("#problem").text_content()
    assert "train or import" in page.locator("#model-status").text_content()


def test_what_cannot_be_read_or_is_too_large_is_a_sentence(
    open_page, check_accessibility, files, monkeypatch, tmp_path
):
    page = open_page()
    upload(page, files / "broken.jpg")
    page.wait_for_selector("#problem:not([hidden])")
    assert "broken.jpg" in page.locator("#problem").text_content()
    large = tmp_path / "large.jpg"
    with large.open("wb") as file:
        file.truncate(images.MAX_BYTES + 1)
    upload(page, large)
    expect(page.locator("#problem")).to_contain_text("large.jpg has 41 MB, and the limit is 40 MB")
    monkeypatch.setattr(images, "MAX_PIXELS", 1000)
    upload(page, sample_images("scikit-image")[0])
    expect(page.locator("#problem")).to_contain_text("512x512")
    check_accessibility(page)
    monkeypatch.undo()
    upload(page, sample_images("scikit-image")[0])
    wait_for(page, "1 face")
    assert page.locator("#problem").is_hidden()


def test_a_video_plays_with_a_row_and_a_timeline_for_each_person(open_page, check_accessibility, files):
    page = open_page(viewport=PHONE)
    upload(page, files / "people.mp4")
    page.wait_for_selector("#progress:not([hidden])")
    wait_for(page, "in 8 frames")
    expect(page.locator("#playback")).to_have_js_property("videoWidth", 320)
    played = "video => new Promise((done) => { video.ontimeupdate = () => done(video.currentTime); video.play(); })"
    assert page.locator("#playback").evaluate(played) >= 0
    assert page.locator("#playback").evaluate("video => video.error") is None
    rows = page.locator("#people-rows tr")
    assert rows.count() == page.locator(".timeline").count() == page.locator(".face").count() >= 1
    assert "%" in rows.first.text_content()
    assert page.locator("#save-annotated").get_attribute("download") == "faces.webm"
    assert overflow(page) <= 0
    check_accessibility(page)


def test_the_webcam_streams_until_it_is_stopped(open_page):
    page = open_page()
    page.click("#webcam")
    page.wait_for_selector(".face")
    wait_for(page, "frames/s, 1 face")
    assert page.locator("#annotated").evaluate("image => image.naturalWidth") == 320
    page.click("#stop")
    wait_for(page, "Stopped")
    assert page.locator("#stop").is_hidden()
    assert page.evaluate("document.activeElement.id") == "webcam"


def test_every_page_can_be_read_by_all_on_a_phone(open_page, check_accessibility, url):
    page = open_page("/demonstrator", PHONE, "dark")
    for path in ("/demonstrator", "/models", "/models/small", "/live"):
        page.goto(url + path)
        check_accessibility(page)
        assert overflow(page) <= 0, path


def test_the_keyboard_is_enough(open_page):
    page = open_page()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    reached = set()
    for _ in range(12):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.id || document.activeElement.className"))
    assert {"model", "model-card", "file", "webcam", "example"} <= reached
    page.locator(".example").last.focus()
    page.keyboard.press("Enter")
    wait_for(page, "1 face")


def test_another_sites_page_in_the_same_browser_gets_nothing(browser, url):
    """A local file is another origin, as every site is."""
    page = browser.chromium.new_page()
    page.goto("data:text/html,<p>another site")
    asked = """async (url) => {
      const read = (path) => fetch(url + path).then((response) => response.text()).catch(() => "nothing");
      const socket = new Promise((done) => {
        const opened = new WebSocket(url.replace("http", "ws") + "/demonstrator/ws");
        opened.onopen = () => done("open");
        opened.onerror = () => done("nothing");
      });
      const image = new Promise((done) => {
        const shown = new Image();
        shown.onload = () => done("shown");
        shown.onerror = () => done("nothing");
        shown.src = url + "/demonstrator/examples/0";
      });
      return Promise.all([read("/demonstrator"), read("/static/style.css"), socket, image]);
    }"""
    assert page.evaluate(asked, url) == ["nothing"] * 4
    page.close()
