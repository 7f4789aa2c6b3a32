"""Starts a built image beside a Label Studio, as docker-compose.yml has it, and uses both.

Runs in a network namespace of its own, where the two have the names and the network of the compose
file and nothing else can be reached.
"""

from __future__ import annotations

import argparse
import os
import secrets
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from backend.harness.api import Api
from backend.harness.backend_process import Backend, published_number
from backend.harness.child import Child, clean_environment
from backend.harness.project import connect_backend
from backend.harness.server import BINARY, START_TIMEOUT_S
from backend.label_studio.connection import takes_webhook
from tests.container.compose import Compose
from tests.container.container import Container, user_ids
from tests.container.dockerfile import Dockerfile
from tests.container.findings import Finding, none_of, open_to_others
from tests.container.host import lent
from tests.loop.conftest import LABEL_CONFIG, colored_tasks

ROOT = Path(__file__).resolve().parents[2]
LABEL_STUDIO, BACKEND = "label-studio", "backend"
TASKS = 60
# No hub is reached here; the small ViT ships with the image.
ADDED = {"ALFAMIX_BACKBONE": "bundled", "ALFAMIX_POLL_S": "2"}
WRITABLE = ("data", "tmp", "proc", "dev", "sys", "run")


def try_out(root: Path, label_studio_venv: Path, scratch: Path) -> bool:
    """Whether all that was found is good; prints it."""
    dockerfile = Dockerfile.read((ROOT / "Dockerfile").read_text())
    env = {
        "LABEL_STUDIO_PASSWORD": secrets.token_hex(8),
        "LABEL_STUDIO_TOKEN": secrets.token_hex(20),
    }
    compose = Compose.read(ROOT / "docker-compose.yml", env)
    log = scratch / "backend.log"
    environment = compose.services[BACKEND].environment | ADDED
    container = Container(root, dockerfile, environment, log)
    all_good = True
    with ExitStack() as started:
        started.enter_context(_network(compose, root, scratch))
        started.callback(container.kill)
        label_studio = _start_label_studio(compose, label_studio_venv, scratch)
        started.callback(label_studio.stop)
        api = Api(
            compose.services[LABEL_STUDIO].environment["LABEL_STUDIO_HOST"],
            env["LABEL_STUDIO_TOKEN"],
        )
        started.callback(api.close)
        for finding in _use(container, dockerfile, compose, api):
            print(finding, flush=True)
            all_good &= finding.is_good
    if not all_good:
        print(log.read_text(errors="replace")[-4000:], flush=True)
    return all_good


@contextmanager
def _network(compose: Compose, root: Path, scratch: Path) -> Iterator[None]:
    """The services' names lead to addresses of the compose file's subnet, here and in `root`."""
    _ip("link", "set", "lo", "up")
    hosts = scratch / "hosts"
    lines = ["127.0.0.1 localhost", "::1 localhost"]
    # The first address is that of the network's gateway.
    for number, service in enumerate(compose.services.values(), 2):
        _ip("address", "add", f"{compose.subnet[number]}/{compose.subnet.prefixlen}", "dev", "lo")
        lines.append(f"{compose.subnet[number]} {' '.join(service.names)}")
    hosts.write_text("\n".join(lines) + "\n")
    subprocess.run(["mount", "--bind", hosts, "/etc/hosts"], check=True)
    with lent(root, {Path("/etc/hosts"): hosts}):
        yield


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)


def _start_label_studio(compose: Compose, venv: Path, scratch: Path) -> Child:
    """Label Studio with the environment of its service, serving."""
    service = compose.services[LABEL_STUDIO]
    [(_address, _published, port)] = service.ports
    data = scratch / "label-studio"
    env = clean_environment(os.environ) | service.environment
    # What differs between the image and the installed package.
    env |= {"LABEL_STUDIO_BASE_DATA_DIR": str(data), "LATEST_VERSION_CHECK": "false"}
    env |= {"SENTRY_DSN": "", "FRONTEND_SENTRY_DSN": ""}
    command = [str((venv / BINARY).absolute()), "start", "--no-browser"]
    command += ["--internal-host", "0.0.0.0", "--port", str(port)]
    child = Child.start("Label Studio", command, env, scratch / "label-studio.log")
    child.wait_until_healthy(f"http://localhost:{port}", START_TIMEOUT_S)
    return child


