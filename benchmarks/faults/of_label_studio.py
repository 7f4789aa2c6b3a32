"""Faults of Label Studio: it fails, it refuses, or somebody changes what the loop rests on."""

from __future__ import annotations

import base64
import random
import time
from functools import partial

from backend.harness import project
from backend.harness.annotate import CONTROL
from backend.harness.api import Api
from backend.harness.colors import CLASSES, colored_tasks
from backend.harness.people import account_of, sign_in
from backend.harness.proxy import Fails, Failure, Proxy, every, never
from benchmarks.faults.fault import Fault
from benchmarks.faults.loop import PASSWORD, SPARE, Loop
from benchmarks.faults.of_files import LASTS_S

SLOW_S = 30.0
SLOW_FOR_S = 45.0
OWNER = "owner@example.com"
# Of these requests the backend cannot know whether they did anything.
PREDICTIONS, WEBHOOKS = "/api/predictions/", "/api/webhooks/"


def restart(loop: Loop, _rng: random.Random) -> None:
    """Label Studio is down for a while."""
    server = loop.lane.site.server
    server.stop()
    time.sleep(LASTS_S)
    server.restart()


def be_slow(loop: Loop, _rng: random.Random) -> None:
    """Each request of the backend takes 30 s."""
    loop.lane.way.delay_s = SLOW_S
    time.sleep(SLOW_FOR_S)
    loop.lane.way.delay_s = 0.0


def fail_all(failure: Failure, loop: Loop, _rng: random.Random) -> None:
    """Each request of the backend fails for a while."""
    _fail(loop, lambda _method, _path: failure)


def fail_files(failure: Failure, loop: Loop, _rng: random.Random) -> None:
    """No file is handed out for a while, when new tasks come whose images Label Studio serves."""
    root = loop.lane.site.server.document_root
    folder = root / f"files{loop.project_id}-{failure.name}"
    folder.mkdir()
    storage = {"project": loop.project_id, "path": str(folder), "use_blob_urls": True}
    loop.api.call("POST", "/api/storages/localfiles", json=storage)
    tasks = colored_tasks(12, seed=loop.project_id)
    for number, task in enumerate(tasks):
        (folder / f"{number}.png").write_bytes(base64.b64decode(task["image"].partition(",")[2]))
        task["image"] = f"/data/local-files/?d={folder.name}/{number}.png"
    loop.lane.way.fails = lambda _method, path: failure if path.startswith("/data/") else None
    loop.add_tasks(tasks)
    time.sleep(LASTS_S)
    loop.lane.way.fails = never
    loop.wait_for("the new images to be read", lambda: loop.status().get("unreadable") == [])


def lose_answers(failure: Failure, loop: Loop, _rng: random.Random) -> None:
    """Every third prediction is stored, and the backend does not learn of it."""
    _fail(loop, every(3, PREDICTIONS, failure))


def lose_webhook(loop: Loop, _rng: random.Random) -> None:
    """The webhook is deleted; a new one is made, and answered with 500, once."""
    for hook in loop.webhooks():
        loop.api.call("DELETE", f"{WEBHOOKS}{hook['id']}/")
    loop.lane.way.fails = _once(WEBHOOKS, Failure.STORED)
    loop.wait_for("a webhook", lambda: bool(loop.webhooks()))
    time.sleep(LASTS_S)
    loop.lane.way.fails = never


def switch_webhook_off(loop: Loop, _rng: random.Random) -> None:
    """The webhook is switched off, as after many failures in a row."""
    for hook in loop.webhooks():
        loop.api.call("PATCH", f"{WEBHOOKS}{hook['id']}/", json={"is_active": False})
    loop.wait_for("it to be on", lambda: all(hook["is_active"] for hook in loop.webhooks()))


def revoke_token(loop: Loop, _rng: random.Random) -> None:
    """The backend's legacy token is revoked in the middle; an admin sets the new one."""
    account = account_of(loop.api, OWNER, PASSWORD)
    _use_token(loop, account.token)
    owner = Api(loop.lane.site.server.url, account.token)
    owner.call("POST", "/api/current-user/reset-token/")
    owner.close()
    loop.wait_for("/status to say so", lambda: "token" in (loop.status().get("last_error") or ""))
    _use_token(loop, sign_in(loop.api, OWNER, PASSWORD).token)


def add_class(loop: Loop, _rng: random.Random) -> None:
    """The label config has one class more."""
    loop.change(label_config=loop.label_config(SPARE, "one more"))


def rename_class(loop: Loop, _rng: random.Random) -> None:
    """A class that nobody chose has another name."""
    loop.change(label_config=loop.label_config("another name"))


