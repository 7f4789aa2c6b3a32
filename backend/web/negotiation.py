"""Who asks: a browser, which is shown pages, or a program, which is told in JSON."""

from __future__ import annotations

from flask import Request

JSON, HTML = "application/json", "text/html"


def wants_page(request: Request) -> bool:
    """Whether a page is preferred. `*/*`, as Label Studio and curl send it, prefers none."""
    return request.accept_mimetypes.best_match([JSON, HTML]) == HTML
