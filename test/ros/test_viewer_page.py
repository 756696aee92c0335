"""The live page in a real browser, against a running graph."""

import json
from pathlib import Path

import pytest

pytest.importorskip("starlette", reason="the pages need the extra web")

PAINTER = Path(__file__).resolve().parent / "processes" / "painted_graph.py"


@pytest.fixture(scope="module")
def painted(shared_graph):
    """A function that says what the graph publishes, and the address of its live page."""
    viewer, painter = shared_graph.node("viewer"), shared_graph.script(PAINTER)
    (line,) = viewer.wait_for_text("Live page: ")

    def paint(**order):
        painter.child.stdin.write(json.dumps(order) + "\n")
        painter.child.stdin.flush()

    return paint, line.split()[-1]


def count(page, selector, number):
    """Wait until this is the number of elements."""
    from playwright.sync_api import expect

    expect(page.locator(selector)).to_have_count(number)


def test_faces_come_and_go_on_a_page_that_a_screen_reader_can_use(browser, painted):
    paint, url = painted
    paint(faces=6)
    with browser.page(url, viewport={"width": 1280, "height": 800}) as page:
        page.locator(".person").nth(5).wait_for()
        page.locator("#labels text", has_text="f3").wait_for()
        assert page.locator("#labels .stroke").count() >= 12
        first, second = page.locator(".person").nth(0), page.locator(".person").nth(1)
        assert "31 ± 6 years" in first.inner_text()
        assert "Group 30-39, 70 %" in first.inner_text()
        assert "Most probable: happy, 70 %" in second.inner_text()
        assert page.locator("#labels text", has_text="emotion unknown").count() == 3
        page.locator(".person .note", has_text="happy 100 % of").first.wait_for()
        assert page.locator("#health").inner_text() == "Running: nothing is wrong."
        assert page.locator("#rates").inner_text().startswith("Images in\n15.0 Hz")
        assert page.locator("#view").inner_text() == "/perception on /image"
        assert browser.violations(page) == []
        paint(faces=1)
        page.locator(".person.left .note", has_text="out of view").first.wait_for()
        assert page.locator(".person").nth(5).bounding_box(), "the place of who has left is kept for a while"
        count(page, ".person", 1)
        assert page.locator("#count").inner_text() == "1"


def test_what_is_wrong_is_said_and_a_phone_is_wide_enough(browser, painted):
    paint, url = painted
    paint(faces=24, camera=True, perception=True)
    with browser.page(url, viewport={"width": 390, "height": 844}, color_scheme="dark") as page:
        count(page, ".person", 24)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        paint(faces=2)
        count(page, ".person", 2)
        assert not page.locator(".bars").first.is_visible()
        page.get_by_label("All probabilities").check()
        assert page.locator(".bars").first.is_visible()
        assert browser.violations(page) == []
        paint(camera=False, perception=False)
        page.locator(".problem.error", has_text="/perception has not been heard of any more").wait_for()
        page.locator(".problem", has_text="No image received on /image").wait_for()
        count(page, ".camera-image.stale", 1)
        paint(camera=True, perception=True)
        page.locator("#health", has_text="nothing is wrong").wait_for()
        count(page, ".camera-image.stale", 0)
