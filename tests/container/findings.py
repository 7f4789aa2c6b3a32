"""What a built image is looked at for: what should not be in it, and who may write where."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

COMPILERS = ("cc", "gcc", "g++", "c++", "clang", "ld", "as", "make", "cmake", "cargo", "go", "nvcc")
PROGRAM_FOLDERS = ("usr/local/bin", "usr/local/sbin", "usr/bin", "usr/sbin", "bin", "sbin")
# What package managers keep for the next time, and what a build may forget.
CACHES = (
    *("var/cache/apt/archives", "var/lib/apt/lists", "root/.cache", "home/*/.cache"),
    *("tmp", "var/tmp", "root/.config", "root/.local"),
)
# Anybody may make files of his own there.
SHARED_FOLDERS = ("/tmp", "/var/tmp", "/run/lock", "/dev/shm")


@dataclass(frozen=True)
class Finding:
    """One line of the report."""

    is_good: bool
    text: str

    def __str__(self) -> str:
        return f"{'ok  ' if self.is_good else 'FAIL'}  {self.text}"


@dataclass(frozen=True)
class User:
    """A line of an image's /etc/passwd."""

    uid: int
    gid: int
    home: str

    @classmethod
    def named(cls, root: Path, name: str) -> User:
        """The user of an image. KeyError: there is none of that name."""
        lines = (root / "etc/passwd").read_text().splitlines()
        fields = {line.split(":")[0]: line.split(":") for line in lines}[name]
        return cls(int(fields[2]), int(fields[3]), fields[5])


def none_of(what: str, found: Iterable[object]) -> Finding:
    """Good if nothing was found; names the first few."""
    listed = [str(each) for each in found]
    shown = ", ".join(listed[:5])
    return Finding(not listed, f"no {what}" if not listed else f"{len(listed)} {what}: {shown}")


def compilers(root: Path) -> list[str]:
    """Compilers and linkers of an image, as paths in it."""
    paths = (root / folder / name for folder in PROGRAM_FOLDERS for name in COMPILERS)
    return [f"/{path.relative_to(root)}" for path in paths if path.is_symlink() or path.exists()]


def cached_files(root: Path) -> list[str]:
    """Files below CACHES, as paths in the image."""
    folders = [folder for pattern in CACHES for folder in root.glob(pattern)]
    return [
        f"/{path.relative_to(root)}"
        for folder in folders
        for path in folder.rglob("*")
        if not path.is_dir()
    ]


def writable(root: Path, user: User) -> list[str]:
    """What the user may write outside of SHARED_FOLDERS, as paths in the image.

    A folder stands for all below it.
    """
    return [f"/{path.relative_to(root)}" for path in _writable(root, root, user)]


def _writable(root: Path, folder: Path, user: User) -> Iterator[Path]:
    for entry in os.scandir(folder):
        path = Path(entry.path)
        status = entry.stat(follow_symlinks=False)
        is_file, is_folder = stat.S_ISREG(status.st_mode), stat.S_ISDIR(status.st_mode)
        if f"/{path.relative_to(root)}" in SHARED_FOLDERS or not (is_file or is_folder):
            continue
        if _may_write(status, user):
            yield path
        elif is_folder:
            yield from _writable(root, path, user)


def _may_write(status: os.stat_result, user: User) -> bool:
    if status.st_uid == user.uid:
        return bool(status.st_mode & stat.S_IWUSR)
    if status.st_gid == user.gid:
        return bool(status.st_mode & stat.S_IWGRP)
    return bool(status.st_mode & stat.S_IWOTH)


def open_to_others(folder: Path) -> list[Path]:
    """What below `folder`, itself included, its group or others have any right to."""
    paths = (folder, *folder.rglob("*"))
    return [path for path in paths if path.lstat().st_mode & (stat.S_IRWXG | stat.S_IRWXO)]


def examine(root: Path, user: User, volumes: Iterable[str]) -> Iterator[Finding]:
    """Findings about a built image that nobody has started yet."""
    yield none_of("compilers", compilers(root))
    yield none_of("caches of apt and pip, no temporary files", cached_files(root))
    own = [*volumes, user.home]
    others = [path for path in writable(root, user) if path not in own]
    yield none_of(f"file that its user may write but {' and '.join(own)}", others)
    for volume in volumes:
        folder = root / volume.lstrip("/")
        is_own = folder.stat().st_uid == user.uid
        is_private = is_own and not open_to_others(folder)
        yield Finding(
            is_private, f"{volume} is its user's alone: {folder.stat().st_mode & 0o777:o}"
        )
