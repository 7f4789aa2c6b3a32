"""The pages in headless Chromium, from a journal that was made up: no Label Studio, no worker."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from flask import Flask
from werkzeug.serving import make_server

from backend.web.pages.examinations import Examinations
from backend.web.pages.services import EXTENSION
from model_store import phases
from model_store.audits import Draw
from model_store.journal import UnreadableTask
from model_store.maps import PoolMap, write_map
from model_store.project_folder import REPORT_NAME
from model_store.rankings import Ranking, write_ranking
from tests.states import KEY, mirrored_task, queued_task, round_state, tuning_state
from tests.web.pages.conftest import app_of, confirm
from tests.web.pages.test_browser import NARROW, TIMEOUT_MS, WIDE, opened_pages

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
    # Imported here: without playwright the tests are skipped, not broken.
    from playwright.sync_api import expect

    expect.set_options(timeout=TIMEOUT_MS)
    yield from opened_pages(browser, url)
    expect.set_options(timeout=None)


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
    expect(backtest).to_contain_text("About to begin")
    expect(task.locator(".state")).to_have_text("labeled: cat")
    expect(task).to_have_class("task labeled")
    expect(page.locator("[data-live=batch_done]")).to_have_text("2")
    expect(page.get_by_role("link", name="Pause")).to_be_hidden()
    expect(page.get_by_role("link", name="Go on")).to_be_visible()
    expect(page.get_by_role("link", name="Run a backtest")).to_be_hidden()
    project.update_project(KEY, backtest=phases.RUNNING, backtest_done=1, backtest_total=4)
    bar = page.get_by_role("progressbar", name="Progress of the backtest")
    expect(bar).to_have_attribute("value", "25")
    expect(backtest).to_contain_text("Running")
    project.update_project(KEY, backtest="", backtest_at=1_700_000_000.0)
    ended = page.get_by_text("A backtest has ended")
    expect(ended).to_be_visible()
    expect(page.get_by_role("link", name="Run a backtest")).to_be_visible()


def class_name(number: int) -> str:
    """Some of 60 characters: Arabic in one word, emoji, and plain ones."""
    if number % 10 == 0:
        return (f"{number}" + "قطةطويلةالشعر" * 5)[:60]
    if number % 10 == 5:
        return (f"{number} " + "🐈🦜🐕‍🦺" * 12)[:60]
    return f"class {number}"


CLASSES = [class_name(number) for number in range(100)]


@pytest.fixture
def crowded(journal: Any, folder: Any) -> Any:
    """100 classes, each with a label, a task of the batch, and a task that measured the head."""
    confirm(journal, title=CLASSES[0], labeled=200, pool=100, last_error=f"no {'x' * 200}")
    kinds = {"labeled": 1000, "measured": 2000, "batch": 3000}
    for name, first in kinds.items():
        labels = [{} if name == "batch" else {"class_name": one} for one in CLASSES]
        tasks = [mirrored_task(first + row, **label) for row, label in enumerate(labels)]
        journal.tasks.put(KEY, tasks)
    journal.tunings.open(tuning_state(1, n_labeled=200))
    state = round_state(3, classes=CLASSES, statistics={"reason": "labels", "loss": 0.5})
    journal.open_round(state)
    journal.add_to_queue(
        state,
        [
            queued_task(row, 3000 + row, class_name=one, probability=0.5)
            for row, one in enumerate(CLASSES)
        ],
    )
    probabilities = dict.fromkeys(CLASSES, 0.001) | {CLASSES[0]: 0.9}
    draws = [Draw(2000 + row, 100 + row // 50, 0.1, probabilities) for row in range(100)]
    journal.audits.note(KEY, 3, draws)
    uri = f"https://pictures.example/{'long-' * 40}.png"
    journal.note_unreadable(KEY, [UnreadableTask(3000, uri, "gone", 1.0)])
    ids, row_of = np.arange(3000, 3100), np.arange(100)
    flips = {"critical_epsilons": np.full(100, 0.2, np.float32), "is_candidate": row_of < 50}
    flips |= {"flips_to": ((row_of + 5) % 100).astype(np.int32)}
    predicted = {"labels": row_of.astype(np.int32), "probabilities": np.full(100, 0.5, np.float32)}
    write_ranking(folder.ranking_file(3), Ranking(ids, row_of, **predicted, **flips))
    points = np.random.default_rng(0).random((100, 2)).astype(np.float32)
    write_map(folder.map_file(3), PoolMap(ids, points, 0, "pca"))
    folder.backtest.mkdir(parents=True)
    (folder.backtest / REPORT_NAME).write_text("strategy " + "0.123 " * 60)
    return journal


def check_layout(page: Any) -> None:
    """Nothing that axe finds, and nothing that makes the page wider than the window."""
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [WIDE, NARROW], ids=["wide", "narrow"])
def test_many_and_long_class_names_are_laid_out(crowded, open_page, scheme, viewport):
    page = open_page("/projects/12", color_scheme=scheme, viewport=viewport)
    assert page.locator(".bars tbody tr").count() >= len(CLASSES)
    page.locator("#health .findings").wait_for()
    page.locator("#accuracy .figure").first.wait_for()
    check_layout(page)
    page.get_by_role("link", name="Active learning").click()
    page.locator(".card").get_by_text("Accuracy").wait_for()
    check_layout(page)


@pytest.mark.parametrize(
    ("scheme", "viewport"), [("light", WIDE), ("dark", NARROW)], ids=["light", "dark"]
)
def test_axe_finds_nothing_before_there_is_a_round(journal, open_page, scheme, viewport):
    page = open_page("/", color_scheme=scheme, viewport=viewport)
    page.get_by_role("heading", name="Connect a project").wait_for()
    page.locator(".findings").wait_for()
    check_layout(page)
    confirm(journal)
    page.goto(f"{page.url}projects/12")
    page.get_by_text("No round yet").wait_for()
    page.locator(".findings").wait_for()
    check_layout(page)
    page.get_by_role("link", name="Pause").press("Enter")
    page.get_by_role("dialog").wait_for()
    check_layout(page)


@pytest.mark.parametrize(
    ("scheme", "viewport"), [("light", WIDE), ("dark", NARROW)], ids=["light", "dark"]
)
def test_settings_are_saved_or_refused_where_they_stand(project, open_page, scheme, viewport):
    from playwright.sync_api import expect

    page = open_page("/projects/12", color_scheme=scheme, viewport=viewport)
    budget = page.get_by_label("Labels a round")
    budget.fill("many")
    page.get_by_role("button", name="Save").press("Enter")
    expect(budget).to_have_attribute("aria-invalid", "true")
    page.locator(".findings").wait_for()
    check_layout(page)
    budget.fill("30")
    page.get_by_role("button", name="Save").press("Enter")
    page.wait_for_url("**/projects/12#settings")
    expect(budget).to_have_value("30")
    assert project.project(KEY).own_settings == {"budget": "30"}


def test_backtest_begins_when_its_question_is_answered(project, open_page):
    from playwright.sync_api import expect

    page = open_page("/projects/12")
    page.get_by_role("link", name="Run a backtest").press("Enter")
    page.get_by_role("dialog").get_by_role("button", name="Run the backtest").press("Enter")
    expect(page.get_by_text("About to begin")).to_be_visible()
    assert project.project(KEY).backtest == phases.REQUESTED
