"""The pages in headless Chromium, from a journal that was made up: no Label Studio, no worker."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from flask import Flask
from werkzeug.serving import make_server

from backend.web.pages.examinations import Examinations
from backend.web.pages.services import EXTENSION
from model_store import phases
from tests.states import KEY, mirrored_task
from tests.web.pages.conftest import app_of
from tests.web.pages.test_browser import NARROW, TIMEOUT_MS, opened_pages

pytestmark = pytest.mark.browser

FINDINGS = [
    {"verdict": "ok", "topic": "disk", "text": "9 GB are free", "remedy": ""},
    {"verdict": "note", "topic": "webhook", "text": "none is made", "remedy": "use an address"},
    {"verdict": "FAIL", "topic": "token", "text": "it expired", "remedy": "make a new one"},
]
PICTURE = '<svg xmlns="http://www.w3.org/2000/svg" width="96" height="96"></svg>'


def imitated_doctor(app: Flask) -> Flask:
    """The app with FINDINGS: the doctor itself would look at this machine."""
    found = Examinations(lambda _project_id: FINDINGS)
    app.extensions[EXTENSION] = replace(app.extensions[EXTENSION], examinations=found)
    return app


@pytest.fixture
def url(settings: Any, journal: Any) -> Iterator[str]:
    app = imitated_doctor(app_of(settings, journal))
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.port}"
    server.shutdown()
    thread.join()


@pytest.fixture
def open_page(browser: Any, url: str) -> Iterator[Callable[..., Any]]:
    yield from opened_pages(browser, url)


def focused_map(page: Any) -> Any:
    """The map's canvas, drawn and focused."""
    page.locator(".map:not([aria-busy])").wait_for()
    canvas = page.get_by_role("application", name="Map of the pool")
    canvas.focus()
    return canvas


def test_picture_beside_a_point_is_never_that_of_another_task(project, open_page):
    from playwright.sync_api import expect

    page, asked, held = open_page("/projects/12"), [], []

    def answer(route: Any) -> None:
        task = route.request.url.rpartition("/")[2]
        asked.append(task)
        if task == "102":
            held.append(route)
        elif asked.count(task) == 1:
            route.fulfill(status=503, body="ask again")
        else:
            route.fulfill(content_type="image/svg+xml", body=PICTURE)

    focused_map(page)
    page.route("**/thumbnails/*", answer)
    width = "document.querySelector('.hover img').naturalWidth"
    page.keyboard.press("ArrowRight")
    expect(page.locator("#map-said")).to_contain_text("Task 100")
    page.wait_for_function(f"() => {width} === 96")  # it was asked for again
    page.keyboard.press("ArrowUp")
    expect(page.locator("#map-said")).to_contain_text("Task 102")
    assert page.evaluate(width) == 0
    page.wait_for_function("() => document.querySelector('.hover img').src.endsWith('/102')")
    held[0].fulfill(content_type="image/svg+xml", body=PICTURE)
    page.wait_for_function(f"() => {width} === 96")


def test_page_scrolls_over_the_map_by_touch_unless_points_are_drawn_around(project, open_page):
    from playwright.sync_api import expect

    page = open_page("/projects/12", viewport=NARROW, has_touch=True)
    canvas = focused_map(page)
    canvas.scroll_into_view_if_needed()
    touch = page.context.new_cdp_session(page)

    def stroke(*places: tuple[float, float]) -> None:
        box = canvas.bounding_box()
        for number, (x, y) in enumerate(places):
            point = {"x": box["x"] + x * box["width"], "y": box["y"] + y * box["height"]}
            kind = "touchMove" if number else "touchStart"
            touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [point]})
        touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})

    def place() -> float:
        return page.evaluate("scrollY")

    before = place()
    stroke(*((0.5, 0.9 - step / 10) for step in range(7)))
    page.wait_for_function(f"() => scrollY > {before} + 50")
    expect(page.locator("#map-form")).to_be_hidden()
    page.get_by_role("button", name="Draw around points").tap()
    canvas.scroll_into_view_if_needed()
    before = place()
    stroke((0.01, 0.99), (0.01, 0.01), (0.5, 0.01), (0.99, 0.01), (0.99, 0.99), (0.5, 0.99))
    expect(page.locator("#map-said")).to_have_text("4 images are chosen.")
    assert place() == before


def test_page_follows_batch_pause_and_backtest_without_being_loaded_again(project, open_page):
    from playwright.sync_api import expect

    page = open_page("/projects/12")
    task, backtest = page.locator("[data-task='100']"), page.locator("#backtest")
    expect(task.locator(".state")).to_contain_text("to label")
    project.tasks.put(KEY, [mirrored_task(100, class_name="cat")])
    project.update_project(KEY, is_paused=True, backtest=phases.REQUESTED)
    expect(backtest).to_contain_text("About to begin", timeout=TIMEOUT_MS)
    expect(task.locator(".state")).to_have_text("labeled: cat")
    expect(task).to_have_class("task labeled")
    expect(page.locator("[data-live=batch_done]")).to_have_text("2")
    expect(page.get_by_role("link", name="Pause")).to_be_hidden()
    expect(page.get_by_role("link", name="Go on")).to_be_visible()
    expect(page.get_by_role("link", name="Run a backtest")).to_be_hidden()
    project.update_project(KEY, backtest=phases.RUNNING, backtest_done=1, backtest_total=4)
    bar = page.get_by_role("progressbar", name="Progress of the backtest")
    expect(bar).to_have_attribute("value", "25", timeout=TIMEOUT_MS)
    expect(backtest).to_contain_text("Running")
    project.update_project(KEY, backtest="", backtest_at=1_700_000_000.0)
    ended = page.get_by_text("A backtest has ended")
    expect(ended).to_be_visible(timeout=TIMEOUT_MS)
    expect(page.get_by_role("link", name="Run a backtest")).to_be_visible()
