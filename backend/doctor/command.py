"""`python -m backend doctor`: looks at what an admin would look at, and says what to do."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict, replace
from pathlib import Path

from backend.doctor.comparison import compare_networks
from backend.doctor.findings import Finding, Verdict, fail, note
from backend.doctor.machine import examine_machine
from backend.doctor.project import ProjectExam
from backend.doctor.server import examine_server
from backend.errors import LabelStudioUnauthorizedError, StoreError
from backend.label_studio.access import Access
from backend.process.exposure import keep_files_private
from backend.process.startup import folder_of, open_journal
from backend.settings import Settings
from model_store.journal import JOURNAL_NAME, Journal, ProjectState


def main(argv: list[str]) -> int:
    """Print the report; 1 where anything keeps the backend from its work. SettingsError."""
    arguments = _parser().parse_args(argv)
    keep_files_private()
    settings, verdicts = Settings.from_environ(), []
    rival = rival_of(settings, arguments.compare, arguments.compare_weights, arguments.compare_px)
    for finding in examine(settings, arguments.project, mends=arguments.fix, rival=rival):
        print(json.dumps(asdict(finding)) if arguments.json else finding, flush=True)
        verdicts.append(finding.verdict)
    if not arguments.json:
        print(f"\n{_summary(verdicts)}")
    return int(Verdict.FAIL in verdicts)


def rival_of(
    settings: Settings,
    backbone: str | None = None,
    weights: Path | None = None,
    image_px: int | None = None,
) -> Settings | None:
    """The settings with another network, of a name, a file, a size or several; None without any."""
    if backbone is None and weights is None and image_px is None:
        return None
    if backbone is None and weights is None:
        weights = settings.backbone_weights
    return replace(
        settings,
        backbone=backbone or settings.backbone,
        backbone_weights=weights,
        image_px=image_px or settings.image_px,
    )


def examine(
    settings: Settings,
    project_ids: Sequence[int] = (),
    *,
    mends: bool = False,
    rival: Settings | None = None,
) -> Iterator[Finding]:
    """Findings about the machine, Label Studio and projects: those named, else all connected ones.

    mends: put right what can be put right without losing anything.
    rival: with another network, to be compared on each project's labels.
    """
    yield from examine_machine(settings)
    with ExitStack() as stack:
        journal: Journal | None = None
        try:
            journal = _journal(settings)
            if journal is not None:
                stack.enter_context(closing(journal))
        except StoreError as error:
            yield fail("journal", str(error))
        ids = list(project_ids) or _connected(journal)
        states = {project_id: _state(journal, project_id) for project_id in ids}
        is_reached = True
        for finding in examine_server(
            settings, next(filter(None, map(_token, states.values())), "")
        ):
            is_reached &= finding.verdict is not Verdict.FAIL
            yield finding
        if not is_reached:
            return
        if not ids:
            yield note(
                "projects",
                "none is connected",
                "in a project: Settings > Model > Connect Model; or --project N",
            )
        for project_id, state in states.items():
            yield from _examine_project(settings, journal, project_id, state, mends, rival)


def _examine_project(
    settings: Settings,
    journal: Journal | None,
    project_id: int,
    state: ProjectState | None,
    mends: bool,
    rival: Settings | None,
) -> Iterator[Finding]:
    """Findings about one project; with a `rival` the networks are compared on its labels."""
    access = Access(
        settings.label_studio_url, settings.label_studio_api_key, image_hosts=settings.image_hosts
    )
    try:
        client = access.client(_token(state))
    except LabelStudioUnauthorizedError as error:
        yield fail(f"project {project_id}", str(error))
        return
    yield from ProjectExam(settings, client, journal, project_id, mends=mends).findings()
    if rival is not None:
        hostname = "" if state is None else state.hostname
        with closing(access.fetcher(_token(state), hostname)) as fetcher:
            yield compare_networks(settings, rival, client, fetcher, project_id)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m backend doctor", description=__doc__)
    parser.add_argument(
        "--project",
        type=int,
        action="append",
        default=[],
        metavar="N",
        help="id of a project; may be given repeatedly (default: all that are connected)",
    )
    parser.add_argument(
        "--fix",
        action="store_true",
        help="put right what a running backend would: webhook, sampling, the version of the queue",
    )
    parser.add_argument(
        "--compare",
        metavar="BACKBONE",
        help="tell whether this network would do better on the project's own labels than the "
        "configured one: a timm name (docs/backbones.md), or bundled",
    )
    parser.add_argument(
        "--compare-weights",
        type=Path,
        metavar="FILE",
        help="a .safetensors or .pth file with that network's weights, instead of the hub",
    )
    parser.add_argument(
        "--compare-px",
        type=int,
        metavar="PX",
        help="side of that network's square input (default: ALFAMIX_IMAGE_PX, or its own)",
    )
    parser.add_argument(
        "--json", action="store_true", help="print each finding as an object on a line"
    )
    return parser


def _journal(settings: Settings) -> Journal | None:
    """The journal, None where there is none yet. StoreError."""
    if not settings.database_url and not (folder_of(settings) / JOURNAL_NAME).exists():
        return None
    return open_journal(settings)


def _connected(journal: Journal | None) -> list[int]:
    if journal is None:
        return []
    return [state.project_id for state in journal.projects() if state.connected]


def _state(journal: Journal | None, project_id: int) -> ProjectState | None:
    """What the journal holds of a project."""
    key = None if journal is None else journal.key_of(str(project_id))
    return None if journal is None or key is None else journal.project(key)


def _token(state: ProjectState | None) -> str:
    """The token that Label Studio sent when the project was connected; "" for none."""
    return "" if state is None else state.access_token


def _summary(verdicts: Sequence[Verdict]) -> str:
    fails = sum(verdict is Verdict.FAIL for verdict in verdicts)
    if not fails:
        return "All is well."
    return f"{fails} thing{'s' if fails > 1 else ''} to mend, see the lines with FAIL."
