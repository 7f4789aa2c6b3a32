"""The report in words and tables.

Legend: S seeds, R rounds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from backend.backtest.comparison import Comparison, compare, mean_accuracies
from backend.backtest.design import MINIMUM_ROUNDS, RANDOM, Design
from backend.backtest.labels import LabeledProject, LeftOut
from backend.backtest.results import Curves
from backend.replay import Interval, interval
from backend.settings import Settings

SHOWN_LEFT_OUT = 5


def left_out_lines(left_out: Sequence[LeftOut]) -> Iterator[str]:
    """How many tasks are left out, and the first of them with the reason."""
    if not left_out:
        return
    yield f"labeled tasks left out because their images cannot be read: {len(left_out)}"
    for task in left_out[:SHOWN_LEFT_OUT]:
        yield f"  task {task.task_id}: {task.reason}"
    if len(left_out) > SHOWN_LEFT_OUT:
        yield f"  and {len(left_out) - SHOWN_LEFT_OUT} more"


def heading(project: LabeledProject, design: Design, settings: Settings) -> Iterator[str]:
    """What is replayed on what, and how."""
    num_classes = len(project.classes) - len(project.without)
    yield (
        f"Backtest of project {project.project_id} ({project.title}): "
        f"{len(project.labels)} labels of {num_classes} classes"
    )
    if project.without:
        yield f"  left out     the classes {', '.join(sorted(project.without))}"
    if project.repeated:
        yield f"  repeated     {project.repeated} tasks show an image of another one: used once"
    yield (
        f"  held out     {design.test_size} labels for measuring, drawn anew for every seed with "
        "the classes in proportion"
    )
    yield f"  hidden       {design.pool_size} labels, revealed as a strategy asks for them"
    yield f"  first labels {first_labels(design)}"
    yield f"  rounds       {design.plan.rounds} of {design.plan.budget} labels{_shrunk(design)}"
    yield f"  seeds        {len(design.seeds)}, from {design.seeds[0]} on"
    yield (
        f"  settings     {settings.backbone}, finetune {settings.finetune}, head "
        f"{settings.head}, at most {settings.epochs} epochs, epsilon {settings.epsilon:g}, cold "
        f"start {settings.cold_start}"
    )


def first_labels(design: Design) -> str:
    """How the first labels come about."""
    if design.plan.first:
        return f"{design.plan.first} drawn at random, the same for every strategy of a seed"
    return "chosen by the project's cold start; random draws its own"


def results(curves: dict[str, Curves], design: Design) -> Iterator[str]:
    """The tables and a verdict for each strategy."""
    comparisons = compare(curves, design.plan.first)
    yield "accuracy on the held-out images, percent: mean and reach of its 95 % interval"
    yield from curve_table(curves)
    yield ""
    yield from comparison_table(comparisons, curves, design)
    yield from explanation(design)
    yield ""
    for found in comparisons:
        yield found.verdict


def plot_title(project: LabeledProject, design: Design) -> tuple[str, str]:
    """Title and subtitle of the picture."""
    first = design.plan.first
    begin = f"first {first} at random for all" if first else "own first batches"
    return (
        f"Backtest of project {project.project_id}: {project.title}",
        f"{len(project.labels)} labels, {design.test_size} of them held out; {begin}, then rounds "
        f"of {design.plan.budget}; mean and 95 % interval over {len(design.seeds)} seeds",
    )


def curve_table(curves: dict[str, Curves]) -> Iterator[str]:
    """A line for each label count: every strategy's mean accuracy ± its interval's reach."""
    yield _line("labels", list(curves))
    counts = next(iter(curves.values())).n_labeled
    for number, count in enumerate(counts):
        cells = [_with_reach(interval(100 * c.accuracy[:, number])) for c in curves.values()]
        yield _line(str(count), cells)


def comparison_table(
    comparisons: Sequence[Comparison], curves: dict[str, Curves], design: Design
) -> Iterator[str]:
    """A line for each strategy, random last."""
    yield f"{'':18}{'mean accuracy':>15}{'against random':>26}{'labels saved':>26}"
    for found in comparisons:
        yield (
            f"{found.strategy:18}{found.mean_accuracy.mean:15.1f}"
            f"{_with_ends(found.difference, 1):>26}{_with_ends(found.saved, 0):>26}"
        )
    mean = mean_accuracies(curves[RANDOM], design.plan.first).mean()
    yield f"{RANDOM:18}{mean:15.1f}"


def explanation(design: Design) -> Iterator[str]:
    """What the numbers are."""
    yield "mean accuracy: percent, over the rounds that a strategy chose"
    yield "labels saved: random's labels minus the strategy's, at the highest accuracy both reach"
    yield "labels for 95 % of random's final accuracy: where the mean curves reach it"
    yield f"[95 % interval]: Student's, paired over {len(design.seeds)} seeds, of these labels only"


def _shrunk(design: Design) -> str:
    if design.plan.budget == design.wanted_budget:
        return ""
    return (
        f" (shrunk from the project's budget of {design.wanted_budget}, so that "
        f"{MINIMUM_ROUNDS} rounds fit into {design.pool_size} labels)"
    )


def _line(first: str, cells: Sequence[str]) -> str:
    return f"{first:>7}" + "".join(f"{cell:>18}" for cell in cells)


def _with_reach(found: Interval) -> str:
    return f"{found.mean:.1f} ± {found.high - found.mean:.1f}"


def _with_ends(found: Interval, digits: int) -> str:
    return f"{found.mean:+.{digits}f} [{found.low:+.{digits}f}, {found.high:+.{digits}f}]"
