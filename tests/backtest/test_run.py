"""Images are fetched once; random has no cold start."""

from __future__ import annotations

import pytest

from backend.acquisition.rule import Rule
from backend.backtest.images import kept_images
from backend.backtest.labels import read_labels
from backend.backtest.run import rule_of
from backend.errors import ImageError
from tests.backtest.conftest import (
    PROJECT_ID,
    Fetcher,
    ReadOnlyClient,
    labeled_task,
    labeled_tasks,
)


def test_kept_images_fetch_an_image_once_and_forget_it_after() -> None:
    fetcher = Fetcher()
    project = read_labels(ReadOnlyClient(labeled_tasks(3)), PROJECT_ID)

    for _ in range(2):
        with kept_images(fetcher, project) as (load, _stores):
            content = load(project.image_keys[1])
            assert load(project.image_keys[1]) == content == Fetcher().fetch("image-1", 1)

    assert fetcher.fetched == ["image-1", "image-1"]


def test_kept_images_ask_again_for_an_image_that_could_not_be_had() -> None:
    project = read_labels(ReadOnlyClient([labeled_task(1, "dark", uri="gone-1")]), PROJECT_ID)
    fetcher = Fetcher()

    with kept_images(fetcher, project) as (load, _stores):
        for _ in range(2):
            with pytest.raises(ImageError, match="404"):
                load(project.image_keys[0])

    assert len(fetcher.fetched) == 2


def test_rule_is_the_projects_with_another_strategy_but_random_has_no_cold_start() -> None:
    own = Rule("auto", "typiclust", 0.3)

    assert rule_of("margin", own) == Rule("margin", "typiclust", 0.3)
    assert rule_of("random", own) == Rule("random", "random", 0.3)
