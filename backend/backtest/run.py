"""The replay itself: every seed's split, every strategy on it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from tqdm import tqdm

from backend.acquisition.rule import Rule
from backend.backtest.design import RANDOM, Design, split
from backend.backtest.labels import LabeledProject
from backend.backtest.results import Row
from backend.replay import Round, SessionLearner, SharedFits, Truth, readable, replay
from backend.settings import Settings
from backend.vision import FeatureStores, Loader, VisionSession


def without_unreadable(
    project: LabeledProject, session: VisionSession, load: Loader, stores: FeatureStores
) -> LabeledProject:
    """Embed every image with the pre-trained network; return the project without those that fail.

    ImageError never: such a task is left out with its reason.
    """
    with tqdm(total=len(project.labels), unit=" images", desc="reading") as bar:
        reasons = readable(
            session, project.image_keys, load, stores, lambda done, _total: bar.update(done - bar.n)
        )
    return project.without_unreadable(reasons)


def replayed(
    project: LabeledProject,
    design: Design,
    settings: Settings,
    session: VisionSession,
    load: Loader,
    stores: FeatureStores,
) -> Iterator[Row]:
    """Every round's row, all strategies side by side, with a bar that tells the time left.

    A strategy that asked for the same labels as another one took no time to train.
    """
    own = Rule.of(settings)
    with tqdm(total=design.total, unit=" rounds", desc="replaying", smoothing=0) as bar:
        for seed in design.seeds:
            learner, truth = _seed(project, seed, session, load, stores)
            runs = [
                replay(learner, truth, design.plan, rule_of(strategy, own), seed)
                for strategy in design.strategies
            ]
            for strategy, round in _side_by_side(design.strategies, runs):
                bar.update()
                bar.set_postfix_str(f"seed {seed}, {strategy}", refresh=False)
                yield Row(strategy, seed, round)


def _side_by_side(
    strategies: Sequence[str], runs: Sequence[Iterator[Round]]
) -> Iterator[tuple[str, Round]]:
    """A round of each strategy, each as soon as it is there, then the next."""
    running = dict(zip(strategies, runs, strict=True))
    while running:
        for strategy, run in list(running.items()):
            round = next(run, None)
            if round is None:
                del running[strategy]
            else:
                yield strategy, round


def _seed(
    project: LabeledProject,
    seed: int,
    session: VisionSession,
    load: Loader,
    stores: FeatureStores,
) -> tuple[SharedFits, Truth]:
    parts, keys, num_classes = split(project.labels, seed), project.image_keys, len(project.classes)
    learner = SessionLearner(
        session,
        [keys[row] for row in parts.pool],
        [keys[row] for row in parts.test],
        num_classes,
        load,
        stores,
    )
    return SharedFits(learner), Truth(
        project.labels[parts.pool], project.labels[parts.test], num_classes
    )


def rule_of(strategy: str, own: Rule) -> Rule:
    """The project's own rule with another strategy.

    Random has no cold start: it draws from the first label on.
    """
    cold_start = RANDOM if strategy == RANDOM else own.cold_start
    return replace(own, strategy=strategy, cold_start=cold_start)
