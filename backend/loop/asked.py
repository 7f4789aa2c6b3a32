"""Brings what the admin asked for to the front of the queue that people are served from now."""

from __future__ import annotations

from collections.abc import Mapping

from backend.loop import publishing, queue_order
from backend.loop.context import ProjectContext
from model_store.journal import RoundState

# Requests a pass: other projects have their turn.
AT_ONCE = 32


def bring_forward(context: ProjectContext, state: RoundState) -> bool:
    """Move or publish some of it; whether there is more."""
    places = context.journal.asked.open_places(context.key)
    if not places:
        return False
    moves = _move(context, state, places)
    lacking = queue_order.asked_for(context, state, places)
    added = lacking[: AT_ONCE - moves]
    context.journal.add_to_queue(state, added)
    publishing.publish(context, state, added)
    return moves == AT_ONCE or len(added) < len(lacking)


def _move(context: ProjectContext, state: RoundState, places: Mapping[int, int]) -> int:
    """Give published tasks the place that they are to have; how many.

    Label Studio first: a move that was not noted is done again.
    """
    waiting = [
        task
        for task in context.journal.waiting_tasks(state)
        if places.get(task.task_id, task.rank) != task.rank
    ]
    for task in waiting[:AT_ONCE]:
        moved = queue_order.moved(context, task, places[task.task_id])
        assert moved.prediction_id is not None
        context.client.update_prediction(
            moved.prediction_id, score=moved.score, cluster=moved.cluster
        )
        context.journal.move_in_queue(state, moved)
    return len(waiting[:AT_ONCE])
