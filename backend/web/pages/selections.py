"""Tabs of the Data Manager with the tasks that an admin chose: a few at a time, or none."""

from __future__ import annotations

from collections.abc import Sequence

from backend.label_studio import tab
from backend.label_studio.access import Access
from backend.process.serve import WEB_THREADS
from backend.settings import Settings
from backend.web.pages.turns import Turns
from model_store.journal import ProjectState

# For each request; the admin may press again.
WITHIN_S = 10.0
# The other threads stay free for what Label Studio asks.
AT_ONCE = WEB_THREADS // 8


class Selections:
    """Has Label Studio show some tasks; safe to call from several threads."""

    def __init__(self, settings: Settings) -> None:
        self._access = Access(
            settings.label_studio_url,
            settings.label_studio_api_key,
            request_timeout_s=WITHIN_S,
            retries=0,
        )
        words = "Label Studio is slow to open what was asked for before; try again later"
        self._turns = Turns(AT_ONCE, words)

    def tab_of(self, state: ProjectState, task_ids: Sequence[int]) -> int:
        """The id of a new tab with these tasks. Busy. LabelStudioError."""
        with self._turns.take():
            client = self._access.client(state.access_token)
            return tab.make_selection(client, state.project_id, task_ids)
