"""Bytes in, upright RGB pictures out: the limits, and the memory that decoding takes.

No torch: the web process shows pictures as well.
"""

from __future__ import annotations

from backend.decoding.image import decoded_image

__all__ = ["decoded_image"]
