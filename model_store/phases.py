"""What a project, a round and a network can be at: the words of the journal and of `/status`.

A phase names the step that comes next. What the queue is at and what is computed behind it are two
things: people label one batch while the network for a later one trains.
"""

from __future__ import annotations

from typing import Final

# A round, in the order of its steps: what people label next.
RECALL: Final = "recall"  # only after the journal went back to its copy
SELECT: Final = "select"
PUBLISH: Final = "publish"
FLIP: Final = "flip"
# A network, in the order of its steps: what embeds the pool.
TRAIN: Final = "train"
EMBED: Final = "embed"
# The end of both.
DONE: Final = "done"

# A project between rounds.
WAITING: Final = "waiting"  # just heard of
SYNC: Final = "sync"  # its tasks are being read
ANNOTATE: Final = "annotate"  # people label the batch
POOL_EMPTY: Final = "pool-empty"  # nothing is left to label
DISCONNECTED: Final = "disconnected"

# A backtest that the admin asked for.
REQUESTED: Final = "requested"
RUNNING: Final = "running"

# Nothing is being computed, so there is no time left to tell.
RESTING: Final = frozenset({WAITING, ANNOTATE, POOL_EMPTY, DISCONNECTED})
