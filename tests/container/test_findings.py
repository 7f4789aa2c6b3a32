"""What a built image is looked at for, on folders that stand for images."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.container.findings import User, cached_files, compilers, examine, none_of, writable

ME = User(os.getuid(), os.getgid(), "/home/me")
NOBODY = User(65534, 65534, "/")
PASSWD = "root:x:0:0:root:/root:/bin/sh\nme:x:{}:{}::/home/me:/bin/sh\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """An image of folders that nobody but their owner may write."""
    for folder in ("etc", "usr/bin", "app/backend", "data", "home/me", "tmp"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "etc/passwd").write_text(PASSWD.format(ME.uid, ME.gid))
    (tmp_path / "app/backend/web.py").touch(0o644)
    (tmp_path / "tmp").chmod(0o1777)
    (tmp_path / "data").chmod(0o700)
    return tmp_path


def test_user_is_read_from_the_image(root):
    assert User.named(root, "me") == ME


def test_compiler_is_found_when_it_is_a_link_to_nothing_here(root):
    assert compilers(root) == []
    (root / "usr/bin/cc").symlink_to("/no/such/place/here/cc")
    assert compilers(root) == ["/usr/bin/cc"]


@pytest.mark.parametrize(
    "path",
    [
        "root/.cache/pip/http/1",
        "home/me/.cache/pip/1",
        "var/cache/apt/archives/a.deb",
        "var/lib/apt/lists/lock",
        "tmp/pip-1/left",
        "root/.config/pip/pip.conf",
    ],
)
def test_cache_is_found_when_a_file_is_left_in_it(root, path):
    assert cached_files(root) == []
    (root / path).parent.mkdir(parents=True)
    (root / path).touch()
    assert cached_files(root) == [f"/{path}"]


def test_nothing_is_writable_when_all_is_anothers(root):
    assert writable(root, NOBODY) == []


def test_file_is_writable_when_others_may_write(root):
    (root / "app/backend/web.py").chmod(0o646)
    assert writable(root, NOBODY) == ["/app/backend/web.py"]


def test_folder_is_writable_when_its_group_may_write_and_stands_for_what_is_in_it(root):
    (root / "app").chmod(0o775)
    (root / "app/backend").chmod(0o777)
    assert writable(root, User(65534, ME.gid, "/")) == ["/app"]


def test_folder_of_all_is_left_out_when_it_is_a_known_one(root):
    (root / "home/me").chmod(0o777)
    assert writable(root, NOBODY) == ["/home/me"]


def test_all_is_well_when_the_user_owns_its_volume_alone(root):
    findings = {finding.text: finding.is_good for finding in examine(root, ME, ["/data"])}
    assert findings["/data is its user's alone: 700"]
    (root / "data").chmod(0o755)
    findings = {finding.text: finding.is_good for finding in examine(root, ME, ["/data"])}
    assert not findings["/data is its user's alone: 755"]


def test_finding_names_what_was_found():
    assert str(none_of("compilers", [])) == "ok    no compilers"
    assert str(none_of("compilers", ["/usr/bin/cc"])) == "FAIL  1 compilers: /usr/bin/cc"
