"""How both processes log."""

from __future__ import annotations

import logging

# One line for each request at INFO, and with it the address: that of a signed image URL is a key.
TALKATIVE = ("httpx", "httpcore")
# A warning for each model that is made without a label config, as those of webhooks are (the SDK
# 2.x), and one whenever all threads are busy.
ALARMED = ("label_studio_ml.model", "waitress.queue")


def start_logging(level: str) -> None:
    """Log what the backend says from `level` on, and only what matters of its packages."""
    logging.basicConfig(level=level, format="%(asctime)s %(levelname)s %(message)s")
    for name in TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)
    for name in ALARMED:
        logging.getLogger(name).setLevel(logging.ERROR)
