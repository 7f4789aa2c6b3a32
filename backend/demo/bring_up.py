"""From an empty folder, or one of an earlier start, to a running, connected and filled project."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backend.demo.rounds_report import HeldOut
from backend.demo.state import DemoFolder, DemoState
from backend.demo.weights import backbone_settings
from backend.errors import DemoError
from backend.harness import project
from backend.harness.api import Api, patiently
from backend.harness.backend_process import Backend, backend_environment
from backend.harness.child import free_port
from backend.harness.dataset import Dataset, read_dataset, write_digits
from backend.harness.server import BINARY, LabelStudioServer

SPLIT_SEED = 0
# A person is through with so few in a minute, and sees the queue follow.
LABELS_PER_CLASS = 2
Say = Callable[[str], None]


@dataclass(frozen=True)
class DemoOptions:
    """What the command line asks for; None stands for what the folder remembers."""

    folder: Path
    dataset: Path | None
    label_studio_venv: Path
    label_studio_port: int | None
    backend_port: int | None


@dataclass(frozen=True)
class Demo:
    """Everything that runs, and the project in it."""

    folder: DemoFolder
    label_studio: LabelStudioServer
    backend: Backend
    api: Api
    project_id: int
    images: Dataset

    @property
    def project_url(self) -> str:
        """The project's page in Label Studio."""
        return f"{self.label_studio.url}/projects/{self.project_id}/data"

    @property
    def held_out(self) -> HeldOut:
        """The images that were not imported."""
        pairs = self.images.held_out.items()
        return HeldOut({project.image_url(self.images, path): name for path, name in pairs})

    def true_class(self, data: Mapping[str, Any]) -> str:
        """The class of a task's image."""
        return project.true_class(self.images, data)

    def check(self) -> None:
        """DemoError: Label Studio or the backend ended; quotes the end of its log."""
        self.label_studio.child.check()
        self.backend.check()


@contextmanager
def running_demo(options: DemoOptions, environ: Mapping[str, str], say: Say) -> Iterator[Demo]:
    """A demo that is ready; leaving the context ends its processes.

    DemoError: something it needs is missing, or the folder belongs to another dataset.
    """
    folder = DemoFolder(options.folder)
    with folder.locked(), ExitStack() as running:
        images = demo_images(folder, options.dataset)
        state = folder.read()
        say(f"Label Studio starts in {folder.label_studio} (the first time takes a minute)")
        server = _start_label_studio(options, folder, state, images)
        running.callback(server.stop)
        state = folder.write(state, label_studio_port=server.port)
        api = Api(server.url, server.token)
        running.callback(api.close)
        added, network = backbone_settings(environ)
        say(f"The backend starts with {network}")
        added |= {"ALFAMIX_BUDGET": str(LABELS_PER_CLASS * len(images.classes))}
        port = free_port(options.backend_port or state.backend_port)
        env = backend_environment(added | dict(environ), folder.backend, server, port)
        backend = Backend(api, env, folder.backend_log)
        running.callback(backend.stop)
        backend.start()
        state = folder.write(state, backend_port=port)
        project_id = _ready_project(api, folder, state, images, say)
        backend.connect(project_id)
        yield Demo(folder, server, backend, api, project_id, images)


def demo_images(folder: DemoFolder, chosen: Path | None) -> Dataset:
    """The images of the folder's earlier start, else of `chosen`, else the digits.

    DemoError: the folder's project has other images than `chosen`.
    """
    if folder.dataset.exists():
        images = Dataset.load(folder.dataset)
        if chosen is not None and chosen.absolute() != images.root:
            raise DemoError(
                f"the project in {folder.path} labels {images.root}; for {chosen} give another "
                "--folder"
            )
        return images
    if chosen is None:
        write_digits(folder.digits)
    images = read_dataset(chosen or folder.digits, random.Random(SPLIT_SEED))
    images.save(folder.dataset)
    return images


def _start_label_studio(
    options: DemoOptions, folder: DemoFolder, state: DemoState, images: Dataset
) -> LabelStudioServer:
    return LabelStudioServer.start(
        options.label_studio_venv / BINARY,
        folder.label_studio,
        state.admin,
        images.root.parent,
        options.label_studio_port or state.label_studio_port,
    )


def _ready_project(
    api: Api, folder: DemoFolder, state: DemoState, images: Dataset, say: Say
) -> int:
    """The id of the project with all tasks, made in this start or found from an earlier one."""
    project_id = state.project_id
    if project_id is None or not project.project_exists(api, project_id):
        project_id = project.create_project(api, f"Demo: {images.root.name}", images)
        state = folder.write(state, project_id=project_id, imported=False)
    if not state.imported:
        say(f"Importing {len(images.pool):,} images")
        patiently(lambda: project.import_pool(api, project_id, images))
        folder.write(state, imported=True)
    return project_id
