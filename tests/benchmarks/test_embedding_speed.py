"""The speed measurement embeds every image in both ways."""

from __future__ import annotations

from pathlib import Path

from backend.vision import BackboneSpec, VisionConfig, VisionSession
from benchmarks.embedding_speed import measure_embedding
from tests.vision.tiny import CountingLoader, image_keys, new_tiny_vit, save_with_card


def test_measure_embedding_loads_every_image_once_a_turn_and_once_ahead(tmp_path: Path) -> None:
    weights = save_with_card(new_tiny_vit(), tmp_path / "tiny.safetensors")
    config = VisionConfig(BackboneSpec("not_used", weights), device="cpu")
    load = CountingLoader()
    speed = measure_embedding(VisionSession.open(config), image_keys(7), load, repeats=2)
    assert len(load.loaded) == 7 * (1 + 2)
    assert speed.images_s > 0
    assert speed.network_images_s > 0
