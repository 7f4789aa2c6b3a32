"""One image of each kind of storage that a project's tasks name, fetched and decoded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from backend.decoding import decoded_image
from backend.doctor.findings import Finding, fail, ok
from backend.errors import AlfaMixError, PrivateAddressError
from backend.label_studio.annotations import read_task
from backend.label_studio.images import CLOUD_SCHEMES, ImageFetcher
from backend.label_studio.label_config import ImageChoices
from backend.label_studio.wording import shown_uri

UPLOADS, LOCAL_FILES = "/data/upload/", "/data/local-files/"
TOPIC = "images"


def examine_images(
    fetcher: ImageFetcher,
    tasks: Iterable[Mapping[str, Any]],
    config: ImageChoices,
    named_hosts: Sequence[str] = (),
) -> Iterator[Finding]:
    """Findings about the first image of each kind, and about tasks that name none.

    named_hosts: what ALFAMIX_IMAGE_HOSTS names already.
    """
    seen: set[str] = set()
    for task in tasks:
        state = read_task(task, config)
        kind = "no image" if state.uri is None else storage_of(state.uri)
        if kind in seen:
            continue
        seen.add(kind)
        if state.uri is None:
            yield fail(TOPIC, f"task {state.task_id}: {state.problem}")
        else:
            yield _examine(fetcher, state.task_id, state.uri, kind, named_hosts)


def storage_of(uri: str) -> str:
    """The kind of storage that a URI names."""
    scheme = uri.partition(":")[0].lower()
    if scheme in (*CLOUD_SCHEMES, "data", "http", "https"):
        return scheme
    if UPLOADS in uri:
        return "upload"
    return "local file" if LOCAL_FILES in uri else "other"


def _examine(
    fetcher: ImageFetcher, task_id: int, uri: str, kind: str, named_hosts: Sequence[str]
) -> Finding:
    name = f"{kind}, task {task_id}"
    try:
        with decoded_image(fetcher.fetch(uri, task_id)) as image:
            return ok(TOPIC, f"{name}: {image.width} x {image.height} px")
    except PrivateAddressError as error:
        remedy = f"ALFAMIX_IMAGE_HOSTS={','.join([*named_hosts, error.host])}"
        return fail(TOPIC, f"{name}: {shown_uri(uri)}: {error}", remedy)
    except AlfaMixError as error:
        return fail(TOPIC, f"{name}: {shown_uri(uri)}: {error}")
