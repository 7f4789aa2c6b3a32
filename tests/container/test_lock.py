"""The locks of the container against the pins that everybody else installs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import NormalizedName, canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
PINNED = ("requirements.txt", "requirements-label-studio-ml.txt")
PLAIN, CUDA = "requirements.lock", "requirements-cuda.lock"
# Of packages that only torch for CUDA needs.
CUDA_NAME = re.compile(r"torch|torchvision|triton|cuda-.*|nvidia-.*")
HASHES = re.compile(r"(?: \\\n    --hash=sha256:[0-9a-f]{64})+")


def entries(file: str) -> dict[NormalizedName, str]:
    """Version by name of a lock; fails where a line is anything but a pin with hashes."""
    text = (ROOT / file).read_text()
    found = {}
    for entry in re.split(r"\n(?=\S)", text.strip()):
        if entry.startswith("#"):
            continue
        line, slash, _hashes = entry.partition(" \\\n")
        assert HASHES.fullmatch(slash + _hashes), entry[:200]
        requirement = Requirement(line)
        assert re.fullmatch("==[^*]+", str(requirement.specifier)), line
        found[canonicalize_name(requirement.name)] = str(requirement.specifier)[2:]
    return found


def pins() -> dict[NormalizedName, str]:
    lines = [line for file in PINNED for line in (ROOT / file).read_text().splitlines()]
    requirements = [Requirement(line) for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(each.name): str(each.specifier)[2:] for each in requirements}


def test_every_pin_is_in_a_lock():
    locked = entries(PLAIN) | entries(CUDA)
    differing = {name: (pin, locked.get(name)) for name, pin in pins().items()}
    differing = {name: both for name, both in differing.items() if both[0] != both[1]}
    assert differing == {}, "`make lock`"


def test_locks_share_no_package():
    assert entries(PLAIN).keys() & entries(CUDA).keys() == set()


@pytest.mark.parametrize(("file", "is_cuda"), [(PLAIN, False), (CUDA, True)])
def test_packages_for_cuda_stand_apart(file, is_cuda):
    wrong = [name for name in entries(file) if bool(CUDA_NAME.fullmatch(name)) != is_cuda]
    assert wrong == []


@pytest.mark.parametrize("file", [PLAIN, CUDA])
def test_lock_names_no_place_to_get_packages_from(file):
    assert not re.search(r"://|--(extra-)?index|--find-links", (ROOT / file).read_text())