def _use(
    container: Container, dockerfile: Dockerfile, compose: Compose, api: Api
) -> Iterator[Finding]:
    [port] = dockerfile.ports
    before = time.time()
    yield from _start(container)
    backend = Backend(api, {"PORT": str(port)}, container.log)
    for name in compose.services[BACKEND].names:
        yield from _connect(api, backend, f"http://{name}:{port}")
    yield from _processes(container)
    yield from _files(container, before)
    rounds = _rounds(backend)
    yield from _stop(container, compose)
    yield Finding(not container.is_healthy(), "its health check fails when it is stopped")
    yield from _start(container, again="again, ")
    after = _rounds(backend)
    kept = after.keys() == rounds.keys() and all(after[key] >= rounds[key] for key in rounds)
    yield Finding(kept, f"it goes on with what /data holds: {len(after)} projects")
    yield from _stop(container, compose)


def _rounds(backend: Backend) -> dict[str, int]:
    """The number of the round that each project's queue follows, by the project's key."""
    projects = backend.client.get("/status").raise_for_status().json()["projects"]
    return {project["key"]: published_number(project) for project in projects}


def _connect(api: Api, backend: Backend, url: str) -> Iterator[Finding]:
    """A new project is given the URL, and gets its first queue."""
    project_id = _new_project(api)
    connect_backend(api, project_id, url)
    [row] = api.call("GET", "/api/ml", params={"project": project_id})
    yield Finding(row["readable_state"] == "Connected", f"{url} is {row['readable_state']}")
    error = backend.wait_for_round(project_id, 0)["last_error"]
    yield Finding(error is None, f"first round; last error: {error}")
    hooks = api.call("GET", "/api/webhooks/", params={"project": project_id})
    found = [hook["url"] for hook in hooks]
    wanted = [f"{url}/webhook"] if takes_webhook(url) else []
    yield Finding(found == wanted, f"webhooks: {', '.join(found) or 'none, by polling'}")


def _start(container: Container, again: str = "") -> Iterator[Finding]:
    container.start()
    took_s = container.wait_until_healthy()
    how = "never" if took_s is None else f"after {took_s:.1f} s"
    yield Finding(took_s is not None, f"started {again}healthy {how}")


def _stop(container: Container, compose: Compose) -> Iterator[Finding]:
    grace_s = compose.services[BACKEND].stop_grace_s
    status, took_s = container.stop(grace_s)
    text = (
        f"SIGTERM to its first process: exit status {status} after {took_s:.1f} s of {grace_s:.0f}"
    )
    yield Finding(status == 0, text)
    yield none_of("process that is left", container.processes())


def _new_project(api: Api) -> int:
    fields = {"title": "container", "label_config": LABEL_CONFIG}
    project_id = api.call("POST", "/api/projects/", json=fields)["id"]
    tasks = [{"data": data} for data in colored_tasks(TASKS)]
    api.call("POST", f"/api/projects/{project_id}/import", json=tasks)
    return project_id


def _processes(container: Container) -> Iterator[Finding]:
    processes = container.processes()
    ids = set().union(*(user_ids(process) for process in processes))
    text = f"{len(processes)} processes, all of user {container.user.uid}"
    yield Finding(ids == {container.user.uid}, f"{text}: {sorted(ids)}")


def _files(container: Container, since: float) -> Iterator[Finding]:
    written = [
        f"/{path.relative_to(container.root)}"
        for top in container.root.iterdir()
        if top.name not in WRITABLE and not top.is_symlink()
        for path in (top, *top.rglob("*"))
        if path.is_file() and path.lstat().st_mtime > since
    ]
    yield none_of("file written outside of /data and /tmp", written)
    data = container.root / "data"
    yield none_of("file in /data that others may read", open_to_others(data))
    yield Finding(any(data.rglob("journal.sqlite")), "its journal is in /data")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("root", type=Path)
    parser.add_argument("label_studio_venv", type=Path)
    parser.add_argument("scratch", type=Path)
    chosen = parser.parse_args()
    raise SystemExit(not try_out(chosen.root, chosen.label_studio_venv, chosen.scratch))
