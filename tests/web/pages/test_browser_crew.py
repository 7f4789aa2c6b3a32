"""Three people label a batch through Label Studio's page; the backend's page counts as they do."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import pytest

from tests.loop.conftest import CLASSES
from tests.loop.test_browser import (
    SHOWN_TASK,
    label_all_tasks,
    labeled_project,
    sign_in,
    submit,
)
from tests.web.pages.test_browser import open_page

__all__ = ["open_page", "sign_in"]
pytestmark = [pytest.mark.label_studio, pytest.mark.browser, pytest.mark.soak]
BUDGET = 9


def shown_task(page: Any, place: int) -> int:
    """The task that Label Studio's page shows as the so-and-so-many-th that this person opened."""
    from playwright.sync_api import expect

    suffix = f"{place} of {place}"
    expect(page.locator(SHOWN_TASK)).to_have_text(re.compile(rf"^\d+{suffix}$"))
    return int(page.locator(SHOWN_TASK).text_content().removesuffix(suffix))


def matrix_of(page: Any) -> list[list[int]]:
    """The confusions as the page shows them: a row a label, a column what it was taken for."""
    page.locator("table.matrix").wait_for(state="attached")
    rows = page.locator("table.matrix tbody tr")
    return [
        [
            0 if text == "·" else int(text)
            for text in row.locator("td").all_text_contents()[: len(CLASSES)]
        ]
        for row in rows.all()
    ]


def test_audit_is_what_three_people_clicked_and_none_of_them_was_given_a_hint(
    label_studio, inline, sign_in, open_page
):
    worker = inline.worker_with(budget=BUDGET, audit=0.5)
    project_id = labeled_project(label_studio, labeled=9, unlabeled=40)
    key = inline.connect(project_id)
    batch = inline.reconcile(project_id, worker)["batch"]
    predicted = {one.draw.task_id: one.draw.predicted for one in inline.journal.audits.of(key)}
    assert predicted
    pages = []
    for _ in range(3):
        email, password, _token = label_studio.create_user()
        pages.append(sign_in(email, password))
        label_all_tasks(pages[-1], project_id)
    chosen: dict[int, str] = {}
    for number in range(BUDGET):
        page = pages[number % len(pages)]
        task_id = shown_task(page, 1 + number // len(pages))
        hints = [name for name in CLASSES if page.locator(f"input[name={name}]").is_checked()]
        assert len(hints) == (task_id not in predicted)
        # Whatever was predicted: some agree with it, some do not.
        chosen[task_id] = CLASSES[number % len(CLASSES)]
        submit(page, chosen[task_id])
    assert sorted(chosen) == sorted(batch)
    inline.reconcile(project_id, worker)
    counted = Counter((chosen[task_id], predicted[task_id]) for task_id in predicted)
    shown = open_page(f"/projects/{project_id}")
    assert matrix_of(shown) == [[counted[label, taken] for taken in CLASSES] for label in CLASSES]
    right = sum(chosen[task_id] == name for task_id, name in predicted.items())
    text = shown.locator(".figure", has_text="tasks drawn at random").text_content()
    assert f"from {len(predicted)} tasks" in text
    measured = shown.locator("[data-points=rounds] td").all_text_contents()
    assert [float(text) for text in measured[:2]] == [9, round(100 * right / len(predicted), 2)]
