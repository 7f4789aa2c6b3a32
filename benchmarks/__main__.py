"""`python -m benchmarks NAME ...` runs `benchmarks/NAME.py` (a dash in NAME is an underscore)."""

from __future__ import annotations

import importlib
import pkgutil
import sys
from pathlib import Path

import benchmarks


def names() -> list[str]:
    """Return the benchmarks there are: the public modules of this package with a `main(argv)`."""
    modules = (m.name for m in pkgutil.iter_modules(benchmarks.__path__))
    folder = Path(benchmarks.__path__[0])
    return sorted(
        name.replace("_", "-")
        for name in modules
        if not name.startswith("_") and "\ndef main(argv" in _source(folder, name)
    )


def _source(folder: Path, name: str) -> str:
    file = folder / f"{name}.py"
    return file.read_text(encoding="utf-8") if file.is_file() else ""


def main(argv: list[str]) -> int:
    """Run the benchmark that the first argument names; return its exit code."""
    if not argv or argv[0] not in names():
        print(f"usage: python -m benchmarks {{{','.join(names())}}} ...", file=sys.stderr)
        return 0 if argv and argv[0] in ("-h", "--help") else 2
    module = importlib.import_module(f"benchmarks.{argv[0].replace('-', '_')}")
    return module.main(argv[1:])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
