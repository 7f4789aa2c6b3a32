"""The one way to render: a typed context, and nothing else but where the root is."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from flask import render_template, request

# What a template has besides its context. root: the relative way to `/`, for behind a proxy the
# backend may stand under any path.
GLOBALS = ("root",)


def rendered(page: Any) -> str:
    """The page as HTML."""
    values = {field.name: getattr(page, field.name) for field in fields(page)}
    return render_template(page.TEMPLATE, **values, root=root())


def root() -> str:
    """The relative way from the page that was asked for to `/`."""
    return "../" * (request.path.count("/") - 1) or "./"
