"""Where torch comes from when TORCH_INDEX is set: real pip, on indexes of small wheels in files.

`pypi` has torch for CUDA, which needs a CUDA package; `cpu` has it without, as a local version, and
a package of another name than torch that must not come from there.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pip
import pytest

from tests.container.dockerfile import Dockerfile

ROOT = Path(__file__).resolve().parents[2]
PLAIN = {"torch": "2.14.1", "torchvision": "0.29.1"}
CPU = {name: f"{version}+cpu" for name, version in PLAIN.items()}
OTHERS = {"label-studio-ml": "1.0.9", "cuda-toolkit": "13.0"}


def add_wheel(index: Path, name: str, version: str, *requires: str) -> str:
    """Put an empty wheel into an index in files; its pin with its hash."""
    stem = f"{name.replace('-', '_')}-{version}"
    folder = index / name
    folder.mkdir(parents=True, exist_ok=True)
    metadata = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    metadata += [f"Requires-Dist: {requirement}" for requirement in requires]
    file = folder / f"{stem}-py3-none-any.whl"
    with zipfile.ZipFile(file, "w") as wheel:
        wheel.writestr(f"{stem}.dist-info/METADATA", "\n".join(metadata) + "\n")
        wheel.writestr(f"{stem}.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        wheel.writestr(f"{stem}.dist-info/RECORD", "")
        # Tells wheels of the same name and version apart.
        wheel.writestr(f"from_{index.name}.txt", "")
    (folder / "index.html").write_text(f'<a href="{file.name}">{file.name}</a>')
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    return f"{name}=={version} \\\n    --hash=sha256:{digest}"


class Machine:
    """A folder with our files, a virtual environment with pip alone, and two indexes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.pypi, self.cpu = folder / "pypi", folder / "cpu"
        self.bin = folder / ".venv" / "bin"
        venv.create(folder / ".venv", symlinks=True)
        [self._packages] = (folder / ".venv").glob("lib/python*/site-packages")
        shutil.copytree(Path(pip.__file__).parent, self._packages / "pip")
        (self.bin / "pip").write_text(f'#!/bin/sh\nexec {self.bin}/python -m pip "$@"\n')
        (self.bin / "pip").chmod(0o755)
        requires = {"torch": ["cuda-toolkit"], "torchvision": ["torch==2.14.1"]}
        wheels = {
            name: add_wheel(self.pypi, name, version, *requires.get(name, ()))
            for name, version in (PLAIN | OTHERS).items()
        }
        for name, version in CPU.items():
            add_wheel(self.cpu, name, version)
        add_wheel(self.cpu, "label-studio-ml", "1.0.9+cpu")
        self._write("requirements.txt", *(f"{name}=={pin}" for name, pin in PLAIN.items()))
        self._write("requirements-label-studio-ml.txt", "label-studio-ml==1.0.9")
        self._write("requirements.lock", wheels.pop("label-studio-ml"))
        self._write("requirements-cuda.lock", *wheels.values())
        shutil.copy(ROOT / "Makefile", folder)

    def run(self, *command: str, **environ: str) -> subprocess.CompletedProcess[str]:
        """A command run in the folder, where pip knows `pypi` and no other index."""
        foreign = {name for name in os.environ if name.startswith(("PIP_", "MAKE", "MFLAGS"))}
        own = {name: value for name, value in os.environ.items() if name not in foreign}
        own |= {"PIP_CONFIG_FILE": os.devnull, "PIP_INDEX_URL": self.pypi.as_uri()}
        own |= {"PATH": f"{self.bin}:{os.environ['PATH']}", "PIP_NO_CACHE_DIR": "1"} | environ
        return subprocess.run(command, cwd=self.folder, env=own, capture_output=True, text=True)

    def make(self, *variables: str) -> subprocess.CompletedProcess[str]:
        """Install as `make demo` does."""
        return self.run("make", ".venv/.service", f"PYTHON={sys.executable}", *variables)

    def run_dockerfile(self, torch_index: str) -> subprocess.CompletedProcess[str]:
        """Install as the Dockerfile does."""
        dockerfile = Dockerfile.read((ROOT / "Dockerfile").read_text())
        [command] = [
            each.text
            for each in dockerfile.instructions
            if each.name == "RUN" and "pip install" in each.text
        ]
        return self.run("sh", "-c", command, TORCH_INDEX=torch_index)

    def installed(self) -> dict[str, str]:
        """Versions by name."""
        names = (path.stem.rpartition("-") for path in self._packages.glob("*.dist-info"))
        return {name.replace("_", "-"): version for name, _, version in names}

    def _write(self, name: str, *lines: str) -> None:
        (self.folder / name).write_text("\n".join(lines) + "\n")


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def succeeded(done: subprocess.CompletedProcess[str]) -> bool:
    assert done.returncode == 0, done.stdout + done.stderr
    return True


def test_make_installs_torch_with_cuda_when_no_index_is_named(machine):
    assert succeeded(machine.make())
    assert machine.installed() == PLAIN | OTHERS


def test_make_takes_torch_alone_from_another_index(machine):
    assert succeeded(machine.make(f"TORCH_INDEX={machine.cpu.as_uri()}"))
    assert machine.installed() == CPU | {"label-studio-ml": "1.0.9"}


def test_dockerfile_installs_torch_with_cuda_when_no_index_is_named(machine):
    assert succeeded(machine.run_dockerfile(""))
    assert machine.installed() == PLAIN | OTHERS


def test_dockerfile_takes_torch_alone_from_another_index(machine):
    assert succeeded(machine.run_dockerfile(machine.cpu.as_uri()))
    assert machine.installed() == CPU | {"label-studio-ml": "1.0.9"}


@pytest.mark.parametrize("name", ["torch", "label-studio-ml"])
def test_dockerfile_refuses_a_wheel_that_is_another_one(machine, name):
    add_wheel(machine.pypi, name, (PLAIN | OTHERS)[name], "attrs")
    done = machine.run_dockerfile("")
    assert done.returncode != 0
    assert "DO NOT MATCH THE HASHES" in done.stderr
    assert name not in machine.installed()
