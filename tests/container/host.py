"""What a build borrows from the machine it runs on: names, certificates, where packages are."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit

# A build's network is its host's, by the names that the host knows.
NAME_FILES = (Path("/etc/resolv.conf"), Path("/etc/hosts"))
PASSED_ON = ("PIP_", "SSL_CERT_")
PASSED_ON_ENDINGS = ("_PROXY", "_proxy", "_CA_BUNDLE")


def package_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """What says where pip finds packages here: variables, and pip's files as variables.

    A builder would give an image's build the same by proxies and secrets, and keep none of it.
    """
    passed_on = {
        name: value
        for name, value in environ.items()
        if name.startswith(PASSED_ON) or name.endswith(PASSED_ON_ENDINGS)
    }
    command = [sys.executable, "-m", "pip", "config", "list", "--disable-pip-version-check"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return _of_pip_files(listed.splitlines()) | passed_on


def _of_pip_files(lines: Iterable[str]) -> dict[str, str]:
    found = {}
    for line in lines:
        key, _, value = line.partition("=")
        section, _, option = key.partition(".")
        if section == "global":
            name = "PIP_" + option.upper().replace("-", "_")
            found[name] = " ".join(str(ast.literal_eval(value)).split())
    return found


def folders_named(environment: Mapping[str, str]) -> list[Path]:
    """The files and folders of this machine that such an environment names.

    Of an index in files the folder above it, where its wheels lie.
    """
    found = set()
    for word in " ".join(environment.values()).split():
        if word.startswith("file://"):
            found.add(Path(unquote(urlsplit(word).path)).parent)
        elif word.startswith("/"):
            found.add(Path(word))
    return sorted(path for path in found if path.exists() and len(path.parts) > 2)


@contextmanager
def lent(root: Path, paths: Mapping[Path, Path]) -> Iterator[None]:
    """Files and folders of this machine, read-only in `root` for as long as this lasts.

    paths: where each shall be in `root`, and which it is. Nothing is left of it afterwards, also
    not the folders that had to be made.
    """
    with ExitStack() as given:
        for inside, source in paths.items():
            given.enter_context(_mounted(source.resolve(), _below(root, inside)))
        yield


def _below(root: Path, path: Path) -> Path:
    return root / path.relative_to("/")


@contextmanager
def _mounted(source: Path, target: Path) -> Iterator[None]:
    made = _make_place(target, is_folder=source.is_dir())
    subprocess.run(["mount", "--bind", "--read-only", source, target], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", target], check=True)
        for path in made:
            path.rmdir() if path.is_dir() else path.unlink()


def _make_place(target: Path, *, is_folder: bool) -> list[Path]:
    """The paths that were made so that something can be mounted at `target`, the deepest first."""
    missing = [path for path in (target, *target.parents) if not path.exists()]
    if missing:
        (target if is_folder else target.parent).mkdir(parents=True, exist_ok=True)
        if not is_folder:
            target.touch()
    return missing


def name_files() -> dict[Path, Path]:
    """The files of NAME_FILES that are here."""
    return {path: path for path in NAME_FILES if path.exists()}


def borrowed(environment: Mapping[str, str]) -> dict[Path, Path]:
    """All that a build with this environment needs of this machine's files."""
    return name_files() | {path: path for path in folders_named(environment)}


def own_environment() -> dict[str, str]:
    """`package_environment` of this process."""
    return package_environment(os.environ)
