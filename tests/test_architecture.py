"""Dependencies point one way: entry points, rounds, rooms, then settings and errors."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("backend.label_studio", "backend.vision", "backend.acquisition", "model_store")
GROUND = ("backend.settings", "backend.errors")


def modules(package: str) -> list[Path]:
    return sorted((ROOT / package.replace(".", "/")).rglob("*.py"))


def imported(path: Path) -> set[str]:
    """Absolute names that a module imports, also inside functions."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
    return names


def is_in(name: str, package: str) -> bool:
    return name == package or name.startswith(package + ".")


@pytest.mark.parametrize("room", ROOMS)
def test_room_imports_only_itself_and_the_ground(room):
    allowed = (room, *GROUND)
    for path in modules(room):
        own = {name for name in imported(path) if is_in(name, "backend") or is_in(name, ROOMS[3])}
        wrong = {
            name
            for name in own
            if name != "backend" and not any(is_in(name, package) for package in allowed)
        }
        assert not wrong, f"{path.relative_to(ROOT)} imports {sorted(wrong)}"


def test_acquisition_imports_only_numerical_packages():
    allowed = {"numpy", "torch", "sklearn", "scipy", "backend"}
    for path in modules("backend.acquisition"):
        tops = {name.split(".")[0] for name in imported(path)}
        foreign = {top for top in tops if top not in allowed and not _is_standard(top)}
        assert not foreign, f"{path.name} imports {foreign}"


@pytest.mark.parametrize("package", ["timm"])
def test_only_vision_and_its_pretraining_import_timm(package):
    for path in modules("backend") + modules("model_store"):
        room = path.relative_to(ROOT).parts[1]
        if any(is_in(name, package) for name in imported(path)):
            assert room in ("vision", "pretraining"), path


def test_service_never_imports_benchmarks_or_tests():
    for path in modules("backend") + modules("model_store"):
        tops = {name.split(".")[0] for name in imported(path)}
        assert not tops & {"benchmarks", "tests"}, path


def _is_standard(top: str) -> bool:
    import sys

    return top in sys.stdlib_module_names
