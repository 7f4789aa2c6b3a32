"""Publishes a batch: one prediction per task under a new version, then one flip of the project.

Label Studio serves only tasks whose prediction carries `project.model_version`, ordered by how many
tasks of the prediction's cluster this user solved, then by ascending score. So all predictions of
a batch are written first, and the flip makes them the queue for everybody at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from backend.label_studio.client import LabelStudioClient, Project

# Cluster ids must differ between rounds: Label Studio counts a user's solved clusters over all
# versions, and takes the highest cluster of a task's predictions.
CLUSTERS_A_ROUND = 100_000


@dataclass(frozen=True)
class Priority:
    """One task's place in the queue: ascending `score` is first; `cluster` is a cluster_id."""

    task_id: int
    score: float
    cluster: int
    result: list[dict[str, Any]]


def cluster_id(round_number: int, cluster: int) -> int:
    """The id that Label Studio sees for a k-means cluster of a round."""
    return round_number * CLUSTERS_A_ROUND + cluster


def published(
    client: LabelStudioClient, project_id: int, version: str, task_ids: Sequence[int]
) -> dict[int, int]:
    """Prediction id per task, of those tasks that hold a prediction of this version already."""
    tasks = client.selected_tasks(project_id, task_ids, include="id,predictions")
    return {
        int(task["id"]): int(prediction["id"])
        for task in tasks
        for prediction in task.get("predictions") or []
        if prediction["model_version"] == version
    }


def publish(
    client: LabelStudioClient,
    project_id: int,
    version: str,
    priorities: Sequence[Priority],
    on_published: Callable[[int, int | None], None],
) -> None:
    """Store the predictions that Label Studio does not hold yet, in rank order.

    `on_published(task_id, prediction_id)` follows each at once; the id is None where the task is
    gone. A publication that was interrupted, or that a request without an answer ended, goes on
    with what is missing when it is called again: what is there is read back first.
    """
    found = published(client, project_id, version, [entry.task_id for entry in priorities])
    for entry in priorities:
        prediction_id = found.get(entry.task_id)
        if prediction_id is None:
            prediction_id = client.create_prediction(
                entry.task_id,
                result=entry.result,
                score=entry.score,
                cluster=entry.cluster,
                model_version=version,
            )
        on_published(entry.task_id, prediction_id)


def flip(client: LabelStudioClient, project: Project, version: str) -> bool:
    """Make a version the one that the queue follows; False where it is already."""
    if project.model_version == version:
        return False
    client.update_project(project.id, model_version=version)
    return True
