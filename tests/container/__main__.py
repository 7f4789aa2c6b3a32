"""`make container`: builds what the Dockerfile says, without an engine, and tries it out.

Every step, its size, and every finding is a line; the exit status is 0 if all is good. Needs root,
debootstrap, 8 GB of disk, and Label Studio in LABEL_STUDIO_VENV. Nothing is left of it, also when
it is interrupted: it works in namespaces and in one temporary folder.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from backend.harness.server import BINARY

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ("debootstrap", "unshare", "chroot", "mount", "ip", "du")
NAMESPACES = ("--mount", "--pid", "--fork", "--kill-child", "--mount-proc")


def main() -> int:
    """Build and try; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.container", description=__doc__)
    parser.add_argument("--torch-index", default="", help="as the Dockerfile's TORCH_INDEX")
    parser.add_argument("--folder", type=Path, help="where the image is built; default: TMPDIR")
    parser.add_argument("--keep", action="store_true", help="keep the image's folder")
    chosen = parser.parse_args()
    missing = _what_is_missing()
    if missing:
        print(missing, file=sys.stderr)
        return 1
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    with _folder(chosen.folder, keep=chosen.keep) as folder:
        root, scratch = folder / "root", folder / "trial"
        root.mkdir()
        scratch.mkdir()
        built = _in_namespaces([], "tests.container.build", str(root), chosen.torch_index)
        if built != 0:
            return built
        more = (str(root), _label_studio_venv(), str(scratch))
        return _in_namespaces(["--net"], "tests.container.trial", *more)


def _in_namespaces(more: list[str], module: str, *arguments: str) -> int:
    """The exit status of a module; its mounts and processes are gone however it ended."""
    command = ["unshare", *NAMESPACES, *more, "--", sys.executable, "-m", module, *arguments]
    return subprocess.run(command, cwd=ROOT).returncode


@contextmanager
def _folder(parent: Path | None, *, keep: bool) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="alfa-mix-container-", dir=parent))
    # Its user has to reach what is below.
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        if keep:
            print(f"kept: {folder}")
        else:
            shutil.rmtree(folder)


def _label_studio_venv() -> str:
    return os.environ.get("LABEL_STUDIO_VENV", str(ROOT / ".venv-label-studio"))


def _what_is_missing() -> str | None:
    """A sentence on what keeps this from running here; None where nothing does."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "needed are Linux and root: the image is built in namespaces (unshare, chroot)"
    lacking = [tool for tool in TOOLS if shutil.which(tool) is None]
    if lacking:
        return f"not installed: {', '.join(lacking)} (debootstrap, util-linux, iproute2)"
    if not (Path(_label_studio_venv()) / BINARY).exists():
        return (
            f"no Label Studio in {_label_studio_venv()}: `make install`, or set LABEL_STUDIO_VENV"
        )
    return None


if __name__ == "__main__":
    raise SystemExit(main())
