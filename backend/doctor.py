"""`python -m backend doctor`: checks what an admin would check, and says what to do."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from backend.acquisition import Rule
from backend.errors import AlfaMixError
from backend.label_studio import connection
from backend.label_studio.client import UNCERTAINTY_SAMPLING, LabelStudioClient
from backend.label_studio.label_config import parse_label_config
from backend.label_studio.wording import shown_uri
from backend.process.exposure import keep_files_private
from backend.process.startup import open_session
from backend.settings import Settings

ADDRESS_HINT = (
    "if Label Studio refuses the backend's URL as a reserved network address, docs/network.md says "
    "which USER_ADDITIONAL_BANNED_SUBNETS to start it with"
)


@dataclass(frozen=True)
class Finding:
    """One line of the report."""

    is_good: bool
    text: str


def main(argv: list[str]) -> int:
    """Print the report; 1 where anything needs care."""
    parser = argparse.ArgumentParser(prog="python -m backend doctor", description=__doc__)
    parser.add_argument("--project", type=int, action="append", help="id; may be given repeatedly")
    arguments = parser.parse_args(argv)
    keep_files_private()
    all_good = True
    for finding in examine(Settings.from_environ(), arguments.project or []):
        print(f"{'ok  ' if finding.is_good else 'FAIL'}  {finding.text}", flush=True)
        all_good &= finding.is_good
    return 0 if all_good else 1


def examine(settings: Settings, project_ids: list[int]) -> Iterator[Finding]:
    """Findings about settings, disk, weights, Label Studio and the named projects."""
    yield _checked("settings", lambda: _describe_rule(settings))
    yield _checked("MODEL_DIR", lambda: _write_probe(settings.model_dir))
    yield _checked("weights", lambda: _load_weights(settings))
    try:
        client = LabelStudioClient(settings.label_studio_url, settings.label_studio_api_key)
        client.check()
    except AlfaMixError as error:
        yield Finding(False, f"Label Studio: {error}")
        return
    where = f"Label Studio at {shown_uri(client.url)}"
    yield Finding(True, f"{where} accepts the token ({ADDRESS_HINT})")
    for project_id in project_ids:
        yield from _project(client, settings, project_id)


def _project(client: LabelStudioClient, settings: Settings, project_id: int) -> Iterator[Finding]:
    name = f"project {project_id}"
    project = client.project(project_id)
    if project is None:
        yield Finding(False, f"{name}: there is none with this id that the token's user may see")
        return
    yield _checked(f"{name}: label config", lambda: _describe(project.label_config))
    backends = client.ml_backends(project_id)
    if not backends:
        yield Finding(False, f"{name}: no ML backend; paste the URL under Settings > Model")
        return
    urls = ", ".join(shown_uri(backend.url) for backend in backends)
    yield Finding(len(backends) == 1, f"{name}: connected ML backends: {urls}")
    hooks = [backend.url.rstrip("/") + connection.WEBHOOK_PATH for backend in backends]
    has_hook = any(hook.url in hooks and hook.is_lean for hook in client.webhooks(project_id))
    remedy = "" if has_hook else "; a running backend creates it within ALFAMIX_POLL_S seconds"
    yield Finding(has_hook, f"{name}: webhook {'found' if has_hook else 'missing'}{remedy}")
    is_uncertainty = project.sampling == UNCERTAINTY_SAMPLING
    yield Finding(is_uncertainty, f"{name}: sampling is {project.sampling!r}")
    follows = project.model_version in client.prediction_versions(project_id)
    yield Finding(follows, f"{name}: the queue follows {project.model_version!r}")


def _checked(name: str, check: Callable[[], str]) -> Finding:
    try:
        return Finding(True, f"{name}: {check()}")
    except (AlfaMixError, OSError) as error:
        return Finding(False, f"{name}: {error}")


def _describe_rule(settings: Settings) -> str:
    rule = Rule.of(settings)
    return f"every variable is known and in range; {rule.strategy} chooses, {rule.cold_start} first"


def _write_probe(folder: Path) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=folder):
        return f"{folder.resolve()} can be written"


def _load_weights(settings: Settings) -> str:
    session = open_session(settings)
    return (
        f"{settings.backbone} at {session.image_px} px gives embeddings of "
        f"{session.embedding_dim} numbers"
    )


def _describe(label_config: str) -> str:
    config = parse_label_config(label_config)
    return f"{len(config.classes)} classes for ${config.data_field}: {', '.join(config.classes)}"
