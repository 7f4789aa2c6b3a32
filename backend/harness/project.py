"""The sample project: made, filled and connected by the API calls that a browser makes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit
from xml.etree import ElementTree

from backend.harness.api import Api
from backend.harness.dataset import Dataset

BACKEND_TITLE = "ALFA-Mix"
# One request per this many tasks keeps a big dataset below Label Studio's upload limit.
CHUNK = 1000
IMAGE_WIDTH = "320px"
# A "Sync" in the storage settings would import the held-out images: nothing matches this.
MATCHES_NOTHING = "(?!)"


def label_config(classes: tuple[str, ...]) -> str:
    """One image and one choice of `classes`; a class of one character is its own hotkey."""
    view = ElementTree.Element("View")
    ElementTree.SubElement(
        view, "Image", name="image", value="$image", zoom="true", maxWidth=IMAGE_WIDTH
    )
    choices = ElementTree.SubElement(
        view, "Choices", name="label", toName="image", choice="single", showInline="true"
    )
    for name in classes:
        hotkey = {"hotkey": name} if len(name) == 1 else {}
        ElementTree.SubElement(choices, "Choice", hotkey, value=name)
    ElementTree.indent(view)
    return ElementTree.tostring(view, encoding="unicode")


def image_url(dataset: Dataset, path: str) -> str:
    """Where Label Studio serves an image of the dataset, whose parent is the document root."""
    return f"/data/local-files/?d={quote(f'{dataset.root.name}/{path}')}"


def image_path(dataset: Dataset, url: str) -> str:
    """The inverse of `image_url`."""
    (path,) = parse_qs(urlsplit(url).query)["d"]
    return str(PurePosixPath(path).relative_to(dataset.root.name))


def true_class(dataset: Dataset, data: Mapping[str, Any]) -> str:
    """The class of a task of the pool, by its data."""
    return dataset.pool[image_path(dataset, data["image"])]


def create_project(api: Api, title: str, dataset: Dataset) -> int:
    """The id of a new project whose images Label Studio may serve; it has no tasks yet."""
    config = label_config(dataset.classes)
    fields = {"title": title, "label_config": config}
    project_id = api.call("POST", "/api/projects/", json=fields)["id"]
    storage = {
        "project": project_id,
        "title": "Images (already imported)",
        "path": str(dataset.root),
        "use_blob_urls": True,
        "regex_filter": MATCHES_NOTHING,
    }
    api.call("POST", "/api/storages/localfiles", json=storage)
    return project_id


def project_exists(api: Api, project_id: int) -> bool:
    """Whether nobody deleted the project."""
    return api.find(f"/api/projects/{project_id}/") is not None


def import_pool(api: Api, project_id: int, dataset: Dataset) -> None:
    """Import those images of the pool that the project does not have, one task each."""
    present = {task["data"]["image"] for task in all_tasks(api, project_id)}
    urls = [image_url(dataset, path) for path in dataset.pool]
    missing = [{"data": {"image": url}} for url in urls if url not in present]
    for start in range(0, len(missing), CHUNK):
        chunk = missing[start : start + CHUNK]
        api.call("POST", f"/api/projects/{project_id}/import", json=chunk)


def connect_backend(api: Api, project_id: int, url: str) -> None:
    """Connect the backend as the Model page does, or move the connection to its present URL."""
    connected = api.call("GET", "/api/ml", params={"project": project_id})
    ours = next((backend for backend in connected if backend["title"] == BACKEND_TITLE), None)
    fields = {"project": project_id, "title": BACKEND_TITLE, "url": url, "auth_method": "NONE"}
    if ours is None:
        api.call("POST", "/api/ml", json=fields)
    elif ours["url"] != url or ours["readable_state"] != "Connected":
        api.call("PATCH", f"/api/ml/{ours['id']}", json=fields)


def all_tasks(api: Api, project_id: int) -> list[Mapping[str, Any]]:
    """Every task of the project, its image URLs as they were imported."""
    count = api.call("GET", f"/api/projects/{project_id}/")["task_number"]
    query = {"project": project_id, "page_size": CHUNK, "resolve_uri": "false"}
    pages = range(1, -(-count // CHUNK) + 1)
    replies = [api.call("GET", "/api/tasks", params=query | {"page": page}) for page in pages]
    return [task for reply in replies for task in reply["tasks"]]
