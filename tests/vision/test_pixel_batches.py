"""Pixel batches: order, what cannot be read, and how far decoding runs ahead."""

import pytest
import torch

from backend.vision.decoding import decode_image
from backend.vision.pixel_batches import BATCHES_AHEAD, pixel_batches
from backend.vision.preprocessing import Preprocessing
from tests.vision.tiny import CountingLoader, encoded_image, image_keys

PREPROCESSING = Preprocessing(8, (0.5,) * 3, (0.5,) * 3)


def test_pixel_batches_keep_the_order_when_decoded_in_threads() -> None:
    keys = image_keys(25)
    batches = list(pixel_batches(keys, CountingLoader(), PREPROCESSING, batch_size=10))
    assert [len(batch.image_keys) for batch in batches] == [10, 10, 5]
    assert [key for batch in batches for key in batch.image_keys] == keys
    pixels = torch.cat([batch.pixels for batch in batches])
    for number in (0, 1, 13, 24):
        image = decode_image(encoded_image(number, brightness=60 if number % 2 == 0 else 190))
        assert torch.equal(pixels[number], PREPROCESSING.pixels(image))


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


def test_pixel_batches_raise_when_the_program_is_at_fault() -> None:
    def load(image_key: str) -> bytes:
        raise KeyError(image_key)

    with pytest.raises(KeyError):
        list(pixel_batches(image_keys(2), load, PREPROCESSING))


def test_pixel_batches_load_a_few_batches_ahead_when_the_network_is_slow() -> None:
    load = CountingLoader()
    batches = pixel_batches(image_keys(100), load, PREPROCESSING, batch_size=5)
    next(batches)
    batches.close()
    assert 5 <= len(load.loaded) <= 5 * (1 + BATCHES_AHEAD)
