"""Pixel batches: order, what cannot be read, and how far decoding runs ahead."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import torch
from PIL import Image

from backend.decoding import decoded_image
from backend.errors import (
    LabelStudioUnauthorizedError,
    LabelStudioUnreachableError,
    StoreError,
)
from backend.vision import pixel_batches as pixel_batches_module
from backend.vision.pixel_batches import (
    BATCHES_AHEAD,
    READING_THREADS,
    batch_size_for,
    pixel_batches,
)
from backend.vision.preprocessing import Preprocessing
from tests.vision.tiny import CountingLoader, decode_image, encoded_image, image_keys

PREPROCESSING = Preprocessing(8, (0.5,) * 3, (0.5,) * 3)


def test_pixel_batches_keep_the_order_when_decoded_in_threads() -> None:
    keys = image_keys(25)
    batches = list(pixel_batches(keys, CountingLoader(), PREPROCESSING, batch_size=10))
    assert [len(batch.image_keys) for batch in batches] == [10, 10, 5]
    assert [key for batch in batches for key in batch.image_keys] == keys
    pixels = torch.cat([batch.pixels for batch in batches])
    for number in (0, 1, 13, 24):
        assert torch.equal(pixels[number], expected_pixels(number))


def test_pixel_batches_report_the_reason_when_an_image_is_a_text_file() -> None:
    keys = image_keys(6)
    load = CountingLoader(broken=lambda key: key in keys[1:4])
    first, second = pixel_batches(keys, load, PREPROCESSING, batch_size=3)
    assert first.image_keys == [keys[0]]
    assert set(first.unreadable) == {keys[1], keys[2]}
    assert all(first.unreadable.values())
    assert second.image_keys == keys[4:]
    assert set(second.unreadable) == {keys[3]}


def test_pixel_batches_hold_an_empty_batch_when_no_image_can_be_read() -> None:
    keys = image_keys(2)
    (batch,) = pixel_batches(keys, CountingLoader(broken=lambda key: True), PREPROCESSING)
    assert batch.image_keys == []
    assert len(batch.pixels) == 0
    assert set(batch.unreadable) == set(keys)


def test_pixel_batches_end_at_once_when_there_is_no_image() -> None:
    assert list(pixel_batches([], CountingLoader(), PREPROCESSING)) == []


def raising(error: BaseException, at: str) -> Callable[[str], bytes]:
    """Loads images, but for one of them raises an error."""
    load = CountingLoader()

    def load_or_raise(image_key: str) -> bytes:
        if image_key == at:
            raise error
        return load(image_key)

    return load_or_raise


@pytest.mark.parametrize(
    "error", [UnicodeError("secret"), KeyError("secret"), OSError("secret"), Exception("secret")]
)
def test_pixel_batches_blame_the_image_without_quoting_when_nobody_foresaw_its_error(
    error: Exception,
) -> None:
    keys = image_keys(3)
    (batch,) = pixel_batches(keys, raising(error, keys[1]), PREPROCESSING)
    assert batch.image_keys == [keys[0], keys[2]]
    assert batch.unreadable == {keys[1]: f"unexpected {type(error).__name__}"}


@pytest.mark.parametrize("at_once", [0, 4096])  # decoded by the threads that read, or by one
def test_pixel_batches_blame_the_image_when_resizing_it_fails(
    at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    square = Preprocessing.square

    def fail_once(self: Preprocessing, image: Image.Image) -> Image.Image:
        if image.size == (1, 1):
            raise ValueError("box must have a size")
        return square(self, image)

    monkeypatch.setattr(Preprocessing, "square", fail_once)
    monkeypatch.setattr(pixel_batches_module, "SMALL_FILE_BYTES", at_once)
    keys = image_keys(2)
    files = {keys[0]: b"P6 1 1 255\n\0\0\0", keys[1]: encoded_image(1)}
    (batch,) = pixel_batches(keys, files.__getitem__, PREPROCESSING)
    assert batch.image_keys == [keys[1]]
    assert batch.unreadable == {keys[0]: "unexpected ValueError"}


@pytest.mark.parametrize(
    "error",
    [
        LabelStudioUnreachableError("down"),
        LabelStudioUnauthorizedError("401"),
        StoreError("disk full"),
        KeyboardInterrupt(),
    ],
)
def test_pixel_batches_raise_what_is_not_the_images_own(error: BaseException) -> None:
    keys = image_keys(2)
    with pytest.raises(type(error)):
        list(pixel_batches(keys, raising(error, keys[1]), PREPROCESSING))


def test_pixel_batches_load_a_few_batches_ahead_when_the_network_is_slow() -> None:
    ahead, everything_ahead = 5 * (1 + BATCHES_AHEAD), threading.Event()
    load = CountingLoader()

    def load_and_tell(image_key: str) -> bytes:
        data = load(image_key)
        if len(load.loaded) >= ahead:
            everything_ahead.set()
        return data

    batches = pixel_batches(image_keys(100), load_and_tell, PREPROCESSING, batch_size=5)
    next(batches)
    assert everything_ahead.wait(timeout=20)
    batches.close()
    assert len(load.loaded) == ahead


def expected_pixels(number: int) -> torch.Tensor:
    """What CountingLoader's image of that number must become."""
    data = encoded_image(number, brightness=60 if number % 2 == 0 else 190)
    return PREPROCESSING.pixels(decode_image(data))


