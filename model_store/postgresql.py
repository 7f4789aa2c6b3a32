"""What is PostgreSQL's own: how it is reached, and what its refusals say of the journal.

The driver is imported where a PostgreSQL is asked for, and nowhere else.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from backend.errors import JournalError, JournalLockedError

logger = logging.getLogger(__name__)

# Whatever does not answer is given up within seconds, where the server's machine is gone.
# libpq's names; those that the URL sets count.
PATIENCE: Mapping[str, int] = {
    "connect_timeout": 5,
    "keepalives_idle": 5,
    "keepalives_interval": 3,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,  # ms
}
# A server that stands still is given up after so long, and after the longest that a lock is waited
# for. Where nobody waits for locks, somebody waits for the page: then so is a connection.
ANSWER_S = 5.0
HURRIED_CONNECT_S = 2
# A process that stands still within a transaction (it was stopped, its machine is gone) loses it,
# and with it the rows that it locked.
STALLED_MS = 5_000
# The web process answers with 16 threads, the worker publishes with up to 16 beside its own.
CONNECTIONS = {"pool_size": 4, "max_overflow": 24}
# Of the lock that processes take turns by which change the tables: any number that is ours alone.
TURNS = 0x_A1FA_0001

# SQLSTATE, or the class of it, and what it says of the journal.
NO_ANSWER = "cannot be reached: PostgreSQL does not answer"
REFUSALS: Mapping[str, str] = {
    "": NO_ANSWER,
    "08": NO_ANSWER,
    "25006": "cannot be written: PostgreSQL is read-only",
    "25P03": "cannot be written: a transaction stood still for too long",
    "28": "cannot be opened: PostgreSQL refuses the user or the password",
    "3D": "cannot be opened: PostgreSQL has no such database",
    "40": "was changed by two processes at once",
    "42": "lacks a table or a column",
    "42501": "cannot be opened or written: the user has no right to",
    "53": "cannot be written: PostgreSQL has no space, memory or connections left",
    "55P03": "is locked by another process",
    "57P": "cannot be reached: PostgreSQL is being stopped or started",
}
LOCKED = "55P03"
OTHERWISE = "cannot be read or written"


def create_engine(url: str, busy_s: float) -> sa.Engine:
    """An engine whose connections wait for another process's lock for `busy_s` seconds.

    A server that does not answer is waited for a little longer.
    """
    from model_store.patient_connection import patient_connection

    address = sa.make_url(url)
    wanted = dict(PATIENCE)
    if busy_s < ANSWER_S:
        wanted["connect_timeout"] = HURRIED_CONNECT_S
    patience = {name: value for name, value in wanted.items() if name not in address.query}
    engine = sa.create_engine(
        address.set(drivername="postgresql+psycopg"),
        connect_args=patience,
        pool_pre_ping=True,  # a PostgreSQL that was restarted is found before it is asked anything
        hide_parameters=True,
        **CONNECTIONS,
    )
    # 0 would be for ever.
    limits = {
        "lock_timeout": max(1, round(busy_s * 1000)),
        "idle_in_transaction_session_timeout": STALLED_MS,
    }
    kind = patient_connection(busy_s + ANSWER_S)
    sa.event.listen(engine, "do_connect", lambda _, __, words, names: kind.connect(*words, **names))
    sa.event.listen(engine, "connect", lambda connection, _: _limit(connection, limits))
    return engine


def take_turns(connection: sa.Connection) -> None:
    """Take a lock before the first look: processes that change the tables take turns."""
    connection.execute(sa.select(sa.func.pg_advisory_xact_lock(TURNS)))


def check(connection: sa.Connection) -> None:
    """Nothing: PostgreSQL's pages are its admin's care, and reading every row is tried anyway."""


def insert_if_missing(table: sa.Table) -> sa.Insert:
    """An insert that leaves a row as it is whose key is there already."""
    return postgresql.insert(table).on_conflict_do_nothing()


def unreadable(error: Exception) -> JournalError:
    """What it means that the driver cannot make a value of what a row holds."""
    return JournalError(f"the journal cannot be read: a row is of another kind ({error})")


def named(error: BaseException) -> JournalError | None:
    """What PostgreSQL's own error says of the journal; None where it says something of a statement.

    The sentence names no address: `/health` shows it to anybody. The log tells more.
    """
    import psycopg

    of_a_statement = (psycopg.IntegrityError, psycopg.DataError, psycopg.NotSupportedError)
    if not isinstance(error, psycopg.Error) or isinstance(error, of_a_statement):
        return None
    state = error.sqlstate or ""
    names = (state, state[:3], state[:2])
    words = next((REFUSALS[name] for name in names if name in REFUSALS), OTHERWISE)
    if state in ("", LOCKED) and not isinstance(error, psycopg.OperationalError):
        return None  # a fault of ours in how the driver is used
    if state != LOCKED:
        logger.warning("PostgreSQL: %s", " ".join(str(error).split()))
    kind = JournalLockedError if state == LOCKED else JournalError
    return kind(f"the journal {words}" + (f" (SQLSTATE {state})" if state else ""))


def shown(url: str) -> str:
    """The URL as it may be printed: without password, and without what may hold another one."""
    return sa.make_url(url).set(query={}).render_as_string(hide_password=True)


def _limit(connection: Any, limits: Mapping[str, int]) -> None:
    for name, value in limits.items():
        connection.execute(f"SET {name} = {value}")
    connection.commit()
