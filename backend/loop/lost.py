"""A round that the journal lost, found again: in Label Studio, whose queue follows it, and on disk.

The journal may have been lost with its copy. Label Studio's project still names the version of the
round, its predictions carry it, and the ranking lies in the project's folder.
"""

from __future__ import annotations

import logging

from backend.errors import StoreError
from backend.loop.context import ProjectContext
from backend.loop.due import Standing
from model_store import phases, versions
from model_store.checkpoints import load_checkpoint
from model_store.journal import RoundState
from model_store.project_folder import round_name
from model_store.rankings import Ranking, read_ranking

logger = logging.getLogger(__name__)

REASON = "it was found in Label Studio, the journal had lost it"


def lost_round(context: ProjectContext, standing: Standing) -> RoundState | None:
    """The round that a project's queue follows, to be read back; None where none can be had.

    The next one is due by the labels that came since its own, as if it had never been lost.
    """
    if not context.folder.has_rounds():
        return None
    project = context.client.project(context.project_id)
    version = "" if project is None else project.model_version
    number, labels = versions.round_number(version), versions.label_count(version)
    if number is None or labels is None:
        return None
    try:
        ranking = read_ranking(context.folder.ranking_file(number))
        checkpoint = _checkpoint(context, number, ranking)
    except StoreError as error:
        logger.warning("project %d: round %d stays lost: %s", context.project_id, number, error)
        return None
    new_labels = max(0, standing.labeled - labels)
    return RoundState(
        key=context.key,
        number=number,
        phase=phases.RECALL,
        strategy=context.settings.strategy,
        settings={},
        classes=list(context.config.classes),
        n_labeled=labels,
        n_pool=len(ranking),
        model_version=version,
        checkpoint=checkpoint,
        features_version=None,
        statistics={"reason": REASON},
        seconds={},
        started_at=context.journal.now(),
        finished_at=None,
        tuning=standing.tuning,
        n_embedded=standing.embedded,
        label_changes=standing.label_changes - new_labels,
    )


def _checkpoint(context: ProjectContext, number: int, ranking: Ranking) -> str | None:
    """The file name of the round's network; None where nothing was trained.

    StoreError: it cannot be read, or knows other classes than the label config has now.
    """
    if ranking.labels is None:
        return None
    path = context.folder.checkpoints / f"{round_name(number)}.safetensors"
    classes = load_checkpoint(path).card.get("classes")
    if classes != list(context.config.classes):
        raise StoreError(f"{path.name} was trained on {classes}")
    return path.name
