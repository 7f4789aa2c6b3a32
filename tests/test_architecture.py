"""The whole order of the house: what a room may import, and where each package comes in."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
# From the top down. A room imports rooms of lower floors only: never up, never its own floor.
FLOORS = (
    ("backend.__main__",),
    ("backend.backtest", "backend.demo", "backend.web", "backend.loop"),
    (
        "backend.doctor",
        "backend.replay",
        "backend.harness",
        "backend.pretraining",
        "backend.sdk",
    ),
    ("backend.process",),
    (
        "backend.acquisition",
        "backend.evaluation",
        "backend.vision",
        "backend.label_studio",
        "model_store",
    ),
    ("backend.decoding", "backend.settings"),
    ("backend.errors",),
)
FLOOR_OF = {room: number for number, floor in enumerate(FLOORS) for room in floor}
# Packages that one room alone may know.
OWNERS = {
    "timm": {"backend.vision", "backend.pretraining"},
    "label_studio_sdk": {"backend.label_studio"},
    "label_studio_ml": {"backend.sdk"},
    "sqlalchemy": {"model_store"},
    "flask": {"backend.web"},
    "pydantic": {"backend.web", "backend.label_studio"},
    "lightly": {"backend.pretraining"},
    "gunicorn": {"backend.web"},
    "waitress": {"backend.web"},
}
NUMERICAL = {"numpy", "torch", "sklearn", "scipy"}


def modules() -> list[Path]:
    return sorted([*(ROOT / "backend").rglob("*.py"), *(ROOT / "model_store").rglob("*.py")])


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


def imported(path: Path) -> set[str]:
    """Absolute names that a module imports, also inside functions."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def room_of(name: str) -> str | None:
    """The room that a module or a name in it belongs to; None for what is not ours."""
    return next((room for room in FLOOR_OF if f"{name}.".startswith(f"{room}.")), None)


def test_every_module_stands_in_a_room():
    loose = [name_of(path) for path in modules() if room_of(name_of(path)) is None]
    assert loose == ["backend.__init__"]


@pytest.mark.parametrize("room", FLOOR_OF)
def test_room_imports_only_lower_floors(room):
    for path in modules():
        if room_of(name_of(path)) != room:
            continue
        found = {room_of(name) for name in imported(path)} - {None, room}
        wrong = {other for other in found if FLOOR_OF[other] <= FLOOR_OF[room]}
        assert not wrong, f"{path.relative_to(ROOT)} imports {sorted(wrong)}"


@pytest.mark.parametrize("package", OWNERS)
def test_package_is_known_to_its_owners_only(package):
    for path in modules():
        if any(name.split(".")[0] == package for name in imported(path)):
            assert room_of(name_of(path)) in OWNERS[package], path.relative_to(ROOT)


def test_acquisition_imports_only_numerical_packages():
    for path in modules():
        if room_of(name_of(path)) == "backend.acquisition":
            tops = {name.split(".")[0] for name in imported(path)}
            foreign = tops - NUMERICAL - {"backend"} - sys.stdlib_module_names
            assert not foreign, f"{path.relative_to(ROOT)} imports {foreign}"


def test_service_never_imports_benchmarks_or_tests():
    for path in modules():
        tops = {name.split(".")[0] for name in imported(path)}
        assert not tops & {"benchmarks", "tests"}, path.relative_to(ROOT)
