"""Decides whether a project needs a new round, or a new network. Pure functions; no requests.

A round is due by labels, wherever in the queue they were given, and never by one person: what
somebody holds joins a later round.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from model_store.journal import RoundState
from model_store.tunings import Tuning

FIRST_ROUND = "the first round"
START_TRAINING = "training was requested"
CLASSES_CHANGED = "the classes changed"
NETWORK_READY = "a fine-tuned network is ready"
LABELS = "there are new labels"
POOL_GREW = "there are new images to choose from"
POOL_DONE = "the last task is labeled"
RANKING_LOST = "the ranking of the last round is missing or damaged"
# So many images tell enough of a pool for a first batch.
FIRST_IMAGES = 256
# Where all are embedded, so many more of them are worth a round of their own.
WHOLE_GROWTH = 0.1


@dataclass(frozen=True)
class Standing:
    """What is known of a project at one moment.

    labeled: tasks with a label that counts. pool: tasks with an image that wait for one, of which
        `unreadable` images cannot be had.
    embedded: tasks whose embedding is kept, labeled or not, under network number `tuning`.
    waiting: published tasks that nobody labeled yet.
    is_whole: whether every task was read and every image embedded, or found unreadable.
    is_ranked: whether the published round's ranking can be read.
    budget: labels a round. lookahead: the share of them that is worth a round.
    label_changes: how often a label came, was corrected or went.
    training_requested: whether somebody pressed Start Training since the last round began.
    requested_round: number of the newest round that somebody asked for, -1 where nobody did.
    """

    labeled: int
    pool: int
    unreadable: int
    embedded: int
    tuning: int
    waiting: int
    is_whole: bool
    is_ranked: bool
    classes: Sequence[str]
    budget: int
    lookahead: float
    label_changes: int
    training_requested: bool
    requested_round: int

    @property
    def selectable(self) -> int:
        """How many tasks could be chosen."""
        return min(self.pool - self.unreadable, self.embedded)

    @property
    def wanted_labels(self) -> int:
        """How many new labels are worth a round."""
        return max(1, math.ceil(self.budget * self.lookahead))


def round_due(standing: Standing, published: RoundState | None) -> str | None:
    """Why a new round is due after the published one, or None."""
    if published is None:
        return FIRST_ROUND if _is_enough_to_begin(standing) else None
    if not standing.is_ranked:
        return RANKING_LOST
    if standing.training_requested:
        return START_TRAINING
    if list(standing.classes) != list(published.classes):
        return CLASSES_CHANGED
    if standing.tuning > published.tuning:
        return NETWORK_READY
    new_labels = standing.label_changes - published.label_changes
    if new_labels >= standing.wanted_labels:
        return LABELS
    if _has_grown(standing, published):
        return POOL_GREW
    is_told = published.statistics.get("reason") == POOL_DONE and new_labels == 0
    # Also after the pool was empty: somebody may label what they had skipped.
    is_news = published.n_pool > 0 or new_labels > 0
    if standing.is_whole and standing.selectable <= 0 and is_news and not is_told:
        return POOL_DONE
    return None


def tuning_due(standing: Standing, newest: Tuning | None, *, has_two_classes: bool) -> bool:
    """Whether the network is worth fine-tuning on what was labeled since, or somebody asked."""
    if not has_two_classes:
        return False
    if newest is None:
        return standing.requested_round >= 0 or standing.labeled >= standing.wanted_labels
    if list(newest.classes) != list(standing.classes):
        return True
    new_labels = standing.label_changes - newest.label_changes
    if standing.requested_round > newest.statistics.get("round", -1):
        return new_labels > 0
    return new_labels >= standing.wanted_labels


def _is_enough_to_begin(standing: Standing) -> bool:
    if standing.is_whole:
        return True
    return standing.embedded >= max(FIRST_IMAGES, 2 * standing.budget)


def _has_grown(standing: Standing, published: RoundState) -> bool:
    """Whether a better batch can be chosen, from many more images, or the queue needs the new ones.

    While images are still to be embedded they must be twice as many; each time that costs a round.
    """
    new = standing.embedded - published.n_embedded
    if new > 0 and standing.is_whole and standing.waiting < standing.budget:
        return True
    share = WHOLE_GROWTH if standing.is_whole else 1.0
    return new >= max(standing.budget, share * published.n_embedded)
