"""A connection to PostgreSQL that gives up when no answer comes.

libpq has no limit for that. Its keepalives and `tcp_user_timeout` ask the kernel of the other
machine, which answers for a server process that stands still; `statement_timeout` is the server's
own clock, which stands still with it.
"""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg.abc import RV, PQGen

# So often the process may notice a signal while it waits, as psycopg has it.
LOOK_EVERY_S = 0.1


def patient_connection(limit_s: float) -> type[psycopg.Connection[Any]]:
    """A class of connections that wait for the end of a statement for `limit_s` seconds at most.

    After that the connection is closed, and psycopg.OperationalError raised.
    """

    class PatientConnection(psycopg.Connection[Any]):
        def wait(
            self, gen: PQGen[RV], interval: float = LOOK_EVERY_S, timeout: float | None = None
        ) -> RV:
            limit = limit_s if timeout is None else timeout
            try:
                return super().wait(gen, interval, limit)
            except psycopg.errors._WaitTimeout as error:
                # What was asked may still come to be answered: nothing can be asked after it.
                self.pgconn.finish()
                raise psycopg.OperationalError(f"no answer within {limit:.1f} s") from error

    return PatientConnection
