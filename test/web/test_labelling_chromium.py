"""The labelling page in a real Chromium: with keys alone, on a phone, and for a screen reader."""

import cv2
import pytest

from facial_attributes_ros.attributes import TASKS
from facial_attributes_ros.web.labelling import labelling_page


@pytest.fixture
def book(tmp_path, six_faces):
    """The answers of a labeller about six faces, which the page is opened for."""
    from facial_attributes_training.labelling.answers import AnswerBook

    cv2.imwrite(str(tmp_path / "six.png"), six_faces)
    (tmp_path / "broken.jpg").write_bytes(b"nothing")
    return AnswerBook(tmp_path, "a")


@pytest.fixture
def url(book, make_engine, yunet, serve):
    from facial_attributes_training.labelling.scanning import Scanner
    from facial_attributes_training.labelling.session import Labelling, Plan

    from facial_attributes_ros.pipeline import FramePipeline

    names = ["six.png", "broken.jpg"]
    scanner = Scanner(FramePipeline(yunet, make_engine()))
    files = [book.folder / name for name in names]
    scanned = scanner.scan(files, names, book.folder / "faces.jsonl", lambda done, total: None)
    with serve(labelling_page(Labelling(scanned, Plan(TASKS), book, TASKS))) as client:
        yield client.url + "label"


@pytest.fixture
def page(browser, url):
    """The page on a phone."""
    with browser.page(url, viewport={"width": 390, "height": 844}, color_scheme="dark") as page:
        page.wait_for_selector("#begin:enabled")
        yield page


def check(browser, page) -> None:
    """Check accessibility with axe-core, and that nothing is wider than the window."""
    assert browser.violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0


def wait_for_done(page, text) -> None:
    page.wait_for_function("text => document.getElementById('done').textContent.startsWith(text)", arg=text)


def test_faces_are_labelled_by_keys_alone_and_every_answer_is_kept_at_once(browser, page, book):
    assert page.text_content("#broken summary") == "1 file cannot be read"
    check(browser, page)
    page.focus("#begin")
    page.keyboard.press("Enter")
    page.wait_for_selector("#work:not([hidden])")
    page.wait_for_function("() => document.getElementById('face').naturalWidth > 0")
    check(browser, page)
    assert page.locator("#model *").count() == 0

    page.keyboard.type("42")
    assert page.locator("[aria-pressed=true]").all_text_contents() == ["420-29", "2female"]
    page.keyboard.type("u1")  # the last label of this face is taken back
    page.keyboard.press("0")
    wait_for_done(page, "1 of 6 faces")
    (first,) = book.answers
    assert first.given.labels == {"age": "20-29", "gender": "male"}
    assert first.given.cannot_say == ("emotion",)

    page.keyboard.press("y")
    page.keyboard.type("33.5")
    page.keyboard.press("Enter")
    page.keyboard.press("m")
    page.wait_for_selector("#model .face")
    check(browser, page)
    page.keyboard.type("24")
    wait_for_done(page, "2 of 6 faces")
    assert book.answers[1].given.age_years == 33.5
    assert book.answers[1].given.labels == {"age": "30-39", "gender": "female", "emotion": "happy"}
    assert book.answers[1].given.model_shown
    assert page.locator("#model *").count() == 0

    page.keyboard.press("u")  # the last face
    wait_for_done(page, "1 of 6 faces")
    assert page.locator("[aria-pressed=true]").count() == 3
    page.keyboard.press("x")
    wait_for_done(page, "2 of 6 faces, 1 of them left out")
    assert [answer.given.left_out for answer in book.answers] == [False, True]
