"""A disk that can be full, and whose power can be cut: ext4 on a loop device (Linux, as root).

What a cut leaves is what the file system had written by then. Files that were not synced are gone
or half there, as on a real disk; ext4's own help for programs that do not sync is off. It does not
show a disk that says it wrote what it did not, nor a sector that is half written.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from backend.errors import DemoError

SIZE_MIB = 192
BLOCK = 4096
# The threads of a process that was killed may outlive it for a moment.
LET_GO_S = 20.0
# noauto_da_alloc: a file that replaces another one is not synced by ext4 itself. commit: nor is
# anything else, for so many seconds.
OPTIONS = "loop,noauto_da_alloc,commit=300"


class Disk:
    """A small disk, mounted at `path`."""

    def __init__(self, image: Path, path: Path) -> None:
        self.path = path
        self._image = image
        self._filler = path / "filler"

    def fill(self) -> None:
        """Leave no space on it."""
        with self._filler.open("wb", buffering=0) as file, suppress(OSError):
            while True:
                file.write(bytes(BLOCK))

    def free(self) -> None:
        """Give the space back."""
        self._filler.unlink()

    def mount(self) -> None:
        """DemoError: nobody may mount here."""
        _run("mount", "-o", OPTIONS, str(self._image), str(self.path))

    def unmount(self) -> None:
        """Take it away once those that were killed let go of it. DemoError: somebody uses it."""
        deadline = time.monotonic() + LET_GO_S
        while True:
            try:
                _run("umount", str(self.path))
                return
            except DemoError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)

    def photograph(self) -> Path:
        """A copy of all that has been written to the disk; whoever writes to it must stand still.

        The file system may write all the same: then the copy is taken once more.
        """
        copy = self._image.with_suffix(".copy")
        while True:
            before = self._writes()
            _run("cp", "--sparse=always", str(self._image), str(copy))
            if self._writes() == before and before[-1] == "0":
                return copy

    def go_back(self, copy: Path) -> None:
        """Be what the copy is: the power was cut when it was taken."""
        self.unmount()
        copy.replace(self._image)
        self.mount()

    def _writes(self) -> tuple[str, ...]:
        """Writes done and under way, by the kernel's count for the loop device."""
        found = _run("findmnt", "--noheadings", "--output", "SOURCE", str(self.path))
        fields = Path("/sys/block", Path(found.strip()).name, "stat").read_text().split()
        return fields[4], fields[6], fields[8]


@contextmanager
def disk(folder: Path, size_mib: int = SIZE_MIB) -> Iterator[Disk]:
    """A disk in a folder. DemoError: nobody may make one here."""
    image, path = folder / "disk.img", folder / "disk"
    path.mkdir(parents=True)
    with image.open("wb") as file:
        file.truncate(size_mib * 2**20)
    _run("mkfs.ext4", "-q", "-m", "0", str(image))
    made = Disk(image, path)
    made.mount()
    try:
        yield made
    finally:
        made.unmount()


def _run(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        reason = getattr(error, "stderr", None) or error
        raise DemoError(f"{' '.join(command)}: {reason}; needed are Linux and root") from error
    return done.stdout
