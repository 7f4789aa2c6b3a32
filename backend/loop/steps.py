"""One round, step by step: select, publish, flip. It takes seconds, whatever is fine-tuned behind.

The journal names the step that comes next, and a step's result is on disk before the next begins:
a round that was interrupted anywhere goes on from its last finished step. Where that step's result
cannot be read any more, the round begins anew under another number.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping

from backend.errors import LabelStudioError
from backend.label_studio import tab
from backend.loop import publishing, queue_order, supply, sync
from backend.loop.context import ProjectContext
from backend.loop.opening import NEWEST_VERSION, newest_version, open_again
from backend.loop.ranking import Choice, choose
from model_store import phases
from model_store.checkpoints import save_checkpoint
from model_store.journal import RoundState
from model_store.project_folder import round_name
from model_store.rankings import write_ranking
from model_store.reasons import write_reasons
from model_store.scores import write_scores

logger = logging.getLogger(__name__)

# Where people label as fast as it is published, the flip does not wait for more.
MOST_PASSES = 4

Step = Callable[[ProjectContext, RoundState], RoundState]


def run(context: ProjectContext, state: RoundState) -> RoundState:
    """The round done, from the step that the journal names."""
    while state.phase != phases.DONE:
        if state.phase != phases.SELECT and not queue_order.is_ranked(context, state):
            state = open_again(context, state)
        started, phase = time.monotonic(), state.phase
        logger.info("project %d round %d: %s", context.project_id, state.number, phase)
        context.journal.set_phase(context.key, phase)
        state = STEPS[phase](context, state)
        seconds = {**state.seconds, phase: round(time.monotonic() - started, 3)}
        state = context.journal.update_round(state, seconds=seconds)
    return state


def recall(context: ProjectContext, state: RoundState) -> RoundState:
    """The round's queue as Label Studio holds it: the journal does not know what came last."""
    publishing.recall(context, state)
    statistics = {**state.statistics, NEWEST_VERSION: newest_version(context)}
    return context.journal.update_round(state, phase=phases.PUBLISH, statistics=statistics)


def select(context: ProjectContext, state: RoundState) -> RoundState:
    """The ranked pool, and the network whose head ranked it."""
    if list(state.classes) != list(context.config.classes):
        # Interrupted, and the label config was edited since.
        state = context.journal.update_round(state, classes=list(context.config.classes))
    choice = choose(context, state)
    checkpoint = _save_network(context, state, choice)
    if choice.scores is not None:
        write_scores(context.folder.scores_file(state.number), choice.scores)
    if choice.reasons is not None:
        write_reasons(context.folder.reasons_file(state.number), choice.reasons)
    write_ranking(context.folder.ranking_file(state.number), choice.ranking)
    context.journal.audits.note(state.key, state.number, choice.draws)
    return context.journal.update_round(
        state,
        phase=phases.PUBLISH,
        checkpoint=checkpoint,
        features_version=choice.features_version,
        n_pool=len(choice.ranking),
        statistics={**state.statistics, **choice.statistics},
    )


def publish(context: ProjectContext, state: RoundState) -> RoundState:
    """The head of the ranking in Label Studio: enough for whoever asks in the next seconds.

    People label on meanwhile, by the queue before, and what that served may be what this one begins
    with: so what is left of both is looked at after every few tasks.
    """
    for _ in range(MOST_PASSES):
        more = supply.publish_first(context, state)
        sync.read_changes(context)
        if not more and supply.serves_whoever_asks(context, state):
            break
    return context.journal.update_round(state, phase=phases.FLIP)


def flip(context: ProjectContext, state: RoundState) -> RoundState:
    """The project follows the round's version; what only older rounds needed is dropped."""
    journal = context.journal
    if journal.queue_progress(state).waiting:
        # It refuses a version that no prediction carries: somebody may have deleted them.
        if publishing.compare(context, state, most=None):
            return journal.update_round(state, phase=phases.PUBLISH)
        context.client.update_project(context.project_id, model_version=state.model_version)
        _show_queue(context)
    networks = (journal.tunings.newest_done(state.key), journal.tunings.newest(state.key))
    context.folder.drop_old_rounds({found.checkpoint or "" for found in networks if found})
    journal.forget_queues_before(state)
    return journal.update_round(state, phase=phases.DONE, finished_at=journal.now())


def _show_queue(context: ProjectContext) -> None:
    """Make the tab that shows the queue, once: who deletes it does not want it.

    A queue that cannot be looked at is a queue still.
    """
    project = context.journal.project(context.key)
    if project is None or project.tab_id is not None:
        return
    try:
        tab_id = tab.make_tab(context.client, context.project_id)
    except LabelStudioError as error:
        logger.warning("project %d: no tab that shows the queue: %s", context.project_id, error)
        return
    context.journal.update_project(context.key, tab_id=tab_id)


STEPS: Mapping[str, Step] = {
    phases.RECALL: recall,
    phases.SELECT: select,
    phases.PUBLISH: publish,
    phases.FLIP: flip,
}


def _save_network(context: ProjectContext, state: RoundState, choice: Choice) -> str | None:
    trained = choice.trained
    if trained is None:
        return None
    names = {"classes": list(state.classes), "model_version": state.model_version}
    card = {**trained.card, **names}
    name = round_name(state.number)
    return save_checkpoint(context.folder.checkpoints, name, trained.tensors, card).name
