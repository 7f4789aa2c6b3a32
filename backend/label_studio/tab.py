"""The Data Manager's tab that shows the queue: what is labeled next, in rank order.

*Label Tasks As Displayed*, also by a link or bookmark, follows the tab's order, so the tab is a
second way into the queue. Label Studio averages the score over predictions of the version that the
backend last answered, which is the one that the tab shows.
"""

from __future__ import annotations

from typing import Any

from backend.label_studio.client import LabelStudioClient

TITLE = "Next to label (active learning)"
# What Label Studio's page makes where there is no tab; else ours would be the first that opens.
DEFAULT = {"title": "Default"}


def keep_tab(client: LabelStudioClient, project_id: int, tab_id: int | None, version: str) -> int:
    """The id of the tab, now on a version; it is made once, and not again where it was deleted."""
    if tab_id is not None:
        client.update_tab(tab_id, _shown(version))
        return tab_id
    tabs = client.tabs(project_id)
    made_before = next((found for found, title in tabs.items() if title == TITLE), None)
    if made_before is not None:
        client.update_tab(made_before, _shown(version))
        return made_before
    if not tabs:
        client.create_tab(project_id, DEFAULT)
    return client.create_tab(project_id, _shown(version))


def _shown(version: str) -> dict[str, Any]:
    return {
        "title": TITLE,
        "ordering": ["tasks:predictions_score"],
        "filters": {
            "conjunction": "and",
            "items": [
                {
                    "filter": "filter:tasks:predictions_model_versions",
                    "operator": "contains",
                    "type": "List",
                    "value": [version],
                },
                {
                    "filter": "filter:tasks:total_annotations",
                    "operator": "equal",
                    "type": "Number",
                    "value": 0,
                },
                {
                    "filter": "filter:tasks:cancelled_annotations",
                    "operator": "equal",
                    "type": "Number",
                    "value": 0,
                },
            ],
        },
    }
