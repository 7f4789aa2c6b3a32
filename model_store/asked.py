"""Tasks that the admin wants labeled first, whatever the strategy chose."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from model_store.database import Database
from model_store.schema import asked, task


class Asked:
    """The journal's table of them. What was asked for last comes first."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def first(self, key: str, task_ids: Sequence[int]) -> None:
        """Put tasks before all others, in this order; those asked for before come after them."""
        ids = list(dict.fromkeys(task_ids))
        least = sa.select(sa.func.min(asked.c.place)).where(asked.c.key == key)
        with self._database.transaction(alone=True) as connection:
            place = connection.execute(least).scalar()
            start = (0 if place is None else int(place)) - len(ids)
            here = (asked.c.key == key) & asked.c.task_id.in_(ids)
            connection.execute(asked.delete().where(here))
            rows = [
                {"key": key, "task_id": task_id, "place": start + number}
                | {"asked_at": self._database.now()}
                for number, task_id in enumerate(ids)
            ]
            if rows:
                connection.execute(asked.insert(), rows)

    def take_back(self, key: str) -> None:
        """Ask for no task of a project any more."""
        self._database.write(asked.update().where(asked.c.key == key).values(asked_at=0.0))

    def open_places(self, key: str) -> dict[int, int]:
        """The place of each task that waits for a label still, all below 0: the least comes first.

        They are in the order of their places.
        """
        statement = (
            sa.select(asked.c.task_id, asked.c.place)
            .join(task, (task.c.key == asked.c.key) & (task.c.task_id == asked.c.task_id))
            .where(asked.c.key == key, asked.c.asked_at > 0)
            .where(sa.not_(task.c.is_done), sa.not_(task.c.is_skipped))
            .order_by(asked.c.place)
        )
        return {row.task_id: row.place for row in self._database.rows(statement)}
