"""The learning curves as a picture: accuracy, and the paired difference from random.

Legend: S seeds, R rounds.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from backend.backtest.design import RANDOM
from backend.backtest.results import Curves
from backend.replay import interval
from model_store.project_folder import PICTURE_NAME

# Okabe and Ito's, which color-blind people can tell apart; random is gray.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
MARKERS = "osD^vPX"
SPREAD = 0.15  # of the error bars, in distances between two label counts
GRAY = "#555555"
NAME = Path(PICTURE_NAME).stem


def write_plots(curves: dict[str, Curves], title: str, subtitle: str, folder: Path) -> list[Path]:
    """Write the picture as PNG and SVG; return the files."""
    figure = draw(curves, title, subtitle)
    paths = [folder / f"{NAME}.{suffix}" for suffix in ("png", "svg")]
    for path in paths:
        figure.savefig(path, dpi=150)
    return paths


def draw(curves: dict[str, Curves], title: str, subtitle: str) -> Figure:
    """The figure: accuracies on the left; right, a strip a strategy, the difference."""
    others = [name for name in curves if name != RANDOM]
    colors = {name: COLORS[n % len(COLORS)] for n, name in enumerate(others)} | {RANDOM: GRAY}
    height = max(5.5, 1.5 + 1.3 * len(others))
    figure = Figure(figsize=(11, height), layout="constrained")
    _head(figure, title, subtitle, height)
    grid = figure.add_gridspec(len(others), 2, width_ratios=(3, 2))
    _accuracies(figure.add_subplot(grid[:, 0]), curves, colors)
    strip = None
    for row, name in enumerate(others):
        strip = figure.add_subplot(grid[row, 1], sharex=strip, sharey=strip)
        _difference(strip, curves[name], curves[RANDOM], colors[name], name)
        if row < len(others) - 1:
            strip.tick_params(labelbottom=False)
            strip.set_xlabel("")
    return figure


def _head(figure: Figure, title: str, subtitle: str, height: float) -> None:
    """Write both lines; the title's empty second line keeps room for the smaller subtitle."""
    figure.suptitle(f"{title}\n ", x=0.012, ha="left", fontsize=13, weight="bold", parse_math=False)
    figure.text(0.012, 1 - 0.39 / height, subtitle, va="center", fontsize=9, color=GRAY)


def _accuracies(axes: Axes, curves: dict[str, Curves], colors: dict[str, str]) -> None:
    """Draw all strategies' means; their error bars stand side by side, so that all are seen."""
    counts = curves[RANDOM].n_labeled
    for number, (name, found) in enumerate(curves.items()):
        intervals = [interval(column) for column in 100 * found.accuracy.T]
        means = [one.mean for one in intervals]
        reaches = [one.high - one.mean for one in intervals]
        shift = (counts[1] - counts[0]) * SPREAD * (2 * (number + 0.5) / len(curves) - 1)
        marker, line = MARKERS[number % len(MARKERS)], "--" if name == RANDOM else "-"
        style: dict[str, Any] = {"color": colors[name], "linestyle": line, "marker": marker}
        axes.plot(counts, means, label=name, linewidth=1.6, markersize=4.5, **style)
        axes.errorbar(
            counts + shift, means, reaches, fmt="none", ecolor=colors[name], elinewidth=0.9
        )
    axes.set_xlabel("labels")
    axes.legend(loc="lower right", frameon=False)
    _tidy(axes, "accuracy on the held-out images, %", "black")


def _difference(axes: Axes, found: Curves, random: Curves, color: str, name: str) -> None:
    """Draw the mean paired difference from random in points, with its 95 % interval."""
    intervals = [interval(column) for column in 100 * (found.accuracy - random.accuracy).T]
    low, high = [one.low for one in intervals], [one.high for one in intervals]
    axes.axhline(0, color=GRAY, linestyle="--", linewidth=1.2)
    axes.fill_between(found.n_labeled, low, high, color=color, alpha=0.22, linewidth=0)
    axes.plot(found.n_labeled, [one.mean for one in intervals], color=color, linewidth=1.8)
    axes.set_xlabel("labels")
    _tidy(axes, f"{name}: points above random", color)


def _tidy(axes: Axes, title: str, color: str) -> None:
    axes.set_title(title, loc="left", fontsize=10, color=color)
    axes.grid(axis="y", color="#dddddd", linewidth=0.7)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_axisbelow(True)
