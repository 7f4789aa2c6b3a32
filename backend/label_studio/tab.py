"""The Data Manager's tab that shows the queue: what is labeled next, in rank order.

*Label Tasks As Displayed*, also by a link or bookmark, follows the tab's order, so the tab is a
second way into the queue. Label Studio sorts by the score of the version that the backend last
answered, tasks without one last. The tab names no version: a page that is open keeps the filters
that it loaded, and must not run dry when the queue flips.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from backend.label_studio.client import LabelStudioClient

TITLE = "Next to label (active learning)"
# Of tasks that an admin chose on the map.
SELECTION = "Chosen on the map (active learning)"
# Somebody may be looking at one, and Label Studio does not tell how old a tab is.
KEPT_SELECTIONS = 5
# Each is a condition, and SQLite takes no more than 1,000 within one another.
MAX_SELECTED = 900
# What Label Studio's page makes where there is no tab; else ours would be the first that opens.
DEFAULT = {"title": "Default"}


def make_tab(client: LabelStudioClient, project_id: int) -> int:
    """The id of a project's tab, made where it is not there yet."""
    tabs = client.tabs(project_id)
    for tab_id, title in tabs.items():
        if title == TITLE:
            return tab_id
    if not tabs:
        client.create_tab(project_id, DEFAULT)
    return client.create_tab(project_id, _shown())


def make_selection(client: LabelStudioClient, project_id: int, task_ids: Sequence[int]) -> int:
    """The id of a new tab of MAX_SELECTED tasks at most; the newest made before stay."""
    made = sorted(tab_id for tab_id, title in client.tabs(project_id).items() if title == SELECTION)
    for tab_id in made[: 1 - KEPT_SELECTIONS]:
        client.delete_tab(tab_id)
    # Not by one filter with all ids: the API takes that, and the Data Manager's page breaks.
    items = [_equal("id", task_id) for task_id in task_ids]
    return client.create_tab(
        project_id, {"title": SELECTION, "filters": {"conjunction": "or", "items": items}}
    )


def _shown() -> dict[str, Any]:
    unlabeled = [_equal("total_annotations", 0), _equal("cancelled_annotations", 0)]
    return {
        "title": TITLE,
        "ordering": ["tasks:predictions_score"],
        "filters": {"conjunction": "and", "items": unlabeled},
    }


def _equal(column: str, value: int) -> dict[str, Any]:
    return {
        "filter": f"filter:tasks:{column}",
        "operator": "equal",
        "type": "Number",
        "value": value,
    }