@pytest.mark.parametrize(("image_px", "size"), [(8, 128), (28, 128), (48, 56), (64, 32), (518, 32)])
def test_batch_size_for_is_larger_when_images_are_small(image_px: int, size: int) -> None:
    assert batch_size_for(image_px) == size  # 2**17 pixels, between 32 and 128 images


@pytest.fixture
def decoding_threads(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The kinds of threads that decoded."""
    kinds: set[str] = set()

    @contextmanager
    def noted(data: bytes, at_least_px: int) -> Iterator[Image.Image]:
        kinds.add(threading.current_thread().name.rpartition("_")[0])
        with decoded_image(data, at_least_px) as image:
            yield image

    monkeypatch.setattr(pixel_batches_module, "decoded_image", noted)
    return kinds


@pytest.mark.parametrize(
    ("file_bytes", "expected"),
    [
        (4096, {"assemble"}),  # all of them are small
        (0, {"read"}),
        (len(encoded_image(0, 60)), {"assemble", "read"}),  # PNGs of noise differ by a few bytes
    ],
)
def test_pixel_batches_decode_small_files_in_one_thread_and_keep_the_order(
    file_bytes: int,
    expected: set[str],
    decoding_threads: set[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pixel_batches_module, "SMALL_FILE_BYTES", file_bytes)
    keys = image_keys(40)
    load = CountingLoader(broken=lambda key: key == keys[7])
    batches = list(pixel_batches(keys, load, PREPROCESSING))
    assert decoding_threads == expected
    assert [key for batch in batches for key in batch.image_keys] == keys[:7] + keys[8:]
    assert [key for batch in batches for key in batch.unreadable] == [keys[7]]
    pixels = torch.cat([batch.pixels for batch in batches])
    numbers = [*range(7), *range(8, 40)]
    assert torch.equal(pixels, torch.stack([expected_pixels(number) for number in numbers]))


def barrier_loader(parties: int) -> Callable[[str], bytes]:
    """Gives nothing before so many images are being loaded at once."""
    barrier, load = threading.Barrier(parties, timeout=20), CountingLoader()

    def wait_and_load(image_key: str) -> bytes:
        barrier.wait()
        return load(image_key)

    return wait_and_load


def test_pixel_batches_load_side_by_side_when_there_are_few_images() -> None:
    keys = image_keys(READING_THREADS)
    (batch,) = pixel_batches(keys, barrier_loader(READING_THREADS), PREPROCESSING)
    assert batch.image_keys == keys


def test_pixel_batches_name_a_key_twice_when_it_is_asked_for_twice() -> None:
    keys = [*image_keys(2), *image_keys(1)]
    (batch,) = pixel_batches(keys, CountingLoader(), PREPROCESSING)
    assert batch.image_keys == keys
    assert torch.equal(batch.pixels[0], batch.pixels[2])


def test_pixel_batches_are_contiguous_when_joined_from_several_reads() -> None:
    (batch,) = pixel_batches(image_keys(20), CountingLoader(), PREPROCESSING)
    assert batch.pixels.is_contiguous()
    assert batch.pixels.shape == (20, 3, 8, 8)
