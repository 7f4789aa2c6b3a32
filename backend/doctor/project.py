"""One project: its label config, its images, and what connects it with the backend."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from urllib.parse import urlsplit

from backend.doctor.findings import Finding, fail, note, ok
from backend.doctor.images import examine_images
from backend.errors import LabelConfigError, LabelStudioError
from backend.label_studio import connection, queue
from backend.label_studio.access import Access
from backend.label_studio.banned_subnets import variables_for
from backend.label_studio.client import (
    UNCERTAINTY_SAMPLING,
    LabelStudioClient,
    MlBackend,
    Project,
)
from backend.label_studio.label_config import parse_label_config
from backend.label_studio.own_row import Marks, own_row
from backend.label_studio.wording import shown_uri
from backend.settings import Settings
from model_store.journal import Journal, ProjectState, RoundState

# Of a project, to find an image of each kind of storage.
LOOKED_AT_TASKS = 200
EXAMPLE_CONFIG = (
    '<View><Image name="image" value="$image"/><Choices name="label" toName="image">'
    '<Choice value="cat"/><Choice value="dog"/></Choices></View>'
)
# Label Studio's words for an address that it bans, and for none that answers.
BANNED = ("reserved network", "not allowed")


class ProjectExam:
    """The examination of one project; with `mends`, what can safely be put right is put right."""

    def __init__(
        self,
        settings: Settings,
        client: LabelStudioClient,
        journal: Journal | None,
        project_id: int,
        *,
        mends: bool = False,
    ) -> None:
        """journal: None where there is none yet."""
        self._settings = settings
        self._client = client
        self._journal = journal
        self._id = project_id
        self._mends = mends

    def findings(self) -> Iterator[Finding]:
        """All findings; what Label Studio refuses to tell is one as well."""
        try:
            for finding in self._findings():
                yield Finding(
                    finding.verdict,
                    f"project {self._id}: {finding.topic}",
                    finding.text,
                    finding.remedy,
                )
        except LabelStudioError as error:
            yield fail(f"project {self._id}", str(error))

    def _findings(self) -> Iterator[Finding]:
        project = self._client.project(self._id)
        if project is None:
            yield fail(
                "project",
                "there is none with this id that the token's user may see",
                "take the number in the address of its page: /projects/N/",
            )
            return
        yield self._rights()
        yield from self._images(project)
        rows = self._client.ml_backends(self._id)
        yield from self._connected(project, rows)
        yield from self._journaled(project)

    def _rights(self) -> Finding:
        refused = self._client.refused_rights(self._id)
        if not refused:
            return ok("rights", "the token's user may change the project and add predictions")
        return fail(
            "rights",
            f"the token's user may not {' or '.join(refused)}",
            "LABEL_STUDIO_API_KEY=<token of a user who may>",
        )

    def _images(self, project: Project) -> Iterator[Finding]:
        try:
            config = parse_label_config(project.label_config)
        except LabelConfigError as error:
            yield fail(
                "label config",
                str(error),
                f"Settings > Labeling Interface > Code, for example {EXAMPLE_CONFIG}",
            )
            return
        classes = ", ".join(config.classes)
        yield ok(
            "label config", f"{len(config.classes)} classes for ${config.data_field}: {classes}"
        )
        page = self._client.task_page(self._id, 1, LOOKED_AT_TASKS)
        if not page.tasks:
            yield note("images", "there are no tasks yet", "import some")
        state = self._state(project)
        access = Access(
            self._settings.label_studio_url,
            self._settings.label_studio_api_key,
            image_hosts=self._settings.image_hosts,
        )
        sent_token, hostname = ("", "") if state is None else (state.access_token, state.hostname)
        fetcher = access.fetcher(sent_token, hostname)
        try:
            hosts = self._settings.image_hosts
            yield from examine_images(fetcher, page.tasks, config, hosts)
        finally:
            fetcher.close()

    def _connected(self, project: Project, rows: Sequence[MlBackend]) -> Iterator[Finding]:
        if not rows:
            yield from self._how_to_connect()
            return
        row = self._own_row(project, rows)
        if row is None:
            urls = ", ".join(shown_uri(one.url) for one in rows)
            yield fail(
                "Model page",
                f"none of {urls} leads here",
                "start the backend there, or connect this one; where a proxy stands between: "
                f"ALFAMIX_PUBLIC_URL={shown_uri(rows[-1].url)}",
            )
            return
        yield reachable(row)
        if len(rows) > 1:
            yield note("Model page", f"{len(rows)} ML backends are connected, one is this one")
        if self._mends:
            yield from self._mended(project, row)
            project = self._client.project(self._id) or project
        yield self._webhook(row)
        yield self._sampling(project)
        yield self._version(project)
        yield from self._way_in(project)

    def _how_to_connect(self) -> Iterator[Finding]:
        url = self._settings.public_url
        host = urlsplit(url or self._settings.label_studio_url).hostname or ""
        yield fail(
            "Model page",
            "no ML backend is connected",
            "Settings > Model > Connect Model: paste "
            f"{url or f'http://<this host>:{self._settings.port}'}",
        )
        if variables := variables_for(host):
            yield note(
                "Model page",
                f"Label Studio refuses a backend at {host} (403, reserved network address) unless "
                "it is started with the network opened",
                _assignments(variables),
            )

    def _mended(self, project: Project, row: MlBackend) -> Iterator[Finding]:
        """Put right what a running backend would; what was put right."""
        state, published = self._state(project), self._published(project)
        if project.sampling != UNCERTAINTY_SAMPLING:
            # It is set back when the backend is removed from the project.
            self._note(project, previous_sampling=project.sampling)
        known = None if state is None else state.webhook_id
        kept = connection.repair(self._client, project, row, self._settings, known)
        self._note(project, webhook_id=kept.webhook_id)
        for change in kept.changed:
            yield ok("put right", change)
        if (
            published is not None
            and published.model_version in self._client.prediction_versions(self._id)
            and queue.flip(self._client, project, published.model_version)
        ):
            yield ok("put right", "the version of the queue")

    def _own_row(self, project: Project, rows: Sequence[MlBackend]) -> MlBackend | None:
        """The row that leads to this backend; the only one where none runs that could tell."""
        state = self._state(project)
        marks = Marks(
            row_id=None if state is None else state.row_id,
            row_url="" if state is None else state.row_url,
            instance="" if self._journal is None else self._journal.instance(),
            public_url=self._settings.public_url,
            seen_url="" if state is None else state.backend_url,
            was_heard=True,
        )
        return own_row(rows, marks)

    def _webhook(self, row: MlBackend) -> Finding:
        hook = row.url.rstrip("/") + connection.WEBHOOK_PATH
        if any(one.url == hook and one.is_lean for one in self._client.webhooks(self._id)):
            return ok("webhook", "it tells the backend what happens")
        if connection.takes_webhook(row.url):
            return fail("webhook", "missing, or another than the backend makes", self._how())
        return note(
            "webhook",
            "Label Studio takes none for a host without a dot: changes are seen every "
            f"{self._settings.poll_s:g} s",
            "connect the backend by an address or a name with a dot",
        )

    def _sampling(self, project: Project) -> Finding:
        if project.sampling == UNCERTAINTY_SAMPLING:
            return ok("sampling", f"{project.sampling!r}: people are served by score")
        return fail("sampling", f"{project.sampling!r}: the queue is not served", self._how())

    def _version(self, project: Project) -> Finding:
        """Whether the version that the project follows is that of the last round."""
        published = self._published(project)
        if published is None:
            return note("queue", "no round is published yet", "a running backend begins one")
        if project.model_version == published.model_version:
            return ok("queue", f"it follows {project.model_version!r}")
        return fail(
            "queue",
            f"it follows {project.model_version!r}, but the last round is "
            f"{published.model_version!r}",
            self._how(),
        )

    def _way_in(self, project: Project) -> Iterator[Finding]:
        """What to tell the annotators: a link without the tab serves another order."""
        state = self._state(project)
        if state is not None and state.tab_id is not None:
            link = f"/projects/{self._id}/data?tab={state.tab_id}&labeling=1"
            yield ok("annotators", f"they press Label All Tasks, or open Label Studio's {link}")

    def _how(self) -> str:
        return (
            f"python -m backend doctor --project {self._id} --fix (a running backend does the same "
            f"within {self._settings.poll_s:g} s)"
        )

    def _journaled(self, project: Project) -> Iterator[Finding]:
        """What the backend itself noted last."""
        state = self._state(project)
        if state is None:
            yield note("backend", "it has not heard of the project yet")
            return
        error = state.last_error or state.background_error
        if error:
            yield fail("backend", f"{_when(state.last_error_at)}{error}")
        else:
            yield ok("backend", f"{state.phase}; {state.labeled} tasks labeled, {state.pool} left")

    def _published(self, project: Project) -> RoundState | None:
        return None if self._journal is None else self._journal.published_round(project.key)

    def _state(self, project: Project) -> ProjectState | None:
        return None if self._journal is None else self._journal.project(project.key)

    def _note(self, project: Project, **values: object) -> None:
        if self._state(project) is not None:
            assert self._journal is not None
            self._journal.update_project(project.key, **values)


def reachable(row: MlBackend) -> Finding:
    """Whether Label Studio reached the row's address the last time."""
    where = shown_uri(row.url)
    if not row.trouble:
        return ok("Model page", f"{where} leads here, and Label Studio reaches it")
    if any(words in row.trouble for words in BANNED):
        opened = variables_for(urlsplit(row.url).hostname or "")
        variables = _assignments(opened) or "the two variables of docs/network.md"
        remedy = f"start Label Studio with {variables}"
    else:
        remedy = "make that address reachable from Label Studio, or connect another one"
    return fail("Model page", f"Label Studio cannot reach {where}: {row.trouble}", remedy)


def _assignments(variables: Mapping[str, str]) -> str:
    return " ".join(f"{name}={value}" for name, value in variables.items())


def _when(at: float | None) -> str:
    if at is None:
        return ""
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M} UTC: "
