"""Opens a round: its number, its version, and what is noted of the settings."""

from __future__ import annotations

from backend.loop.context import ProjectContext, number_of
from backend.loop.due import Standing
from backend.settings import Settings
from model_store import phases, versions
from model_store.journal import ProjectState, RoundState

NOTED_SETTINGS = (
    *("backbone", "image_px", "feature_blocks", "finetune", "head_lr", "block_lr", "epochs"),
    *("budget", "epsilon", "seed", "lookahead"),
)


def open_round(
    context: ProjectContext, project: ProjectState, standing: Standing, reason: str
) -> RoundState:
    """A new round on what is known now, in the journal; the next is due by what changed since."""
    journal, labels = context.journal, standing.labeled
    number = _next_number(context)
    tuning = journal.tunings.newest_done(context.key)
    state = RoundState(
        key=context.key,
        number=number,
        phase=phases.SELECT,
        strategy=context.settings.strategy,
        settings=_noted_settings(context.settings),
        classes=list(context.config.classes),
        n_labeled=labels,
        n_pool=0,
        model_version=versions.model_version(number, labels),
        checkpoint=None,
        features_version=None,
        statistics={"reason": reason},
        seconds={},
        started_at=journal.now(),
        finished_at=None,
        tuning=number_of(tuning),
        n_embedded=standing.embedded,
    )
    journal.open_round(state, looked_at=project.changed)
    return state


def _next_number(context: ProjectContext) -> int:
    # Predictions of an earlier journal may still carry version strings: theirs are not used again.
    latest = context.journal.latest_round(context.key)
    if latest is not None:
        return latest.number + 1
    found = map(versions.round_number, context.client.prediction_versions(context.project_id))
    return max((number + 1 for number in found if number is not None), default=0)


def _noted_settings(settings: Settings) -> dict[str, str]:
    return {name: str(getattr(settings, name)) for name in NOTED_SETTINGS}
