"""What the admin and an annotator see: Label Studio's own pages in headless Chromium."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from backend.harness.annotate import choice
from tests.loop.conftest import (
    CLASSES,
    LABEL_CONFIG,
    colored_tasks,
    predictions_of,
    project_of,
)

pytestmark = [pytest.mark.label_studio, pytest.mark.browser]

TIMEOUT_MS = 120_000
# The task's id with "1 of 1" right behind it: its place among the tasks this person opened.
SHOWN_TASK = ".lsf-current-task__task-id"
WINDOW = {"width": 1300, "height": 850}
TWO_CHOICES = """<View>
  <Image name="image" value="$image"/>
  <Choices name="color" toName="image"><Choice value="red"/><Choice value="blue"/></Choices>
  <Choices name="shape" toName="image"><Choice value="disk"/><Choice value="box"/></Choices>
</View>"""


@pytest.fixture
def sign_in(browser: Any, label_studio: Any) -> Iterator[Callable[[str, str], Any]]:
    """Makes the pages of people who signed in; each has cookies of their own."""
    # Imported here: without playwright the tests are skipped, not broken.
    from playwright.sync_api import expect

    expect.set_options(timeout=TIMEOUT_MS)
    contexts = []

    def make(email: str, password: str) -> Any:
        options = {"base_url": label_studio.url, "viewport": WINDOW, "service_workers": "block"}
        contexts.append(browser.new_context(**options))
        page = contexts[-1].new_page()
        page.set_default_timeout(TIMEOUT_MS)
        open_page(page, "/user/login/")
        page.fill("input[name=email]", email)
        page.fill("input[name=password]", password)
        press(page.locator("button[type=submit]"))
        page.wait_for_url(lambda url: "/user/login" not in url, wait_until="commit")
        return page

    yield make
    for context in contexts:
        context.close()
    expect.set_options(timeout=None)


@pytest.fixture
def admin_page(sign_in: Callable[[str, str], Any], label_studio: Any) -> Any:
    """A page of the signed-in admin."""
    return sign_in(label_studio.admin.email, label_studio.admin.password)


def open_page(page: Any, path: str) -> None:
    """Go to a page without waiting for what it loads from the internet; locators wait."""
    page.goto(path, wait_until="commit")


def press(button: Any) -> None:
    """Press a button by the keyboard: a click waits for two frames, which a busy machine delays."""
    button.press("Enter")


def connect_model(page: Any, project_id: int, url: str) -> None:
    """Settings > Model: paste the URL, press Validate and Save."""
    open_page(page, f"/projects/{project_id}/settings/ml")
    press(page.locator("button", has_text="Connect Model"))
    page.fill("input[name=title]", "ALFA-Mix")
    page.fill("input[name=url]", url)
    press(page.locator("button", has_text="Validate and Save"))


def label_all_tasks(page: Any, project_id: int) -> None:
    """The data manager: press Label All Tasks."""
    open_page(page, f"/projects/{project_id}/data")
    press(page.locator("button", has_text="Label All Tasks"))


def submit(page: Any, class_name: str) -> None:
    """Choose a class and submit, both by their hotkeys; returns when it is stored."""
    from playwright.sync_api import expect

    choice_box = page.locator(f"input[name={class_name}]")
    if not choice_box.is_checked():
        page.keyboard.press(str(CLASSES.index(class_name) + 1))
    expect(choice_box).to_be_checked()
    with page.expect_response(
        lambda reply: reply.request.method == "POST" and "/annotations" in reply.url
    ):
        page.keyboard.press("Control+Enter")


def labeled_project(label_studio: Any, labeled: int, unlabeled: int) -> int:
    """A project whose first tasks come with an annotation of their true class."""
    project_id = label_studio.create_project(LABEL_CONFIG)
    tasks: list[dict[str, Any]] = [{"data": data} for data in colored_tasks(labeled + unlabeled)]
    for task in tasks[:labeled]:
        task["annotations"] = [{"result": choice(task["data"]["truth"])}]
    label_studio.api.call("POST", f"/api/projects/{project_id}/import", json=tasks)
    return project_id


def chosen_by(task: dict[str, Any], email: str) -> list[str]:
    """The classes that `email` chose in a task."""
    mine = [a for a in task["annotations"] if email in a["created_username"]]
    return [a["result"][0]["value"]["choices"][0] for a in mine]


def test_queue_is_published_when_the_admin_pastes_the_url(
    label_studio, inline, colored_project, admin_page
):
    from playwright.sync_api import expect

    project_id, _ = colored_project(30)
    connect_model(admin_page, project_id, inline.url)
    expect(admin_page.get_by_text("Connected", exact=True)).to_be_visible()
    expect(admin_page.get_by_text(inline.url, exact=True)).to_be_visible()
    status = inline.reconcile(project_id)
    project = project_of(label_studio, project_id)
    assert project["sampling"] == "Uncertainty sampling"
    assert project["model_version"] == status["model_version"] == "alfa-mix r0 · 0 labels"
    assert len(status["batch"]) == 6


def test_batch_is_labeled_in_rank_order_when_an_annotator_uses_the_page(
    label_studio, inline, sign_in
):
    from playwright.sync_api import expect

    project_id = labeled_project(label_studio, labeled=9, unlabeled=24)
    inline.connect(project_id)
    status = inline.reconcile(project_id)
    assert status["model_version"] == "alfa-mix r0 · 9 labels"
    predicted = {
        prediction["task"]: prediction["result"][0]["value"]["choices"][0]
        for prediction in predictions_of(label_studio, project_id)
    }
    email, password, _token = label_studio.create_user()
    page = sign_in(email, password)
    label_all_tasks(page, project_id)
    for rank, task_id in enumerate(status["batch"], start=1):
        expect(page.locator(SHOWN_TASK)).to_have_text(f"{task_id}{rank} of {rank}")
        for class_name in CLASSES:
            box = page.locator(f"input[name={class_name}]")
            expect(box).to_be_checked(checked=class_name == predicted[task_id])
        # Every other prediction is corrected, the rest are confirmed.
        other = next(name for name in CLASSES if name != predicted[task_id])
        chosen = other if rank % 2 else predicted[task_id]
        submit(page, chosen)
        task = label_studio.api.call("GET", f"/api/tasks/{task_id}")
        assert chosen_by(task, email) == [chosen]
    assert inline.reconcile(project_id)["model_version"] == "alfa-mix r1 · 15 labels"


def test_admin_is_told_why_when_the_label_config_is_unsupported(label_studio, inline, admin_page):
    from playwright.sync_api import expect

    project_id = label_studio.create_project(TWO_CHOICES)
    connect_model(admin_page, project_id, inline.url)
    told = admin_page.locator(".lsf-error-message").first
    expect(told).to_contain_text("found 2 Choices; needed is one Image")
