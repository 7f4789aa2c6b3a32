"""What a project and a round can be at: the words of the journal, of `/status` and of the pages.

A round's phase names the step that comes next; while a round is under way its project shows the
same word.
"""

from __future__ import annotations

from typing import Final

# Steps of a round, in their order, and the end.
TRAIN: Final = "train"
EMBED: Final = "embed"
SELECT: Final = "select"
PUBLISH: Final = "publish"
FLIP: Final = "flip"
DONE: Final = "done"

# What a project is at between rounds.
WAITING: Final = "waiting"  # just heard of
SYNC: Final = "sync"  # its tasks are being read
ANNOTATE: Final = "annotate"  # people label the batch
POOL_EMPTY: Final = "pool-empty"  # nothing is left to label
DISCONNECTED: Final = "disconnected"

# Nothing is being computed, so there is no time left to tell.
RESTING: Final = frozenset({WAITING, ANNOTATE, POOL_EMPTY, DISCONNECTED})
