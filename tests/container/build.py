"""Builds the image in a folder, in a mount namespace of its own; prints what each step added."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

from tests.container.dockerfile import Dockerfile
from tests.container.findings import User, examine
from tests.container.host import own_environment
from tests.container.image import Image, Step, size_mb

ROOT = Path(__file__).resolve().parents[2]
SHOWN_LETTERS = 70


def build(root: Path, arguments: Mapping[str, str]) -> bool:
    """Whether the image was built in `root` and nothing is wrong with what is in it."""
    dockerfile = Dockerfile.read((ROOT / "Dockerfile").read_text())
    image = Image(root, ROOT, own_environment())
    steps = []
    for step in image.build(dockerfile, arguments):
        steps.append(step)
        print(_line(step), flush=True)
    print(_sizes(steps, size_mb(root)), flush=True)
    findings = list(examine(root, User.named(root, dockerfile.user), dockerfile.volumes))
    print(*findings, sep="\n", flush=True)
    return all(finding.is_good for finding in findings)


def _line(step: Step) -> str:
    text = " ".join(f"{step.instruction.name} {step.instruction.text}".split())
    return f"{step.added_mb:8.1f} MB {step.took_s:6.1f} s  {text[:SHOWN_LETTERS]}"


def _sizes(steps: list[Step], total_mb: float) -> str:
    base = sum(step.added_mb for step in steps if step.instruction.name == "FROM")
    return f"{total_mb:8.1f} MB           in all: base {base:.1f}, ours {total_mb - base:.1f}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("root", type=Path)
    parser.add_argument("torch_index")
    chosen = parser.parse_args()
    raise SystemExit(not build(chosen.root, {"TORCH_INDEX": chosen.torch_index}))
