"""The page of all projects."""

from __future__ import annotations

from collections.abc import Sequence

from backend.settings import Settings
from backend.web.pages.contexts import HomePage, ProjectCard
from backend.web.pages.links import data_url, label_studio_url
from backend.web.pages.progress import progress_of, published_number
from model_store.journal import Journal, ProjectState


def home_page(
    settings: Settings, journal: Journal, own_url: str, warnings: Sequence[str]
) -> HomePage:
    """All projects that Label Studio confirmed. own_url: where the browser found this backend."""
    return HomePage(
        cards=cards(settings, journal),
        backend_url=settings.public_url or own_url,
        label_studio_url=label_studio_url(settings),
        warnings=warnings,
    )


def cards(settings: Settings, journal: Journal) -> list[ProjectCard]:
    """A card for each project; what a stranger may have made up has none."""
    return [_card(settings, journal, state) for state in journal.projects() if state.is_confirmed]


def _card(settings: Settings, journal: Journal, state: ProjectState) -> ProjectCard:
    return ProjectCard(
        project_id=state.project_id,
        title=state.title or f"Project {state.project_id}",
        is_connected=state.connected,
        label_studio_url=data_url(settings, state),
        progress=progress_of(journal, state, published_number(journal, state.key)),
    )
