"""Who may press a button: only somebody who sees the page that has it.

Browsers send credentials along whoever made the form. So each form carries a token that only the
page knows, signed into a cookie that other sites' forms do not send, and the browser must not say
that another site asks.
"""

from __future__ import annotations

import hmac
import secrets
from pathlib import Path
from urllib.parse import urlsplit

from flask import Flask, Request, Response, session

from backend.errors import RequestError
from backend.settings import Settings
from model_store.files import write_bytes

SECRET_NAME = "pages.secret"
TOKEN = "csrf_token"
POLICY = "; ".join(
    (
        *("default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self' data:"),
        *("connect-src 'self'", "form-action 'self'", "base-uri 'none'", "frame-ancestors 'none'"),
    )
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
}


def make_safe(app: Flask, folder: Path, instance: str) -> None:
    """Sign cookies with a secret that is kept in a folder, and send what browsers should keep to.

    StoreError: the secret cannot be kept.
    """
    app.secret_key = _secret(folder / SECRET_NAME)
    app.config.update(
        # Cookies are the same for all ports of a host.
        SESSION_COOKIE_NAME=f"alfa-mix-{instance[:8]}",
        SESSION_COOKIE_HTTPONLY=True,
        # With "Strict" a link from elsewhere comes without the cookie, and a new one ends the forms
        # that are open.
        SESSION_COOKIE_SAMESITE="Lax",
    )
    app.after_request(_with_headers)


def csrf_token() -> str:
    """The token of whoever asked; a new one goes into their cookie."""
    if TOKEN not in session:
        session[TOKEN] = secrets.token_urlsafe(24)
    return str(session[TOKEN])


def check_form(request: Request, settings: Settings) -> None:
    """Refuse a form that another site may have made. RequestError."""
    if not _is_own_site(request, settings):
        raise RequestError(
            "found a form of another site; needed is the page of this backend. Behind a proxy that "
            "rewrites Host, set ALFAMIX_PUBLIC_URL to the URL in the browser"
        )
    given, known = request.form.get(TOKEN, ""), session.get(TOKEN, "")
    if not known or not hmac.compare_digest(given.encode(), str(known).encode()):
        raise RequestError(
            "found a form without its token, or an old one; needed is the page: load it again"
        )


def _is_own_site(request: Request, settings: Settings) -> bool:
    """Whether the browser says that this backend's page asks, where it says anything.

    Over plain HTTP it names the origin alone.
    """
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        return site in ("same-origin", "none")
    origin = request.headers.get("Origin")
    if origin is None:
        return True
    own = {request.host, urlsplit(settings.public_url).netloc}
    return urlsplit(origin).netloc in own - {""}


def _secret(path: Path) -> bytes:
    if not path.exists():
        write_bytes(path, secrets.token_bytes(32))
    return path.read_bytes()


def _with_headers(response: Response) -> Response:
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    return response
