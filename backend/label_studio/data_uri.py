"""`data:` URIs to bytes (RFC 2397)."""

from __future__ import annotations

import base64
import binascii
from urllib.parse import unquote_to_bytes

from backend.errors import ImageError


def data_uri_bytes(uri: str) -> bytes:
    """What a `data:` URI holds, base64 or percent-encoded; padding may be missing, as in browsers.

    Raises:
        ImageError: no comma, damaged base64, or half of a surrogate pair.
    """
    header, comma, payload = uri.partition(",")
    if not comma:
        raise ImageError("a data: URI without a comma; needed is data:image/png;base64,...")
    try:
        content = unquote_to_bytes(payload)
    except UnicodeEncodeError as error:
        raise ImageError("a data: URI with half of a surrogate pair") from error
    if not header.rstrip().lower().endswith(";base64"):
        return content
    packed = b"".join(content.split()).rstrip(b"=")
    try:
        return base64.b64decode(packed + b"=" * (-len(packed) % 4), validate=True)
    except binascii.Error as error:
        raise ImageError(f"a data: URI whose base64 is damaged: {error}") from error
