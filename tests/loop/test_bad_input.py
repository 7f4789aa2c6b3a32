"""What people get wrong: said in `/status` and the log, and no other project is stopped by it."""

from __future__ import annotations

import base64
import struct
import zlib

import httpx
import pytest

from backend.harness.annotate import choice
from backend.harness.child import free_port
from backend.loop.worker import Worker
from tests.loop.conftest import LABEL_CONFIG, colored_tasks

pytestmark = pytest.mark.label_studio
IMAGE = '<Image name="image" value="$image"/>'
CHOICES = (
    '<Choices name="label" toName="image"><Choice value="red"/><Choice value="green"/></Choices>'
)


def work_on(inline, project_id, **settings):
    """The worker's attempt at one project; its status after."""
    worker = Worker(inline.worker_with(**settings) if settings else inline.worker)
    key = inline.journal.key_of(str(project_id))

    def more():
        state = inline.journal.project(key)
        return worker.work_on(state) | worker.compute_for(state)

    while more():
        pass
    return inline.status(project_id)


def setup_reply(inline, label_config):
    body = {"project": "4242.1700000000", "schema": label_config, "access_token": ""}
    return httpx.post(f"{inline.url}/setup", json=body)


def huge_png():
    """A PNG of 50,000 x 50,000 black pixels: 7.5 GB decoded, some kilobytes here."""
    header = struct.pack(">IIBBBBB", 50_000, 50_000, 8, 2, 0, 0, 0)
    pixels = zlib.compress(bytes(1_000_000), 9)
    chunks = [(b"IHDR", header), (b"IDAT", pixels), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )


def data_uri(data):
    return "data:image/png;base64," + base64.b64encode(data).decode()


def test_status_says_what_to_set_when_there_is_no_token(inline, colored_project):
    project_id, _ = colored_project(6)
    key = inline.connect(project_id)
    inline.journal.update_project(key, access_token="")
    status = work_on(inline, project_id, label_studio_api_key="")
    assert "set LABEL_STUDIO_API_KEY" in status["last_error"]


def test_status_says_the_token_is_refused_when_it_is_wrong(inline, colored_project):
    project_id, _ = colored_project(6)
    inline.connect(project_id)
    status = work_on(inline, project_id, label_studio_api_key="0" * 40)
    assert "does not accept the token (401)" in status["last_error"]
    assert "0" * 40 not in status["last_error"]
    assert work_on(inline, project_id)["last_error"] is None


def test_status_names_the_address_when_label_studio_is_unreachable(inline, colored_project):
    project_id, _ = colored_project(6)
    inline.connect(project_id)
    url = f"http://127.0.0.1:{free_port()}"
    status = work_on(inline, project_id, label_studio_url=url)
    assert f"Label Studio at {url} does not answer" in status["last_error"]


@pytest.mark.parametrize(
    ("label_config", "found"),
    [
        (f"<View>{IMAGE}</View>", "no <Choices>"),
        (f"<View>{IMAGE}{CHOICES}{CHOICES.replace('label', 'other')}</View>", "2 <Choices>"),
        (
            f"<View>{IMAGE}{CHOICES.replace('toName', 'choice=`multiple` toName')}</View>".replace(
                "`", '"'
            ),
            'choice="multiple"',
        ),
        (f'<View><Text name="image" value="$text"/>{CHOICES}</View>', "no <Image>, but <Text>"),
        (f"<View>{IMAGE}{CHOICES.replace('green', '')}</View>", "empty name"),
    ],
)
def test_setup_is_400_with_found_and_needed_when_the_config_is_unsupported(
    inline, label_config, found
):
    reply = setup_reply(inline, label_config)
    assert reply.status_code == 400
    assert found in reply.json()["error"]
    assert "needed is one <Image>" in reply.json()["error"]


def set_config(label_studio, project_id, label_config):
    path = f"/api/projects/{project_id}"
    label_studio.api.call("PATCH", path, json={"label_config": label_config})


def test_round_begins_when_an_unsupported_config_is_put_right(
    label_studio, inline, colored_project
):
    project_id, _ = colored_project(6)
    inline.connect(project_id)
    set_config(label_studio, project_id, f"<View>{IMAGE}</View>")
    assert "no <Choices>" in work_on(inline, project_id)["last_error"]
    set_config(label_studio, project_id, LABEL_CONFIG)
    status = work_on(inline, project_id)
    assert (status["last_error"], status["round"]) == (None, 0)


