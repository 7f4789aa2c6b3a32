"""Two networks on a project's labels: which are taken, what is told, and what cannot be."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from backend.doctor import command
from backend.doctor.command import rival_of
from backend.doctor.comparison import spread, too_few
from backend.doctor.findings import Verdict
from backend.harness.annotate import choice
from backend.harness.child import free_port
from backend.label_studio.labeled import LabeledImage
from backend.settings import Settings
from backend.vision import hub
from tests.loop.conftest import LABEL_CONFIG, colored_tasks


def labeled(*counts):
    """Images of as many labels of each class, the classes one after another."""
    labels = np.repeat(np.arange(len(counts)), counts)
    return [LabeledImage(n, f"u{n}", f"k{n}", int(label)) for n, label in enumerate(labels)]


def test_spread_takes_200_images_of_all_classes_alike_as_far_as_they_go():
    found = spread(labeled(500, 20, 300), seed=0)
    assert Counter(image.label for image in found) == {0: 90, 1: 20, 2: 90}
    assert [image.task_id for image in found] == sorted(image.task_id for image in found)


def test_spread_draws_at_random_within_a_class():
    one, same, other = (spread(labeled(1000), seed) for seed in (0, 0, 1))
    assert one == same != other
    assert 350 < np.mean([image.task_id for image in one]) < 650


def test_spread_takes_two_of_a_class_when_there_are_more_classes_than_room():
    counts = Counter(image.label for image in spread(labeled(*[3] * 150), seed=0))
    assert len(counts) == 100 and set(counts.values()) == {2}


def test_spread_takes_all_when_they_are_few():
    assert spread(labeled(3, 1), seed=0) == labeled(3, 1)


@pytest.mark.parametrize(
    ("counts", "found"),
    [((), "0 labeled images of 0 classes"), ((9, 1, 1), "11 labeled images of 3 classes")],
)
def test_too_few_says_what_was_found_and_what_is_needed(counts, found):
    text = too_few(labeled(*counts))
    assert text.startswith(found)
    assert text.endswith("have 2 or more; needed are 2 such classes")


def test_two_classes_of_two_are_enough():
    assert too_few(labeled(2, 1, 2)) == ""


def test_rival_has_another_name_file_or_size():
    own = Settings(backbone="a", backbone_weights=Path("a.pth"), image_px=112)
    assert rival_of(own) is None
    for asked, expected in [
        (("b", None, None), ("b", None, 112)),
        ((None, Path("b.pth"), None), ("a", Path("b.pth"), 112)),
        (("b", Path("b.pth"), 224), ("b", Path("b.pth"), 224)),
        ((None, None, 224), ("a", Path("a.pth"), 224)),
    ]:
        rival = rival_of(own, *asked)
        assert (rival.backbone, rival.backbone_weights, rival.image_px) == expected


@pytest.fixture(scope="session")
def blind_weights(tiny_weights, tmp_path_factory):
    """The tiny network, but for patches that all look alike to it."""
    with safe_open(tiny_weights, "pt") as file:
        state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        metadata = file.metadata()
    state["patch_embed.proj.weight"] = torch.zeros_like(state["patch_embed.proj.weight"])
    path = tmp_path_factory.mktemp("blind") / "blind.safetensors"
    save_file(state, path, metadata)
    return path


@pytest.fixture
def labeled_project(label_studio):
    """Makes projects of which the first `count` colored images are labeled."""

    def make(count, tasks=None):
        project_id = label_studio.create_project(LABEL_CONFIG)
        tasks = colored_tasks(count + 3) if tasks is None else tasks
        labeled = [
            {"data": data, "annotations": [{"result": choice(data["truth"])}] * (n < count)}
            for n, data in enumerate(tasks)
        ]
        label_studio.api.call("POST", f"/api/projects/{project_id}/import", json=labeled)
        return project_id

    return make


@pytest.fixture
def compare(inline, monkeypatch):
    """The finding about two networks; the machine and the project are not looked at each time."""
    monkeypatch.setattr(command, "examine_machine", lambda _settings: ())

    def find(project_id, backbone=None, weights=None, image_px=None, **changes):
        settings = replace(inline.settings, **changes)
        rival = rival_of(settings, backbone, weights, image_px)
        found = list(command.examine(settings, [project_id], rival=rival))
        return next(one for one in found if one.topic == f"project {project_id}: networks")

    return find


@pytest.mark.label_studio
def test_better_network_is_told_with_what_to_set(
    compare, labeled_project, tiny_weights, blind_weights
):
    project_id = labeled_project(24)
    found = compare(project_id, weights=tiny_weights, backbone_weights=blind_weights)
    assert found.verdict is Verdict.NOTE
    assert found.text.startswith("of 24 labels of 3 classes, each left out once, ")
    assert " and 100.0 % by vit_tiny_patch16_224-32px-" in found.text
    assert "points, 95 % interval +" in found.text
    assert found.remedy.endswith(
        f"ALFAMIX_BACKBONE={Settings().backbone} ALFAMIX_BACKBONE_WEIGHTS={tiny_weights}"
    )


@pytest.mark.label_studio
def test_worse_network_is_told_without_a_remedy(compare, labeled_project, blind_weights):
    found = compare(labeled_project(24), weights=blind_weights)
    assert (found.verdict, found.remedy) == (Verdict.OK, "")
    assert "points, 95 % interval -" in found.text


@pytest.mark.label_studio
def test_networks_are_not_told_apart_when_both_do_well(compare, labeled_project):
    found = compare(labeled_project(24), "bundled", head="means")
    assert found.verdict is Verdict.OK
    assert "(means)" in found.text
    assert found.text.endswith("these labels do not tell which is better")


@pytest.mark.label_studio
def test_labels_that_are_too_few_are_counted_before_a_network_is_loaded(compare, labeled_project):
    found = compare(labeled_project(3), weights=Path("gone.pth"))
    assert found.verdict is Verdict.NOTE
    assert found.text == (
        "3 labeled images of 3 classes can be used, and 0 of these classes have 2 or more; "
        "needed are 2 such classes"
    )


@pytest.mark.label_studio
def test_images_that_cannot_be_read_are_left_out_and_named(compare, labeled_project):
    gone = {"image": f"http://127.0.0.1:{free_port()}/a.png", "truth": "red"}
    found = compare(labeled_project(13, [*colored_tasks(12), gone]), "bundled")
    assert found.text.startswith("of 12 labels of 3 classes")
    assert "; 1 images cannot be read, the first of task " in found.text


@pytest.mark.label_studio
def test_network_is_not_compared_with_itself(compare, labeled_project, tiny_weights):
    found = compare(labeled_project(6), weights=tiny_weights)
    assert found.verdict is Verdict.NOTE
    assert found.text.startswith("both are vit_tiny_patch16_224-32px-")


@pytest.mark.label_studio
def test_network_that_cannot_be_had_fails_with_what_to_name(
    compare, labeled_project, tmp_path, monkeypatch
):
    project_id = labeled_project(6)
    other = tmp_path / "other.safetensors"
    save_file({"conv1.weight": torch.zeros(3)}, other)
    hub_url = f"http://127.0.0.1:{free_port()}"
    monkeypatch.setattr(hub, "ENDPOINT", hub_url)
    for named, expected in [
        (("vit_smal_patch16_224.dino", None), "knows no model 'vit_smal_patch16_224.dino'; near"),
        (("test_vit", tmp_path / "gone.pth"), "no weights file"),
        (("test_vit", other), "holds another network than test_vit"),
        (("bundled", None, 30), "ALFAMIX_IMAGE_PX is 30"),
        (("vit_small_patch16_dinov3.lvd1689m", None), f"{hub_url}/timm/vit_small"),
    ]:
        found = compare(project_id, *named)
        assert found.verdict is Verdict.FAIL
        assert expected in found.text
        assert "--compare-weights FILE" in found.remedy


@pytest.mark.label_studio
def test_command_compares_when_it_is_asked_to(
    inline, labeled_project, tiny_weights, blind_weights, monkeypatch, capsys, tmp_path
):
    project_id = labeled_project(9)
    for name, value in {
        "LABEL_STUDIO_URL": inline.settings.label_studio_url,
        "LABEL_STUDIO_API_KEY": inline.settings.label_studio_api_key,
        "MODEL_DIR": str(tmp_path),
        "ALFAMIX_BACKBONE_WEIGHTS": str(blind_weights),
        "ALFAMIX_FEATURE_BLOCKS": "2",
        "ALFAMIX_DEVICE": "cpu",
    }.items():
        monkeypatch.setenv(name, value)
    command.main(["--project", str(project_id), "--compare-weights", str(tiny_weights), "--json"])
    findings = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert findings[-1]["topic"] == f"project {project_id}: networks"
    assert findings[-1]["text"].startswith("of 9 labels of 3 classes")
