"""The pages in headless Chromium, beside a real Label Studio."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from model_store import phases
from tests.loop.test_browser import SHOWN_TASK, labeled_project, sign_in

__all__ = ["sign_in"]
pytestmark = [pytest.mark.label_studio, pytest.mark.browser]

TIMEOUT_MS = 60_000
WIDE, NARROW = {"width": 1300, "height": 850}, {"width": 375, "height": 800}


def opened_pages(browser: Any, url: str) -> Iterator[Callable[..., Any]]:
    """What opens the pages of a backend, whose console must stay silent."""
    contexts, complaints = [], []

    def note(said: Any) -> None:
        if "Content Security" in said.text and said.location["url"].startswith(url):
            complaints.append(said.text)

    def make(path: str, **options: Any) -> Any:
        contexts.append(browser.new_context(**({"viewport": WIDE} | options)))
        page = contexts[-1].new_page()
        page.set_default_timeout(TIMEOUT_MS)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", note)
        page.goto(url + path, wait_until="domcontentloaded")
        return page

    yield make
    for context in contexts:
        context.close()
    assert not complaints


@pytest.fixture
def open_page(browser: Any, inline: Any) -> Iterator[Callable[..., Any]]:
    """Opens the pages of the backend beside Label Studio."""
    yield from opened_pages(browser, inline.url)


@pytest.fixture
def project_id(label_studio: Any, inline: Any) -> int:
    """A project with a round on nine labels, its map, and a queue."""
    made = labeled_project(label_studio, labeled=9, unlabeled=24)
    inline.connect(made)
    inline.reconcile(made)
    return made


def test_page_of_a_running_round_changes_by_itself(inline, project_id, open_page):
    from playwright.sync_api import expect

    page = open_page(f"/projects/{project_id}")
    expect(page.locator("[data-live=phase]")).to_have_text("People label")
    key = inline.key(project_id)
    inline.journal.set_phase(key, phases.SELECT, 30, 120)
    expect(page.locator("[data-live=phase]")).to_have_text(
        "Choosing what to label next", timeout=TIMEOUT_MS
    )
    bar = page.locator("progress[data-live=percent]")
    expect(bar).to_have_attribute("value", "25")
    inline.journal.set_phase(key, phases.SELECT, 60, 120)
    expect(bar).to_have_attribute("value", "50", timeout=TIMEOUT_MS)
    inline.journal.set_phase(key, phases.ANNOTATE)


def test_thumbnail_leads_to_its_task(inline, project_id, open_page, sign_in, label_studio):
    from playwright.sync_api import expect

    page = open_page(f"/projects/{project_id}")
    task_id = inline.status(project_id)["batch"][2]
    link = page.locator(".picture").nth(2)
    image = link.locator("img")
    image.scroll_into_view_if_needed()
    page.wait_for_function("image => image.naturalWidth > 1", arg=image.element_handle())
    label_studios = sign_in(label_studio.admin.email, label_studio.admin.password)
    label_studios.goto(link.get_attribute("href"), wait_until="commit")
    expect(label_studios.locator(SHOWN_TASK)).to_contain_text(str(task_id))


def test_buttons_work_by_keyboard(inline, project_id, open_page):
    from playwright.sync_api import expect

    page, key = open_page(f"/projects/{project_id}"), inline.key(project_id)
    page.get_by_role("link", name="Pause").press("Enter")
    dialog = page.get_by_role("dialog", name="Pause this project?")
    expect(dialog).to_be_visible()
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    assert not inline.journal.project(key).is_paused
    page.get_by_role("link", name="Pause").press("Enter")
    dialog.get_by_role("button", name="Pause").press("Enter")
    page.get_by_role("link", name="Go on").wait_for()
    assert inline.journal.project(key).is_paused
    inline.journal.update_project(key, is_paused=False)


def test_question_is_asked_once_when_its_button_is_pressed_twice(inline, project_id, open_page):
    page = open_page(f"/projects/{project_id}")
    page.get_by_role("link", name="Pause").evaluate("link => { link.click(); link.click(); }")
    page.get_by_role("dialog", name="Pause this project?").wait_for()
    page.wait_for_load_state("networkidle")
    assert page.locator("dialog").count() == 1


def test_button_leads_to_the_question_when_it_cannot_be_fetched(inline, project_id, open_page):
    page = open_page(f"/projects/{project_id}")
    asked: list[str] = []

    def lose_the_first(route: Any) -> None:
        asked.append(route.request.url)
        route.abort() if len(asked) == 1 else route.continue_()

    page.route("**/confirm/pause", lose_the_first)
    page.get_by_role("link", name="Pause").press("Enter")
    page.wait_for_url("**/confirm/pause")
    page.get_by_role("heading", name="Pause this project?").wait_for()


def test_question_is_a_page_when_there_is_no_script(inline, project_id, open_page):
    page = open_page(f"/projects/{project_id}", java_script_enabled=False)
    page.get_by_role("link", name="Start a round now").click()
    page.get_by_role("button", name="Start a round").click()
    page.get_by_role("heading", name="This batch").wait_for()
    assert inline.journal.project(inline.key(project_id)).training_requested


def test_points_of_the_map_come_first(inline, project_id, open_page):
    from playwright.sync_api import expect

    page, key = open_page(f"/projects/{project_id}"), inline.key(project_id)
    canvas = page.locator("canvas[aria-label='Map of the pool']")
    expect(page.locator(".map")).not_to_have_attribute("aria-busy", "true")
    canvas.focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator("#map-said")).to_contain_text("Task")
    page.keyboard.press("Enter")
    # The 24 that wait for a label, by their embeddings; the map has 33 points.
    expect(page.locator("#map-said")).to_contain_text("24 images are chosen")
    page.get_by_role("button", name="Put first in the queue").press("Enter")
    page.wait_for_url(lambda url: url.endswith("#batch"))
    assert inline.journal.asked.open_places(key)


def test_images_beyond_what_a_form_may_name_are_left_out_last(inline, project_id, open_page):
    from playwright.sync_api import expect

    count, kinds = 1_000, [0, 1, 2, 3]
    points = {
        "task_ids": list(range(1, count + 1)),
        "x": [0.5] * count,
        "y": [0.5] * count,
        "kinds": [kinds[number // 250] for number in range(count)],
        "labels": [""] * count,
        "kind": "pca",
    }
    page = open_page("/")
    page.route("**/map", lambda route: route.fulfill(json=points))
    page.goto(f"{inline.url}/projects/{project_id}", wait_until="domcontentloaded")
    expect(page.locator(".map")).not_to_have_attribute("aria-busy", "true")
    # What is above the map has its height by then.
    expect(page.locator("[data-loads]")).not_to_contain_text("Measuring")
    canvas = page.locator("canvas[aria-label='Map of the pool']")
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x - 40, y - 40)
    page.mouse.down()
    for right, down in [(40, -40), (40, 40), (-40, 40), (-40, -39)]:
        page.mouse.move(x + right, y + down)
    page.mouse.up()
    expect(page.locator("#map-said")).to_have_text(
        "900 of 1,000 images are chosen, selected and candidates first."
    )
    chosen = page.locator("input[name=task_ids]").input_value().split(",")
    # Selected, candidates, others; of those that are labeled the last ones are left out.
    assert chosen[:250] == [str(task) for task in range(751, 1001)]
    assert chosen[250:500] == [str(task) for task in range(251, 501)]
    assert chosen[500:750] == [str(task) for task in range(1, 251)]
    assert chosen[750:] == [str(task) for task in range(501, 651)]


def test_button_leads_to_the_chosen_tasks_in_label_studio(
    inline, project_id, open_page, label_studio
):
    from playwright.sync_api import expect

    page = open_page(f"/projects/{project_id}")
    expect(page.locator(".map")).not_to_have_attribute("aria-busy", "true")
    page.locator("canvas[aria-label='Map of the pool']").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Open in the Data Manager").press("Enter")
    # Label Studio asks who that is first.
    page.wait_for_url(lambda url: url.startswith(label_studio.url), wait_until="commit")
    assert f"projects/{project_id}/data" in page.url


def test_form_that_is_open_is_taken_after_a_link_from_elsewhere(inline, project_id, open_page):
    page, path = open_page(f"/projects/{project_id}"), f"{inline.url}/projects/{project_id}"
    chat = page.context.new_page()
    link = {"content_type": "text/html", "body": f"<a href='{path}'>look</a>"}
    chat.route("http://chat.example/", lambda route: route.fulfill(**link))
    chat.goto("http://chat.example/")
    chat.get_by_role("link").click()
    chat.get_by_role("heading", name="This batch").wait_for()
    page.get_by_label("Labels a round").fill("7")
    page.get_by_role("button", name="Save").press("Enter")
    page.wait_for_url(lambda url: url.endswith("#settings"))
    key = inline.key(project_id)
    assert inline.journal.project(key).own_settings == {"budget": "7"}
    inline.journal.update_project(key, own_settings={})


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [WIDE, NARROW], ids=["wide", "narrow"])
def test_axe_finds_nothing(inline, project_id, open_page, scheme, viewport):
    from axe_playwright_python.sync_playwright import Axe

    paths = ["/", f"/projects/{project_id}", f"/projects/{project_id}/confirm/train", "/projects/0"]
    page = open_page("/", color_scheme=scheme, viewport=viewport)
    for path in paths:
        page.goto(inline.url + path, wait_until="load")
        page.wait_for_timeout(300)
        found = Axe().run(page)
        assert found.violations_count == 0, found.generate_report()
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