def test_other_tasks_are_queued_when_some_images_cannot_be_read(label_studio, inline):
    project_id = label_studio.create_project(LABEL_CONFIG)
    bad = {
        "not an image": data_uri(b"hello, I am text"),
        "50000 x 50000": data_uri(huge_png()),
        "no-such-file.png": f"{label_studio.url}/data/upload/1/no-such-file.png",
    }
    ids = label_studio.import_tasks(project_id, [{"image": uri} for uri in bad.values()])
    good = label_studio.import_tasks(project_id, colored_tasks(6))
    inline.connect(project_id)
    status = work_on(inline, project_id)
    assert sorted(status["batch"]) == good
    reasons = {entry["task_id"]: entry["reason"] for entry in status["unreadable"]}
    assert sorted(reasons) == ids
    for task_id, text in zip(ids, bad, strict=True):
        assert text in reasons[task_id]


def test_task_is_listed_when_its_data_lacks_the_image_field(label_studio, inline):
    project_id = label_studio.create_project(LABEL_CONFIG)
    good = label_studio.import_tasks(project_id, colored_tasks(6))
    bad = label_studio.import_tasks(project_id, [{"image": "x"}])[0]
    path = f"/api/tasks/{bad}/"
    label_studio.api.call("PATCH", path, json={"data": {"text": "no image here"}})
    inline.connect(project_id)
    status = work_on(inline, project_id)
    assert sorted(status["batch"]) == good
    reason = {entry["task_id"]: entry["reason"] for entry in status["unreadable"]}[bad]
    assert "no 'image', only ['text']" in reason


def test_images_are_tried_again_when_a_later_round_comes(label_studio, inline, annotator):
    project_id = label_studio.create_project(LABEL_CONFIG)
    folder = label_studio.document_root / f"late{project_id}"
    folder.mkdir()
    label_studio.serve_local_files(project_id, folder)
    tasks = colored_tasks(7)
    late = label_studio.import_tasks(
        project_id, [{**tasks[0], "image": f"/data/local-files/?d={folder.name}/image.png"}]
    )[0]
    label_studio.import_tasks(project_id, tasks[1:])
    inline.connect(project_id)
    status = work_on(inline, project_id)
    assert [entry["task_id"] for entry in status["unreadable"]] == [late]
    write_image(folder / "image.png", tasks[0]["image"])
    for _ in status["batch"]:
        annotator(project_id).label_next()
    after = work_on(inline, project_id)
    assert after["batch"] == [late]
    assert after["unreadable"] == []


def write_image(path, data_uri):
    path.write_bytes(base64.b64decode(data_uri.split(",", 1)[1]))


def test_other_projects_go_on_when_one_has_an_error(label_studio, inline, colored_project):
    broken, _ = colored_project(6)
    inline.connect(broken)
    set_config(label_studio, broken, f"<View>{IMAGE}</View>")
    project_id, _ = colored_project(6)
    inline.connect(project_id)
    for each in (broken, project_id):
        work_on(inline, each)
    assert inline.status(broken)["last_error"] is not None
    assert inline.status(project_id)["round"] == 0


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/webhook", {"action": "ANNOTATION_CREATED"}),
        ("/setup", {"schema": LABEL_CONFIG}),
        ("/predict", {"project": "1"}),
        ("/webhook", ["a", "list"]),
    ],
)
def test_reply_is_400_with_a_sentence_when_the_body_is_malformed(inline, path, body):
    reply = httpx.post(inline.url + path, json=body)
    assert reply.status_code == 400
    assert "needed is" in reply.json()["error"]


def test_predict_answers_every_task_when_one_image_is_unreadable(
    label_studio, inline, colored_project
):
    project_id = label_studio.create_project(LABEL_CONFIG)
    tasks = [
        {"data": data, "annotations": [{"result": choice(data["truth"])}]}
        for data in colored_tasks(9)
    ]
    label_studio.api.call("POST", f"/api/projects/{project_id}/import", json=tasks)
    label_studio.import_tasks(project_id, colored_tasks(6, seed=3))
    key = inline.connect(project_id)
    inline.reconcile(project_id)
    asked = [
        {"id": 1, "data": {"image": "data:image/png;base64,AAAA"}},
        {"id": 2, "data": colored_tasks(1, seed=99)[0]},
    ]
    body = {"project": key, "tasks": asked, "label_config": LABEL_CONFIG}
    results = httpx.post(f"{inline.url}/predict", json=body, timeout=60).json()["results"]
    assert results[0]["result"] == []
    assert results[1]["result"][0]["value"]["choices"] == ["blue"]
    assert [result["score"] for result in results] == [1.0, 1.0]
