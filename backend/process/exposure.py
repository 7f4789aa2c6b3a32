"""Who can get at the backend from outside: over the network, and to its files."""

from __future__ import annotations

import ipaddress
import os

from backend.settings import Settings

# No rights for the group and for others: files 0600, folders 0700.
PRIVATE_UMASK = 0o077


def keep_files_private() -> None:
    """Have this process, and those that it starts, make files that its user alone may read.

    Embeddings and checkpoints tell of the images, and the journal may hold a token.
    """
    os.umask(PRIVATE_UMASK)


def exposure(settings: Settings) -> str | None:
    """What to say where anybody who reaches the port is answered; None where nobody else can."""
    if settings.basic_auth_user or _is_loopback(settings.host):
        return None
    return (
        f"HOST is {settings.host} and no credentials are asked for: whoever reaches port "
        f"{settings.port} is answered; needed are BASIC_AUTH_USER and BASIC_AUTH_PASS, or "
        "HOST=127.0.0.1"
    )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"
