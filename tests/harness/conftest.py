"""People at an imitation of Label Studio."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from backend.harness.annotate import Annotator
from backend.harness.api import Api
from backend.harness.crew import Crew
from backend.harness.person import Habits
from tests.harness.imitation import ImitationLabelStudio, imitation_label_studio

MakeCrew = Callable[..., tuple[Crew, ImitationLabelStudio]]


def wait_until(condition: Callable[[], Any]) -> None:
    """Return as soon as `condition` is true; fail after a minute."""
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "nothing happened for a minute"
        time.sleep(0.005)


@pytest.fixture
def make_crew() -> Iterator[MakeCrew]:
    """Makes crews of users named a, b, c, ... who take no time, and what they label in."""
    with ExitStack() as opened:

        def make(
            people: int = 1, habits: Habits | None = None, seed: int = 0, **state: Any
        ) -> tuple[Crew, ImitationLabelStudio]:
            imitation = opened.enter_context(imitation_label_studio(**state))
            apis = [Api(imitation.url, name) for name in "abcdef"[:people]]
            for api in apis:
                opened.callback(api.close)
            annotators = [Annotator(api, 7, lambda data: data["truth"]) for api in apis]
            habits = habits or Habits(pause_s=0.0, press_again_s=0.01)
            crew = Crew(annotators, habits, random.Random(seed))
            opened.callback(crew.__exit__, RuntimeError)
            return crew, imitation

        yield make
