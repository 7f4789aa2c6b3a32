"""Addresses of Label Studio's own pages."""

from __future__ import annotations

from backend.settings import Settings
from model_store.journal import ProjectState


def label_studio_url(settings: Settings, hostname: str = "") -> str:
    """Label Studio as a browser reaches it: what it calls itself, else as the backend reaches it.

    hostname: as a caller of /setup said it, who may be anybody.
    """
    is_url = hostname.startswith(("http://", "https://"))
    return (hostname if is_url else settings.label_studio_url).rstrip("/")


def data_url(settings: Settings, state: ProjectState) -> str:
    """The project's Data Manager."""
    return f"{label_studio_url(settings, state.hostname)}/projects/{state.project_id}/data"


def task_url(settings: Settings, state: ProjectState, task_id: int) -> str:
    """One task, open in the project's Data Manager."""
    return f"{data_url(settings, state)}?task={task_id}"