def remove_class(loop: Loop, _rng: random.Random) -> None:
    """A class that nobody chose is gone."""
    loop.change(label_config=project.label_config(CLASSES))


def rename_choices(loop: Loop, _rng: random.Random) -> None:
    """<Choices> has another name: labels have to go first, else Label Studio refuses."""
    loop.crew.stop()
    everything = {"selectedItems": {"all": True, "excluded": []}}
    action = {"id": "delete_tasks_annotations", "project": loop.project_id}
    loop.api.call("POST", "/api/dm/actions", params=action, json=everything)
    config = loop.label_config().replace(f'"{CONTROL}"', '"kind"')
    loop.change(label_config=config)
    loop.crew = loop.crew_for("kind")
    loop.crew.start()


def delete_other_project(loop: Loop, _rng: random.Random) -> None:
    """Another project of the backend is deleted in the middle of its work."""
    other = Loop(loop.lane, 60)
    loop.api.call("DELETE", f"/api/projects/{other.project_id}/")
    loop.wait_for("it to be let go", lambda: not other.status().get("connected"))


def reconnect(loop: Loop, _rng: random.Random) -> None:
    """The backend is removed from the project, and added again."""
    loop.disconnect()
    loop.backend.connect(loop.project_id)


def delete_predictions(loop: Loop, _rng: random.Random) -> None:
    """All predictions are deleted in the Data Manager."""
    everything = {"selectedItems": {"all": True, "excluded": []}}
    action = {"id": "delete_tasks_predictions", "project": loop.project_id}
    loop.api.call("POST", "/api/dm/actions", params=action, json=everything)


def delete_tasks_ahead(loop: Loop, _rng: random.Random) -> None:
    """Tasks that wait in the queue are deleted."""
    for task_id in loop.status()["reserve"][-4:]:
        loop.api.call("DELETE", f"/api/tasks/{task_id}/")


def change_by_hand(loop: Loop, _rng: random.Random) -> None:
    """Somebody sets another sampling and another model version."""
    loop.change(sampling="Sequential sampling", model_version="")


def behind_a_proxy(loop: Loop, _rng: random.Random) -> None:
    """The connection is moved to a proxy that rewrites Host, and back after a while."""
    with Proxy(loop.backend.url) as proxy:
        project.connect_backend(loop.api, loop.project_id, proxy.url)
        loop.wait_for(
            "the webhook to follow",
            lambda: [hook["url"] for hook in loop.webhooks()] == [f"{proxy.url}/webhook"],
        )
        time.sleep(LASTS_S)
        project.connect_backend(loop.api, loop.project_id, loop.backend.url)


def _fail(loop: Loop, fails: Fails) -> None:
    loop.lane.way.fails = fails
    time.sleep(LASTS_S)
    loop.lane.way.fails = never


def _once(path: str, failure: Failure) -> Fails:
    """The failure of the first POST to a path."""
    left = [failure]

    def fails(method: str, asked: str) -> Failure | None:
        return left.pop() if left and (method, asked) == ("POST", path) else None

    return fails


def _use_token(loop: Loop, token: str) -> None:
    loop.backend.stop()
    loop.backend.env["LABEL_STUDIO_API_KEY"] = token
    loop.backend.start()
    loop.recovered()


FAULTS = (
    Fault("Label Studio down", restart),
    Fault("Label Studio 30 s slow", be_slow),
    *(Fault(f"every request of 8 s {one.value}", partial(fail_all, one)) for one in Failure),
    *(
        Fault(f"every third prediction {failure.value}", partial(lose_answers, failure))
        for failure in (Failure.LOST, Failure.STORED)
    ),
    *(
        Fault(f"every file {failure.value}", partial(fail_files, failure))
        for failure in (Failure.REFUSED, Failure.BUSY)
    ),
    Fault("webhook creation stored, then 500", lose_webhook),
    Fault("webhook switched off", switch_webhook_off),
    Fault("legacy token revoked, another one set", revoke_token),
    Fault("a class added", add_class),
    Fault("a class renamed", rename_class),
    Fault("a class removed", remove_class),
    Fault("<Choices> renamed", rename_choices),
    Fault("another project deleted", delete_other_project),
    Fault("backend removed and added", reconnect),
    Fault("all predictions deleted", delete_predictions),
    Fault("tasks of the queue deleted", delete_tasks_ahead),
    Fault("sampling and model version changed", change_by_hand),
    Fault("behind a proxy that rewrites Host, and back", behind_a_proxy),
)
