"""What the doctor says of the machine, before it asks Label Studio."""

from __future__ import annotations

import pytest

from backend.doctor import machine
from backend.doctor.findings import Verdict
from backend.doctor.machine import examine_machine
from backend.harness.child import free_port
from backend.process.worker_lock import WorkerLock
from backend.settings import Settings
from backend.vision import hub


@pytest.fixture
def found(tmp_path):
    """The first finding on a topic with some settings."""

    def find(topic, **changes):
        settings = Settings(**{"model_dir": tmp_path, "backbone": "bundled", **changes})
        return next(one for one in examine_machine(settings) if one.topic == topic)

    return find


def test_settings_are_good_when_the_registry_has_the_strategy(found):
    finding = found("settings", strategy="margin")
    assert finding.verdict is Verdict.OK
    assert "margin chooses, maxherding first" in finding.text


def test_settings_fail_and_name_the_strategies_when_the_registry_has_none_of_that_name(found):
    finding = found("settings", strategy="nonsense")
    assert finding.verdict is Verdict.FAIL
    assert "ALFAMIX_STRATEGY is 'nonsense'; needed is one of auto" in finding.text


def test_model_dir_fails_when_it_is_a_file(found, tmp_path):
    file = tmp_path / "file"
    file.touch()
    finding = found("MODEL_DIR", model_dir=file)
    assert finding.verdict is Verdict.FAIL
    assert str(file) in finding.text


def test_open_port_without_credentials_is_a_note(found):
    finding = found("who may call", host="0.0.0.0")
    assert finding.verdict is Verdict.NOTE
    assert "BASIC_AUTH_USER" in finding.text


def test_little_disk_and_memory_are_notes_with_a_remedy(found, monkeypatch):
    monkeypatch.setattr(machine, "ENOUGH_DISK_GIB", 1e9)
    monkeypatch.setattr(machine, "ENOUGH_MEMORY_GIB", 1e9)
    for topic in ("disk", "memory"):
        finding = found(topic)
        assert finding.verdict is Verdict.NOTE
        assert "ALFAMIX_" in finding.remedy


@pytest.mark.parametrize(("limit", "expected"), [("max", 2.0), ("1073741824", 0.75)])
def test_memory_is_what_is_left_of_the_container(tmp_path, monkeypatch, limit, expected):
    files = tmp_path / "memory.max", tmp_path / "memory.current", tmp_path / "meminfo"
    for file, text in zip(files, (limit, "268435456", "MemAvailable: 2097152 kB"), strict=True):
        file.write_text(f"{text}\n")
    monkeypatch.setattr(machine, "CGROUP_MEMORY", files[:2])
    monkeypatch.setattr(machine, "MEMORY", files[2])
    assert machine._free_memory() / machine.GIB == expected


def test_worker_is_seen_while_it_runs(found, tmp_path):
    assert found("worker").verdict is Verdict.NOTE
    lock = WorkerLock(Settings(model_dir=tmp_path))
    assert found("worker").verdict is Verdict.OK
    lock.close()
    assert found("worker").verdict is Verdict.NOTE


def test_weights_are_loaded(found):
    finding = found("weights")
    assert finding.verdict is Verdict.OK
    assert "bundled at " in finding.text


def test_weights_fail_at_once_when_the_hub_is_out_of_reach(found, monkeypatch):
    hub_url = f"http://127.0.0.1:{free_port()}"
    monkeypatch.setattr(hub, "ENDPOINT", hub_url)
    monkeypatch.setattr(machine, "open_session", None)  # nothing is downloaded, or tried again
    finding = found("weights", backbone="vit_small_patch16_224.dino")
    assert finding.verdict is Verdict.FAIL
    assert f"{hub_url}/timm/vit_small_patch16_224.dino does not answer" in finding.text
    assert "ALFAMIX_BACKBONE_WEIGHTS" in finding.remedy


def test_weights_fail_with_what_is_near_when_timm_has_no_such_network(found):
    finding = found("weights", backbone="vit_smal_patch16_224.dino")
    assert finding.verdict is Verdict.FAIL
    assert "vit_small_patch16_224.dino" in finding.text


@pytest.mark.postgresql
def test_journal_is_good_when_its_database_can_be_written(found, database_url):
    finding = found("journal", database_url=database_url)
    assert finding.verdict is Verdict.OK
    assert finding.text.startswith("the database holds ")


@pytest.mark.postgresql
def test_journal_fails_and_says_why_when_its_database_refuses_the_password(found, postgres):
    finding = found("journal", database_url=postgres.url("w-r-o-n-g"))
    assert finding.verdict is Verdict.FAIL
    assert "password authentication failed" in finding.text
    assert "w-r-o-n-g" not in finding.text
