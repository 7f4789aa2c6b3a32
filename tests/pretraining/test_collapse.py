from __future__ import annotations

import pytest

from backend.errors import PretrainingError
from backend.pretraining.collapse import CollapseWatch
from backend.pretraining.dino import TeacherEntropy

HEALTHY = TeacherEntropy(sample=0.3, batch=0.9)
CONFIDENT = TeacherEntropy(sample=0.0, batch=0.9)
UNIFORM = TeacherEntropy(sample=1.0, batch=1.0)
SINGLE = TeacherEntropy(sample=0.0, batch=0.0)


@pytest.mark.parametrize(("entropy", "words"), [(UNIFORM, "uniform"), (SINGLE, "single")])
def test_observe_raises_when_an_end_lasts(entropy: TeacherEntropy, words: str) -> None:
    watch = CollapseWatch(patience_steps=3)
    watch.observe(entropy)
    watch.observe(entropy)

    with pytest.raises(PretrainingError, match=f"collapsed: for 3 steps .* {words} output"):
        watch.observe(entropy)


def test_observe_begins_anew_when_the_teacher_recovers() -> None:
    watch = CollapseWatch(patience_steps=2)
    for entropy in (UNIFORM, HEALTHY, UNIFORM, CONFIDENT, SINGLE):
        watch.observe(entropy)
