"""Label Studio's queue: which tasks it serves in which order, and the version it follows.

Label Studio serves only tasks whose prediction carries `project.model_version`, ordered by how many
tasks of the prediction's cluster this user solved, then by ascending score. Where all of those are
held by others it turns people away, and where none is left it serves any task. So the first
predictions of a batch are written, the flip makes them the queue for everybody at once, and the
others follow faster than people label.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from backend.label_studio.answers import PredictedTask
from backend.label_studio.client import LabelStudioClient, Project

# Cluster ids must differ between rounds: Label Studio counts a user's solved clusters over all
# versions, and takes the highest cluster of a task's predictions.
CLUSTERS_A_ROUND = 100_000


def cluster_id(round_number: int, cluster: int) -> int:
    """The id that Label Studio sees for a cluster of a round."""
    return round_number * CLUSTERS_A_ROUND + cluster % CLUSTERS_A_ROUND


def round_of_cluster(cluster: int) -> int:
    """The number of the round that a cluster's id was made for."""
    return cluster // CLUSTERS_A_ROUND


def score(rank: int, batch_size: int) -> float:
    """A rank as a score from -1 to 1: it grows with the rank and never ends, as a queue does.

    Ranks below 0 come before all others.
    """
    return rank / (abs(rank) + batch_size)


def published(
    client: LabelStudioClient, project_id: int, version: str, task_ids: Sequence[int]
) -> dict[int, list[int]]:
    """The ids of this version's predictions by task, of those of the tasks that hold any.

    They ascend, and there is one unless a request was stored twice.
    """
    return _of_version(client.selected_predictions(project_id, task_ids), version)


def all_published(client: LabelStudioClient, project_id: int, version: str) -> dict[int, list[int]]:
    """The same of all tasks of a project. Label Studio looks at all of their predictions."""
    return _of_version(client.predictions_of_version(project_id, version), version)


def _of_version(tasks: Iterable[PredictedTask], version: str) -> dict[int, list[int]]:
    found = {
        task["id"]: sorted(
            prediction["id"]
            for prediction in task.get("predictions") or []
            if prediction["model_version"] == version
        )
        for task in tasks
    }
    return {task_id: ids for task_id, ids in found.items() if ids}


def flip(client: LabelStudioClient, project: Project, version: str) -> bool:
    """Make a version the one that the queue follows; False where it is already."""
    if project.model_version == version:
        return False
    client.update_project(project.id, model_version=version)
    return True
