"""Giving way to others on the same processors: to Label Studio, above all."""

from __future__ import annotations

import os
import threading
from pathlib import Path

LEAST = 19
# Where Linux groups processes by session, niceness counts within a group only, and the groups are
# weighed against each other by a niceness of their own: sched(7), "The autogroup feature".
AUTOGROUP = Path("/proc/self/autogroup")


def give_way(niceness: int) -> None:
    """Let this process, and its session where the system groups by it, give way to others."""
    own = os.nice(niceness)
    if AUTOGROUP.exists():
        try:
            AUTOGROUP.write_text(str(own))
        except OSError:
            # Refused where the group was changed a moment ago, or /proc is read-only.
            return


def thread_gives_way(niceness: int) -> None:
    """Let this thread, and those that it starts, give way to the process's others (Linux only)."""
    if hasattr(os, "setpriority") and os.uname().sysname == "Linux":
        thread = threading.get_native_id()
        own = os.getpriority(os.PRIO_PROCESS, thread)
        os.setpriority(os.PRIO_PROCESS, thread, min(LEAST, own + niceness))
