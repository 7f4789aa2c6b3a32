"""SIGKILL to the worker at random moments of every phase.

The journal tells when a phase begins. The moment is drawn from as long as the phase takes when
nobody disturbs it. Phases are made long by what makes them long in earnest: epochs, images, a slow
way to Label Studio. In one turn the worker is killed once in each phase, four of them as they come
and then the fifth, so that rounds and networks are interrupted several times; then the loop has to
go on.
"""

from __future__ import annotations

import random
import statistics
import time
from collections import defaultdict
from collections.abc import Iterator, Set
from dataclasses import dataclass, field

from backend.errors import DemoError
from benchmarks.faults.check import findings
from benchmarks.faults.forked import ForkedBackend
from benchmarks.faults.loop import RECOVER_S, Loop, Site, running_lane
from benchmarks.faults.table import Findings, Trial
from model_store import phases
from model_store.journal import Journal

PHASES = (phases.TRAIN, phases.EMBED, phases.SELECT, phases.PUBLISH, phases.FLIP)
WATCH_S = 0.01
UNDISTURBED = 2
# Rounds come soon.
PAUSE_S = 0.8
IMAGES = 300
# With so few left to label, the loop goes on in another project.
FEW = 100
# Each request that the backend makes takes so much longer: publish and flip are nothing else.
REQUEST_S = 0.05
# Training that learns nothing does all its epochs; without activations images are embedded whole.
SETTINGS = {
    "ALFAMIX_EPOCHS": "20",
    "ALFAMIX_BLOCK_LR": "1e-9",
    "ALFAMIX_HEAD_LR": "1e-8",
    "ALFAMIX_ACTIVATIONS_GIB": "0",
}


@dataclass(frozen=True)
class Begun:
    """A phase of a round or of a network, by its number."""

    phase: str
    number: int


@dataclass
class Kills:
    """What came of killing: trials by the last phase of their turn, and how many kills there were.

    kills: by phase.
    """

    kills: dict[str, int] = field(default_factory=lambda: dict.fromkeys(PHASES, 0))
    trials: dict[str, list[Trial]] = field(default_factory=lambda: defaultdict(list))
    turns: int = 0


def killed(
    site: Site, name: str, turns: int, rng: random.Random, images: int = IMAGES
) -> tuple[Kills, Findings]:
    """So many turns in a lane of this name, and what is lost and doubled after them."""
    with running_lane(site, name, SETTINGS, ForkedBackend, pause_s=PAUSE_S) as lane:
        lane.way.delay_s = REQUEST_S
        kills, found = Kills(), []
        while kills.turns < turns:
            with Loop(lane, images) as loop, lane.journal() as journal:
                killer = Killer(loop, rng, journal)
                while kills.turns < turns and loop.left() > FEW:
                    killer.turn(kills, last=PHASES[kills.turns % len(PHASES)])
                found.append(findings(loop))
        return kills, Findings.of(found)


class Killer:
    """Kills the worker of a loop again and again."""

    def __init__(self, loop: Loop, rng: random.Random, journal: Journal) -> None:
        backend = loop.backend
        assert isinstance(backend, ForkedBackend)
        self._backend = backend
        self._loop = loop
        self._rng = rng
        self._journal = journal
        self._key: str = loop.status()["key"]
        self._seen = set(self._under_way())
        self._usual_s = self._measured_s()

    def turn(self, kills: Kills, last: str) -> None:
        """Kill in each phase, at last in this one, then wait until the loop goes on.

        By then a network that was under way is taken over, or a later one.
        """
        networks = [0]
        left = set(PHASES)
        while left:
            begun = self._struck(left - {last} or left)
            left.remove(begun.phase)
            kills.kills[begun.phase] += 1
            if begun.phase in (phases.TRAIN, phases.EMBED):
                networks.append(begun.number)

        def is_taken_over() -> bool:
            published = self._journal.published_round(self._key)
            return published is not None and published.tuning >= max(networks)

        kills.turns += 1
        kills.trials[last].append(self._loop.recovered(is_taken_over))

    def _struck(self, among: Set[str]) -> Begun:
        """The phase in which the worker was killed, and started again, at the moment drawn."""
        while True:
            begun = self._next(among)
            time.sleep(self._rng.uniform(0.0, self._usual_s[begun.phase]))
            # Else it was over sooner than usual.
            if begun in self._under_way():
                self._backend.kill_worker()
                self._backend.start_worker()
                return begun

    def _measured_s(self) -> dict[str, float]:
        """How long each phase takes when nobody disturbs it."""
        took_s: dict[str, list[float]] = defaultdict(list)
        while any(len(took_s[phase]) < UNDISTURBED for phase in PHASES):
            short = {phase for phase in PHASES if len(took_s[phase]) < UNDISTURBED}
            begun, began = self._next(short), time.monotonic()
            while begun in self._under_way():
                time.sleep(WATCH_S)
            took_s[begun.phase].append(time.monotonic() - began)
        return {phase: statistics.median(samples) for phase, samples in took_s.items()}

    def _next(self, among: Set[str]) -> Begun:
        """The next of these phases that begins, when it does. DemoError: none does."""
        deadline = time.monotonic() + RECOVER_S
        while time.monotonic() < deadline:
            new = [begun for begun in self._under_way() if begun not in self._seen]
            self._seen.update(new)
            for begun in new:
                if begun.phase in among:
                    return begun
            time.sleep(WATCH_S)
        raise DemoError(f"waited {RECOVER_S:.0f} s for one of {sorted(among)} to begin")

    def _under_way(self) -> Iterator[Begun]:
        """What the newest round and the newest network are at."""
        newest = self._journal.latest_round(self._key), self._journal.tunings.newest(self._key)
        return (Begun(one.phase, one.number) for one in newest if one is not None)
