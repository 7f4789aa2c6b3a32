"""A connected backend to be looked at: that of the loop's tests."""

from __future__ import annotations

from tests.loop.conftest import (  # noqa: F401
    colored_project,
    connected_project,
    inline,
    tiny_weights,
)
