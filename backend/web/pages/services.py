"""What the pages of one app work with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

from flask import abort, current_app

from backend.process.startup import folder_of
from backend.settings import Settings
from backend.web.pages.examinations import Examinations
from backend.web.pages.quality import Qualities
from backend.web.pages.selections import Selections
from backend.web.pages.thumbnails import Thumbnails
from backend.web.pages.turns import Turns
from model_store.journal import Journal, ProjectState
from model_store.project_folder import ProjectFolder

EXTENSION = "alfa-mix-pages"


@dataclass(frozen=True)
class Pages:
    """comparisons: of one image with a whole pool. warnings: what an admin should know by now."""

    settings: Settings
    journal: Journal
    selections: Selections
    thumbnails: Thumbnails
    comparisons: Turns
    examinations: Examinations
    qualities: Qualities
    warnings: Callable[[], Sequence[str]]

    def folder(self, state: ProjectState) -> ProjectFolder:
        """Where a project's files lie."""
        return ProjectFolder(folder_of(self.settings) / state.key)

    def project(self, project_id: int) -> ProjectState:
        """A confirmed project; else the answer is 404."""
        key = self.journal.key_of(str(project_id))
        state = None if key is None else self.journal.project(key)
        if state is None or not state.is_confirmed:
            abort(404, f"Project {project_id} is not connected to this backend.")
        return state


def pages() -> Pages:
    """Those of the app that answers."""
    return cast(Pages, current_app.extensions[EXTENSION])
