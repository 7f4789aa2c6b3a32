"""What `/metrics` says: the journal, put into Prometheus' numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from model_store.journal import Journal, ProjectState


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


def _gauge(name: str, help: str, values: Sequence[tuple[ProjectState, float]]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(f"alfamix_{name}", help, labels=["project"])
    for state, value in values:
        family.add_metric([str(state.project_id)], float(value))
    return family
