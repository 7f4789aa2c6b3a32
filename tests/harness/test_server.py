"""A Label Studio of our own, against the real one."""

from __future__ import annotations

import httpx
import pytest

from backend.errors import DemoError, LabelStudioError
from backend.harness.people import sign_in
from backend.harness.server import Account, LabelStudioServer

pytestmark = pytest.mark.label_studio
LABEL_CONFIG = (
    '<View><Image name="image" value="$image"/><Choices name="label" toName="image">'
    '<Choice value="cat"/><Choice value="dog"/></Choices></View>'
)


def test_import_returns_task_ids_in_the_order_given(label_studio):
    project_id = label_studio.create_project(LABEL_CONFIG, title="order")
    data = [{"image": f"https://example.com/{number}.png"} for number in range(7)]

    task_ids = label_studio.import_tasks(project_id, data)

    read = [label_studio.api.call("GET", f"/api/tasks/{task_id}")["data"] for task_id in task_ids]
    assert read == data


def test_local_files_are_served_when_their_folder_is_a_storage(label_studio):
    project_id = label_studio.create_project(LABEL_CONFIG)
    folder = label_studio.document_root / "served"
    folder.mkdir()
    (folder / "a b.txt").write_text("hello")
    address = "/data/local-files/?d=served/a%20b.txt"
    assert label_studio.session.get(address).status_code == httpx.codes.NOT_FOUND

    label_studio.serve_local_files(project_id, folder)

    assert label_studio.session.get(address).text == "hello"


def test_new_users_have_tokens_of_their_own_when_created(label_studio):
    people = [label_studio.create_user() for _ in range(2)]

    for email, _, token in people:
        reply = httpx.get(
            f"{label_studio.url}/api/current-user/whoami",
            headers={"Authorization": f"Token {token}"},
            timeout=60,
        )
        assert reply.json()["email"] == email
    assert people[0][2] != people[1][2]


def test_sign_in_finds_the_user_who_signed_up(label_studio):
    email, password, token = label_studio.create_user()

    assert sign_in(label_studio.api, email, password).token == token


def test_sign_in_is_refused_when_the_password_is_wrong(label_studio):
    email, _, _ = label_studio.create_user()

    with pytest.raises(LabelStudioError, match=email):
        sign_in(label_studio.api, email, "not the password")


def test_start_says_what_is_needed_when_there_is_no_binary(tmp_path):
    account = Account("admin@example.com", "password", "0" * 40)

    with pytest.raises(DemoError, match="make install"):
        LabelStudioServer.start(tmp_path / "label-studio", tmp_path, account, tmp_path)
