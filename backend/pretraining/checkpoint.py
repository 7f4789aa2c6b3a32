"""A run's checkpoint: the state it goes on from after a kill."""

from __future__ import annotations

import os
import pickle
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from backend.errors import PretrainingError


@dataclass(frozen=True)
class Progress:
    """Where a run stands: whole epochs done, images of the next one seen, and the batch size."""

    epoch: int
    position: int
    batch_size: int


@dataclass(frozen=True)
class RunState:
    """A checkpoint's content.

    identity: a text of everything that must be equal for a run to go on from here.
    dino: networks, center and optimizer, as `Dino.state_dict` returns them.
    """

    identity: str
    progress: Progress
    dino: dict[str, Any]


def save(path: Path, state: RunState) -> None:
    """Write the checkpoint beside the old one, then put it in its place in one move."""
    partial = path.with_name(path.name + ".partial")
    content = {
        "identity": state.identity,
        "progress": asdict(state.progress),
        "dino": state.dino,
    }
    with partial.open("wb") as file:
        torch.save(content, file)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def load(path: Path, identity: str) -> RunState | None:
    """The state to go on from, None when there is none.

    Raises PretrainingError when the file is damaged or belongs to another run.
    """
    if not path.exists():
        return None
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        state = RunState(
            content["identity"], Progress(**content["progress"]), dict(content["dino"])
        )
    except (OSError, RuntimeError, EOFError, LookupError, TypeError, ValueError) as error:
        raise PretrainingError(f"{path} is damaged ({error}); delete it to start anew") from error
    except pickle.UnpicklingError as error:
        raise PretrainingError(f"{path} is no checkpoint ({error}); delete it") from error
    if state.identity != identity:
        raise PretrainingError(
            f"{path} belongs to a run with other settings or other images; repeat those, name "
            "another --out, or delete it to start anew"
        )
    return state
