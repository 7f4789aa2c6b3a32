"""By which names the pages are shown where no credentials are asked for.

A site may let its own name lead to this backend once its page is loaded (DNS rebinding): the
browser takes both for one site then, and its scripts read and press what they like. They cannot
hide which name the browser came by.
"""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from backend.settings import Settings
from model_store.journal import Journal

LOCAL = ".localhost"


def is_own_host(host: str, settings: Settings, journal: Journal) -> bool:
    """Whether a request's Host is no name of another site's."""
    name = _name_in(f"//{host}")
    return _is_nobody_elses(name) or (name != "" and name in _own_names(settings, journal))


def _is_nobody_elses(name: str) -> bool:
    """Whether no site on the internet has such a name."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return name.endswith(LOCAL) or (name != "" and "." not in name)
    return True


def _own_names(settings: Settings, journal: Journal) -> set[str]:
    """Those that the admin gave, in the settings or on a Model page that Label Studio confirmed."""
    rows = [state.row_url for state in journal.projects() if state.is_confirmed]
    return {_name_in(url) for url in (settings.public_url, *rows)}


def _name_in(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""
