"""Opens a round: its number, its version, and what is noted of the settings.

Numbers are never used twice, since predictions in Label Studio are told apart by them.
"""

from __future__ import annotations

import logging

from backend.loop.context import ProjectContext, number_of
from backend.loop.due import FIRST_ROUND, Standing
from backend.loop.lost import lost_round
from backend.settings import Settings
from model_store import phases, versions
from model_store.journal import ProjectState, RoundState

logger = logging.getLogger(__name__)

# Of a round's statistics: what `newest_version` was when the round was read back.
NEWEST_VERSION = "newest_version"
NOTED_SETTINGS = (
    *("backbone", "image_px", "feature_blocks", "finetune", "head_lr", "block_lr", "epochs"),
    *("head", "budget", "epsilon", "seed", "lookahead", "audit", "preselect"),
)


def open_round(
    context: ProjectContext, project: ProjectState, standing: Standing, reason: str
) -> RoundState:
    """A new round on what is known now, in the journal; the next is due by what changed since.

    As the first one of a journal, the round that Label Studio's queue follows already.
    """
    journal, labels = context.journal, standing.labeled
    if reason == FIRST_ROUND and (found := lost_round(context, standing)) is not None:
        journal.open_round(found, looked_at=project.changed)
        return found
    number = _next_number(context)
    tuning = journal.tunings.newest_done(context.key)
    state = RoundState(
        key=context.key,
        number=number,
        phase=phases.SELECT,
        strategy=context.settings.strategy,
        settings=_noted_settings(context.settings),
        classes=list(context.config.classes),
        n_labeled=labels,
        n_pool=0,
        model_version=versions.model_version(number, labels),
        checkpoint=None,
        features_version=None,
        statistics={"reason": reason},
        seconds={},
        started_at=journal.now(),
        finished_at=None,
        tuning=number_of(tuning),
        n_embedded=standing.embedded,
        label_changes=standing.label_changes,
    )
    journal.open_round(state, looked_at=project.changed)
    return state


def open_again(context: ProjectContext, state: RoundState) -> RoundState:
    """A round that cannot go on, begun anew: what it published stays behind under its version."""
    number = _next_number(context)
    version = versions.model_version(number, state.n_labeled)
    logger.warning(
        "project %d: round %d cannot go on, it begins anew as round %d",
        *(context.project_id, state.number, number),
    )
    return context.journal.renumber_round(
        state, number=number, model_version=version, phase=phases.SELECT
    )


def newest_version(context: ProjectContext) -> int:
    """The highest number among the versions that predictions in Label Studio carry; -1: none."""
    found = map(versions.round_number, context.client.prediction_versions(context.project_id))
    return max((number for number in found if number is not None), default=-1)


def _next_number(context: ProjectContext) -> int:
    # Where the journal is a new one, or went back, predictions carry numbers that it does not know.
    latest = context.journal.latest_round(context.key)
    if latest is None:
        return newest_version(context) + 1
    return max(latest.number, latest.statistics.get(NEWEST_VERSION, -1)) + 1


def _noted_settings(settings: Settings) -> dict[str, str]:
    return {name: str(getattr(settings, name)) for name in NOTED_SETTINGS}
