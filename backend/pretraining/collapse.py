"""Stops a run whose teacher has collapsed, before it wastes the night.

Source: Caron et al., ICCV 2021, section 5.3: a collapsed teacher gives the same output for every
image, either uniform (entropy log K) or one single dimension (entropy 0).
"""

from __future__ import annotations

from backend.errors import PretrainingError
from backend.pretraining.dino import TeacherEntropy

UNIFORM = 0.999
SINGLE = 0.001
PATIENCE_STEPS = 500


class CollapseWatch:
    """Counts the steps in a row at either end of the entropy's range."""

    def __init__(self, patience_steps: int = PATIENCE_STEPS) -> None:
        self.patience_steps = patience_steps
        self.steps_at_end = 0

    def observe(self, entropy: TeacherEntropy) -> None:
        """Note one step.

        Raises:
            PretrainingError: the entropy has been at an end for too long.
        """
        end = collapsed_end(entropy)
        self.steps_at_end = self.steps_at_end + 1 if end else 0
        if self.steps_at_end >= self.patience_steps:
            raise PretrainingError(
                f"the teacher has collapsed: for {self.steps_at_end} steps it gave every image "
                f"{end}; start again with a smaller --lr or a higher --momentum"
            )


def collapsed_end(entropy: TeacherEntropy) -> str | None:
    """What a collapsed teacher answers, None for one that tells images apart."""
    if entropy.sample > UNIFORM:
        return "the same uniform output (entropy log K)"
    if entropy.batch < SINGLE:
        return "the same single output (entropy 0)"
    return None
