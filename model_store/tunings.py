"""The networks that embed a project's pool: the pre-trained one, then one for each fine-tuning.

A network is done when the whole pool was embedded with it; from then on rounds choose from its
embeddings, and new tasks are embedded with it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from model_store import phases
from model_store.database import Database, columns_of, values_of
from model_store.schema import tuning

PRETRAINED = 0


@dataclass(frozen=True)
class Tuning:
    """One network of a project; `phase` names the step that comes next, or `done`.

    checkpoint: file name; None for the pre-trained network, and until the training is done.
    features_version: names its embeddings in the store; None as long.
    n_labeled: how many labels it was trained on. label_changes: the project's, by then.
    """

    key: str
    number: int
    phase: str
    checkpoint: str | None
    features_version: str | None
    classes: Sequence[str]
    n_labeled: int
    statistics: Mapping[str, Any]
    seconds: Mapping[str, float]
    started_at: float
    finished_at: float | None
    label_changes: int = 0


class Tunings:
    """The journal's table of networks."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def newest(self, key: str) -> Tuning | None:
        """The newest network of a project, done or under way; None before any fine-tuning."""
        return self._database.first(Tuning, self._of(key).order_by(tuning.c.number.desc()))

    def newest_done(self, key: str) -> Tuning | None:
        """The newest one that the whole pool went through; None stands for the pre-trained."""
        done = self._of(key).where(tuning.c.phase == phases.DONE)
        return self._database.first(Tuning, done.order_by(tuning.c.number.desc()))

    def get(self, key: str, number: int) -> Tuning | None:
        """One network by its number; None for the pre-trained and for an unknown one."""
        return self._database.first(Tuning, self._of(key).where(tuning.c.number == number))

    def open(self, state: Tuning) -> None:
        """Add a network that is about to be trained."""
        self._database.write(tuning.insert().values(**values_of(state)))

    def update(self, state: Tuning, **values: Any) -> Tuning:
        """Set columns of a network; the network as it is now."""
        here = (tuning.c.key == state.key) & (tuning.c.number == state.number)
        self._database.write(tuning.update().where(here).values(**values))
        return Tuning(**{**values_of(state), **values})

    def drop(self, state: Tuning) -> None:
        """Remove a network that turned out to be impossible: of classes that are gone."""
        here = (tuning.c.key == state.key) & (tuning.c.number == state.number)
        self._database.write(tuning.delete().where(here))

    def _of(self, key: str) -> sa.Select:
        return sa.select(*columns_of(Tuning, tuning)).where(tuning.c.key == key)
