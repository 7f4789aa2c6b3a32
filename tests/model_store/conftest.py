"""Journals in a SQLite file and in a PostgreSQL: the same tests hold for both."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from model_store.database import Clock
from model_store.journal import Journal, url_of
from model_store.leases import Lease

BOTH = ("sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql))
OpenJournal = Callable[..., Journal]


@pytest.fixture(params=BOTH)
def journal_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where a journal that is not there yet may be opened."""
    if request.param == "sqlite":
        return url_of(tmp_path / "journal.sqlite")
    return request.getfixturevalue("database_url")


@pytest.fixture
def open_journal(journal_url: str) -> Iterator[OpenJournal]:
    """Opens the journal of the test, again and again; they close with the test."""
    opened: list[Journal] = []

    def open_it(clock: Clock = time.time) -> Journal:
        opened.append(Journal(journal_url, clock))
        return opened[-1]

    yield open_it
    for journal in opened:
        journal.close()


def execute(url: str, *statements: str, **values: Any) -> list[Any]:
    """Execute statements on a journal's database; the rows of the last one, if it has any."""
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        for statement in statements:
            result = connection.execute(sa.text(statement), values)
        rows = list(result.all()) if result.returns_rows else []
    engine.dispose()
    return rows


def held(journal: Journal, key: str, holder: str = "one") -> Lease:
    """A project's lease, which nobody held."""
    lease = journal.leases(holder).take(key)
    assert lease is not None
    return lease
