"""Images to batches of pixels, decoded ahead of the network.

Decoding and resizing run in a few threads (Pillow lets go of the interpreter lock) while the
network works on the batch before, so that the network is the bottleneck. Memory holds a few
batches, whatever the number of images.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice

import torch

from backend.errors import ImageError
from backend.vision.decoding import decode_image
from backend.vision.preprocessing import Preprocessing

Loader = Callable[[str], bytes]
"""Encoded bytes of an image by its key; raises ImageError when they cannot be had."""

BATCH_SIZE = 32
BATCHES_AHEAD = 3
DECODING_THREADS = 4


@dataclass(frozen=True)
class PixelBatch:
    """Some images ready for the network, and those of the same stretch that cannot be read.

    image_keys: of the B readable images.
    pixels: (B, 3, px, px) uint8; B may be 0.
    unreadable: reason by image key.
    """

    image_keys: list[str]
    pixels: torch.Tensor
    unreadable: dict[str, str]


def pixel_batches(
    image_keys: Sequence[str],
    load: Loader,
    preprocessing: Preprocessing,
    batch_size: int = BATCH_SIZE,
) -> Iterator[PixelBatch]:
    """All images in order, `batch_size` keys at a time.

    An ImageError of `load` or of the decoder puts the key among the batch's unreadable ones; any
    other error is a fault of the program and ends the iteration.
    """

    def pixels(image_key: str) -> torch.Tensor:
        image = decode_image(load(image_key), at_least_px=2 * preprocessing.image_px)
        return preprocessing.pixels(image)

    remaining = iter(image_keys)
    waiting: deque[tuple[str, Future[torch.Tensor]]] = deque()
    with ThreadPoolExecutor(DECODING_THREADS, "decode") as pool:
        try:
            while True:
                wanted = batch_size * (1 + BATCHES_AHEAD) - len(waiting)
                waiting.extend((key, pool.submit(pixels, key)) for key in islice(remaining, wanted))
                if not waiting:
                    return
                size = min(batch_size, len(waiting))
                batch = _collect([waiting.popleft() for _ in range(size)])
                yield batch
        finally:
            for _, future in waiting:
                future.cancel()


def _collect(futures: list[tuple[str, Future[torch.Tensor]]]) -> PixelBatch:
    image_keys, images, unreadable = [], [], {}
    for image_key, future in futures:
        try:
            images.append(future.result())
            image_keys.append(image_key)
        except ImageError as error:
            unreadable[image_key] = str(error)
    pixels = torch.stack(images) if images else torch.empty(0, 3, 0, 0, dtype=torch.uint8)
    return PixelBatch(image_keys, pixels, unreadable)
