"""A run's checkpoint: the state it goes on from after a kill."""

from __future__ import annotations

import pickle
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from backend.errors import PretrainingError
from model_store.files import write_atomically


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
    dino: networks, center and optimizer, as in `Dino.state_dict`.
    """

    identity: str
    progress: Progress
    dino: dict[str, Any]


def save(path: Path, state: RunState) -> None:
    """Write the checkpoint in place of the old one, wholly or not at all.

    Raises:
        StoreError: it cannot be written.
    """
    content = {
        "identity": state.identity,
        "progress": asdict(state.progress),
        "dino": state.dino,
    }

    def fill(temporary: Path) -> None:
        # torch itself opens no file whose name begins with a dot
        with temporary.open("wb") as file:
            torch.save(content, file)

    write_atomically(path, fill)


def load(path: Path, identity: str) -> RunState | None:
    """The state to go on from, None when there is none.

    Raises:
        PretrainingError: the file is damaged or belongs to another run.
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
