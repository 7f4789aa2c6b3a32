"""The Data Manager's tab that shows the queue: what is labeled next, in rank order.

*Label Tasks As Displayed*, also by a link or bookmark, follows the tab's order, so the tab is a
second way into the queue. Label Studio sorts by the score of the version that the backend last
answered, tasks without one last. The tab names no version: a page that is open keeps the filters
that it loaded, and must not run dry when the queue flips.
"""

from __future__ import annotations

from typing import Any

from backend.label_studio.client import LabelStudioClient

TITLE = "Next to label (active learning)"
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


def _shown() -> dict[str, Any]:
    unlabeled = [_none_of("total_annotations"), _none_of("cancelled_annotations")]
    return {
        "title": TITLE,
        "ordering": ["tasks:predictions_score"],
        "filters": {"conjunction": "and", "items": unlabeled},
    }


def _none_of(column: str) -> dict[str, Any]:
    return {
        "filter": f"filter:tasks:{column}",
        "operator": "equal",
        "type": "Number",
        "value": 0,
    }
