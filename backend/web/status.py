"""What `/status` and `/metrics` say: the journal, put into words and numbers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from model_store.journal import Journal, ProjectState, RoundState

SHOWN_CHARACTERS = 120
STATE_PHASES = ("annotate", "pool-empty", "disconnected", "waiting")


def status(journal: Journal) -> dict[str, Any]:
    """The state of every project as `/status` shows it."""
    return {"projects": [_project(journal, state) for state in journal.projects()]}


def _project(journal: Journal, state: ProjectState) -> dict[str, Any]:
    latest = journal.latest_round(state.key)
    published = journal.published_round(state.key)
    queue = [] if published is None else journal.queue(published)
    return {
        "project_id": state.project_id,
        "key": state.key,
        "title": state.title,
        "connected": state.connected,
        "phase": state.phase,
        "progress": {"done": state.phase_done, "total": state.phase_total},
        "eta_s": remaining_s(state, journal.now()),
        "round": None if latest is None else latest.number,
        "model_version": None if published is None else published.model_version,
        "labeled": state.labeled,
        "skipped": state.skipped,
        "pool": state.pool,
        "batch": [task.task_id for task in queue if not task.is_reserve],
        "reserve": [task.task_id for task in queue if task.is_reserve],
        "unreadable": [
            {"task_id": task.task_id, "uri": shortened(task.uri), "reason": task.reason}
            for task in journal.unreadable(state.key)
        ],
        "last_round": None if published is None else _round(published),
        "last_error": state.last_error,
        "last_error_at": state.last_error_at,
    }


def shortened(uri: str) -> str:
    """A URI without its query, which may hold a signature, and without the body of a data: URI."""
    shown = uri if "/data/local-files/" in uri else uri.partition("?")[0]
    return shown if len(shown) <= SHOWN_CHARACTERS else shown[: SHOWN_CHARACTERS - 1] + "…"


def _round(state: RoundState) -> dict[str, Any]:
    return {
        "number": state.number,
        "labels": state.n_labeled,
        "pool": state.n_pool,
        "strategy": state.strategy,
        "settings": dict(state.settings),
        "statistics": dict(state.statistics),
        "seconds": dict(state.seconds),
        "started_at": state.started_at,
        "finished_at": state.finished_at,
    }


def remaining_s(state: ProjectState, now: float) -> float | None:
    """Seconds that a working phase still needs at its pace so far, or None where none is known."""
    if state.phase in STATE_PHASES or not 0 < state.phase_done <= state.phase_total:
        return None
    pace_s = (now - state.phase_started_at) / state.phase_done
    return round(pace_s * (state.phase_total - state.phase_done), 1)


class JournalCollector(Collector):
    """Prometheus metrics, read from the journal at every scrape."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def collect(self) -> Iterator[Metric]:
        states = self._journal.projects()
        for name in ("labeled", "skipped", "pool"):
            help = f"Tasks of the project that are {name}."
            yield _gauge(f"tasks_{name}", help, [(s, getattr(s, name)) for s in states])
        errors = [(state, state.last_error is not None) for state in states]
        yield _gauge("project_error", "1 where the last attempt ended with an error.", errors)
        connected = [(state, state.connected) for state in states]
        yield _gauge("project_connected", "1 where the project names this backend.", connected)
        published = [(state, self._journal.published_round(state.key)) for state in states]
        rounds = [(state, found.number) for state, found in published if found is not None]
        yield _gauge("round", "Number of the round that the queue follows.", rounds)
        seconds = GaugeMetricFamily(
            "alfamix_round_seconds",
            "Seconds of the last round's steps.",
            labels=["project", "step"],
        )
        for state, found in published:
            for step, value in (found.seconds if found else {}).items():
                seconds.add_metric([str(state.project_id), step], value)
        yield seconds


def metrics_registry(journal: Journal) -> CollectorRegistry:
    """A registry with nothing but the journal's metrics."""
    registry = CollectorRegistry()
    registry.register(JournalCollector(journal))
    return registry


def _gauge(name: str, help: str, values: list[tuple[ProjectState, float]]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(f"alfamix_{name}", help, labels=["project"])
    for state, value in values:
        family.add_metric([str(state.project_id)], float(value))
    return family
