"""How a command that starts others ends: cleaned up, however often it is told to."""

from __future__ import annotations

import signal

ASKS = (signal.SIGINT, signal.SIGTERM)


def interrupt_once() -> None:
    """Raise KeyboardInterrupt at the first SIGINT or SIGTERM; later ones do not disturb the end.

    A terminal signals a whole group, and what runs in it may pass the signal on.
    """

    def interrupt(*_: object) -> None:
        for number in ASKS:
            signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

    for number in ASKS:
        signal.signal(number, interrupt)
