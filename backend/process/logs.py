"""How both processes log."""

from __future__ import annotations

import logging

# One line for each request at INFO, and with it the address: that of a signed image URL is a key.
TALKATIVE = ("httpx", "httpcore")


def start_logging(level: str) -> None:
    """Log what the backend says from `level` on, and warnings of its HTTP client."""
    logging.basicConfig(level=level, format="%(asctime)s %(levelname)s %(message)s")
    for name in TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)
