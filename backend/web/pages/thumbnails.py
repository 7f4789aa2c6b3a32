"""Small pictures of the tasks' images: made once, by a deadline, a few at a time."""

from __future__ import annotations

import io
from pathlib import Path

from PIL import Image

from backend.decoding import decoded_image
from backend.errors import AlfaMixError, ImageError
from backend.label_studio.access import Access
from backend.process.serve import WEB_THREADS
from backend.settings import Settings
from backend.web.live import LiveLoads
from backend.web.pages.turns import Turns
from model_store.journal import ProjectState
from model_store.thumbnails import thumbnail_file, write_thumbnail

SIDE_PX = 128
QUALITY = 80
WITHIN_S = 5.0
# The other threads stay free for what Label Studio asks.
AT_ONCE = WEB_THREADS // 4


class Thumbnails:
    """Makes and keeps small pictures; safe to call from several threads."""

    def __init__(self, settings: Settings) -> None:
        self._access = Access(
            settings.label_studio_url,
            settings.label_studio_api_key,
            image_timeout_s=WITHIN_S,
            image_hosts=settings.image_hosts,
        )
        self._loads = LiveLoads(2 * AT_ONCE)
        self._turns = Turns(AT_ONCE, "too many pictures are being made; ask again")

    def file(
        self, project_folder: Path, state: ProjectState, task_id: int, image_key: str, uri: str
    ) -> Path:
        """The file of an image's small picture, made where it is missing.

        ImageError: the image cannot be had. Busy. StoreError: it cannot be kept.
        """
        path = thumbnail_file(project_folder, image_key)
        if path.exists():
            return path
        with self._turns.take():
            write_thumbnail(path, self._made(state, task_id, uri))
        return path

    def _made(self, state: ProjectState, task_id: int, uri: str) -> bytes:
        try:
            fetcher = self._access.fetcher(state.access_token, state.hostname)
            load = self._loads.by_deadline(lambda _: fetcher.fetch(uri, task_id), WITHIN_S)
            return reduced(load(uri))
        except ImageError:
            raise
        except AlfaMixError as error:
            raise ImageError(str(error)) from error


def reduced(data: bytes) -> bytes:
    """A picture of SIDE_PX at most on its longer side, as WebP. ImageError."""
    with decoded_image(data, at_least_px=SIDE_PX) as image:
        image.thumbnail((SIDE_PX, SIDE_PX), Image.Resampling.LANCZOS)
        small = io.BytesIO()
        image.save(small, "WEBP", quality=QUALITY)
    return small.getvalue()
