"""What is known of a project, gathered from the journal for the rules of `due`."""

from __future__ import annotations

from backend.loop import queue_order
from backend.loop.context import ProjectContext, number_of
from backend.loop.due import START_TRAINING, Standing
from model_store.journal import RoundState


def standing_of(context: ProjectContext, published: RoundState | None) -> Standing:
    """A project's standing at this moment, with the queue of its published round."""
    journal, key = context.journal, context.key
    project = journal.project(key)
    assert project is not None
    counts = journal.tasks.counts(key)
    return Standing(
        labeled=counts.labeled,
        pool=counts.pool,
        unreadable=journal.unreadable_in_pool(key),
        embedded=project.embedded,
        tuning=number_of(journal.tunings.newest_done(key)),
        waiting=0 if published is None else journal.queue_progress(published).waiting,
        is_whole=journal.tasks.reading(key).is_whole and project.unembedded == 0,
        is_ranked=published is None or queue_order.is_ranked(context, published),
        classes=context.config.classes,
        budget=context.settings.labels_a_round(len(context.config.classes)),
        lookahead=context.settings.lookahead,
        label_changes=project.label_changes,
        training_requested=bool(project.training_requested),
        requested_round=journal.newest_round_for(key, START_TRAINING),
    )
