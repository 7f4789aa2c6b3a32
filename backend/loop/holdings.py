"""Which projects this worker works on: all of them, or its share of those that several share.

A worker holds a project by a lease in the database (see `model_store.leases`), which it renews
every few seconds; one that vanishes is taken over when its leases have run out. Every transaction
of the journal makes sure of the lease. Before anything is written elsewhere, to Label Studio or on
the disk, a clock of this machine says whether the lease is good still: one that goes on while the
process, or the machine, stands still.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Set
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import Protocol

from backend.errors import LeaseLostError
from backend.loop.context import WorkerContext
from model_store.journal import ProjectState
from model_store.leases import LEASE_S, Lease, Leases

logger = logging.getLogger(__name__)

RENEW_EVERY_S = LEASE_S / 4
# Between the end of what this worker trusts and the moment when others may take its projects.
MARGIN_S = LEASE_S / 4


class Holdings(Protocol):
    """The projects that one worker works on. Every method may raise JournalError."""

    def holds(self, key: str) -> bool:
        """Whether a project is this worker's."""
        ...

    def context(self, key: str) -> WorkerContext:
        """What to work on a project with. LeaseLostError: it is not this worker's any more."""
        ...

    def at_work(self, key: str) -> AbstractContextManager[None]:
        """While this lasts a project is not given away."""
        ...

    def tend(self) -> bool:
        """Do what is due; False: there is no hurry."""
        ...

    def close(self) -> None:
        """Let others have all at once."""
        ...


class All:
    """The one worker of a MODEL_DIR holds every project."""

    def __init__(self, context: WorkerContext) -> None:
        self._context = context

    def holds(self, key: str) -> bool:
        """True."""
        return True

    def context(self, key: str) -> WorkerContext:
        """The worker's own."""
        return self._context

    def at_work(self, key: str) -> AbstractContextManager[None]:
        """Nothing to do."""
        return nullcontext()

    def tend(self) -> bool:
        """Nothing to do."""
        return False

    def close(self) -> None:
        """Nothing to do."""


@dataclass
class _Held:
    """A lease, until when it is good by this machine's clock, and what to work with under it."""

    lease: Lease
    good_until: float
    context: WorkerContext


class Share:
    """A worker's share of the projects: as many as any other has, one more at most.

    A project that is being worked on is not given away to a worker that came later: its training
    may take hours.
    """

    def __init__(
        self, context: WorkerContext, leases: Leases, taken: Callable[[str], None]
    ) -> None:
        """taken: called with the key of each project that becomes this worker's."""
        self._context = context
        self._leases = leases
        self._taken = taken
        self._held: dict[str, _Held] = {}
        self._busy: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._renewed_at = -math.inf

    def holds(self, key: str) -> bool:
        """Whether a project is this worker's."""
        return key in self._held

    def context(self, key: str) -> WorkerContext:
        """What to work on a project with. LeaseLostError: it is not this worker's any more."""
        held = self._held.get(key)
        if held is None:
            raise LeaseLostError(f"project {key}: another worker has it")
        return held.context

    @contextmanager
    def at_work(self, key: str) -> Iterator[None]:
        """While this lasts a project is not given away."""
        with self._lock:
            self._busy[key] += 1
        try:
            yield
        finally:
            with self._lock:
                self._busy[key] -= 1

    def tend(self) -> bool:
        """Renew the leases where that is due, then give away or take what makes the share even."""
        if now() - self._renewed_at >= RENEW_EVERY_S:
            self._renew()
        self._even_out()
        return False

    def close(self) -> None:
        """Let others have all at once."""
        self._held.clear()
        self._leases.leave()

    def _renew(self) -> None:
        asked_at = now()
        leases = {lease.key: lease for lease in self._leases.renew()}
        for key in self._held.keys() - leases.keys():
            self._drop(key)
        for key, lease in leases.items():
            held = self._held.get(key)
            if held is not None and held.lease == lease:
                held.good_until = asked_at + LEASE_S - MARGIN_S
            else:  # the answer that it was taken was lost
                self._hold(lease, asked_at)
        self._renewed_at = asked_at

    def _even_out(self) -> None:
        wanted = {state.key for state in self._context.journal.projects() if _is_wanted(state)}
        share = math.ceil(len(wanted) / self._leases.holders())
        self._give_back(wanted, share)
        if len(self._held) >= share:
            return
        for key in sorted(wanted - self._leases.taken()):
            asked_at = now()
            lease = self._leases.take(key)
            if lease is not None:
                self._hold(lease, asked_at)
            if len(self._held) >= share:
                return

    def _give_back(self, wanted: Set[str], share: int) -> None:
        """Give away what nobody has to work on, and what is more than the share."""
        with self._lock:
            idle = [key for key in self._held if not self._busy[key]]
            unwanted = [key for key in idle if key not in wanted]
            surplus = max(0, len(self._held.keys() & wanted) - share)
            given = unwanted + [key for key in idle if key in wanted][:surplus]
            for key in given:
                self._drop(key)
        if given:
            self._leases.give_back(given)

    def _hold(self, lease: Lease, asked_at: float) -> None:
        context = self._context
        confirm = self._confirming(lease)
        held = replace(
            context,
            journal=context.journal.under(lease),
            access=context.access.guarded(confirm),
            confirm=confirm,
        )
        self._held[lease.key] = _Held(lease, asked_at + LEASE_S - MARGIN_S, held)
        logger.info("project %s is this worker's now", lease.key)
        self._taken(lease.key)

    def _drop(self, key: str) -> None:
        if self._held.pop(key, None) is not None:
            logger.info("project %s is not this worker's any more", key)

    def _confirming(self, lease: Lease) -> Callable[[], None]:
        def confirm() -> None:
            held = self._held.get(lease.key)
            if held is None or held.lease != lease or now() >= held.good_until:
                raise LeaseLostError(f"project {lease.key}: another worker may have taken it over")

        return confirm


def now() -> float:
    """Seconds of a clock that is never set, and goes on while the machine sleeps (Linux)."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


def _is_wanted(state: ProjectState) -> bool:
    """Whether there may be something to do for a project."""
    return state.connected or state.changed != state.seen
