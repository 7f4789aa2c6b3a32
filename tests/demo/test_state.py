"""What a demo folder remembers."""

from __future__ import annotations

import random
import stat

import pytest

from backend.demo.bring_up import demo_images
from backend.demo.state import DemoFolder
from backend.errors import DemoError
from backend.harness.dataset import read_dataset


def class_folders(root):
    """A folder of two classes with two images each."""
    for name in ("cat", "dog"):
        (root / name).mkdir(parents=True)
        for number in range(2):
            (root / name / f"{number}.png").touch()
    return root


def test_state_is_the_last_one_when_read_again(tmp_path):
    folder = DemoFolder(tmp_path)
    state = folder.write(folder.read(), backend_port=9191, project_id=4)

    assert DemoFolder(tmp_path).read() == state
    assert (state.backend_port, state.project_id, state.imported) == (9191, 4, False)


def test_state_is_readable_by_its_owner_alone(tmp_path):
    folder = DemoFolder(tmp_path)
    folder.write(folder.read())

    assert stat.S_IMODE((tmp_path / "demo.json").stat().st_mode) == 0o600


def test_new_states_share_no_secret(tmp_path):
    first, second = (DemoFolder(tmp_path / name).read() for name in ("a", "b"))

    assert first.password != second.password
    assert first.token != second.token
    assert len(first.token) == 40


def test_folder_is_refused_when_a_demo_runs_on_it(tmp_path):
    with DemoFolder(tmp_path).locked(), pytest.raises(DemoError, match="another --folder"):
        DemoFolder(tmp_path).locked().__enter__()

    with DemoFolder(tmp_path).locked():
        pass


def test_images_are_those_of_the_first_start_when_none_are_chosen(tmp_path):
    chosen = class_folders(tmp_path / "pets")
    folder = DemoFolder(tmp_path / "demo")
    first = demo_images(folder, chosen)
    (chosen / "cat" / "new.png").touch()

    assert demo_images(folder, None) == first
    assert demo_images(folder, chosen) == first
    assert read_dataset(chosen, random.Random(0)) != first


def test_images_are_refused_when_the_project_has_others(tmp_path):
    folder = DemoFolder(tmp_path / "demo")
    demo_images(folder, class_folders(tmp_path / "pets"))

    with pytest.raises(DemoError, match="another --folder"):
        demo_images(folder, class_folders(tmp_path / "cars"))
