"""Learning curves and penalty matrices as pictures, PNG and SVG.

Legend: S seeds, R rounds.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from backend.replay import interval
from benchmarks.curves.penalty import Penalties
from benchmarks.curves.tables import Curves

# Drawn in color with a band, and beside them the best of the others, which are thin gray lines.
SHOWN = {"random": "#555555", "alfa-mix": "#d62728", "auto": "#1f77b4"}
BEST_COLORS = ("#2ca02c", "#9467bd", "#8c564b")
# In these runs it is what `auto` is.
SAME_AS_AUTO = "alfa-herding"
HASH_SALT = "learning-curves"  # equal pictures, equal files


def file_name(setting: str) -> str:
    """The setting's name as a file's name, without suffix; letters of any script stay."""
    return re.sub(r"\W+", "-", setting.lower()).strip("-")


def draw_curves(curves: Curves, folder: Path) -> str:
    """Draw accuracy against labels with 95 % bands; return the files' name without suffix."""
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    colors = _colors(curves)
    for strategy, accuracy in curves.accuracy.items():
        if strategy not in colors:
            axes.plot(curves.n_labeled, 100 * accuracy.mean(axis=0), color="#d0d0d0", lw=0.8)
    for strategy, color in colors.items():
        _banded(axes, curves, strategy, color)
    axes.plot([], [], color="#d0d0d0", lw=0.8, label="all others")
    title = f"{curves.setting}\n{curves.seeds} seeds, 95 % intervals"
    axes.set_title(title, fontsize=10, parse_math=False)
    axes.set_xlabel("labels")
    axes.set_ylabel("test accuracy, %")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8, loc="lower right")
    return _save(figure, folder, file_name(curves.setting))


def _colors(curves: Curves) -> dict[str, str]:
    """Colors of the strategies that are looked at, by name: SHOWN, and the best of the others."""
    others = [name for name in curves.accuracy if name not in (*SHOWN, SAME_AS_AUTO)]
    best = sorted(others, key=curves.mean, reverse=True)[: len(BEST_COLORS)]
    found = {**SHOWN, **dict(zip(best, BEST_COLORS, strict=False))}
    return {name: color for name, color in found.items() if name in curves.accuracy}


def draw_label_shares(shares: Mapping[str, Sequence[float]], folder: Path, name: str) -> str:
    """Draw the median of each sequence as a bar, and what it holds as points; the files' name.

    shares: of random's labels, by what needs them; what never gets there lies at the upper edge.
    """
    figure = Figure(figsize=(7, 2.6), layout="constrained")
    axes = figure.subplots()
    for row, (label, found) in enumerate(shares.items()):
        percents = 100 * np.minimum(found, 1.1)
        axes.barh(row, np.median(percents), color="#1f77b4", alpha=0.35, height=0.6)
        axes.plot(percents, np.full(len(percents), row), "o", color="#1f77b4", ms=4, alpha=0.7)
        axes.text(1, row, f"{np.median(percents):.0f} %", va="center", weight="bold", fontsize=9)
        axes.text(-1, row, label, va="center", ha="right", fontsize=9)
    axes.axvline(100, color="#555555", lw=1, ls="--")
    axes.set_yticks([])
    axes.set_ylim(len(shares) - 0.5, -0.5)
    axes.set_xlim(0, 112)
    axes.set_xlabel("labels for the same accuracy, % of what random needs with Adam's head")
    axes.set_title("median of the settings, and each of them", fontsize=9)
    return _save(figure, folder, name)


def _banded(axes: Axes, curves: Curves, strategy: str, color: str) -> None:
    accuracy = 100 * curves.accuracy[strategy]
    bands = [interval(column) for column in accuracy.T]
    labels = curves.n_labeled
    axes.fill_between(
        labels, [b.low for b in bands], [b.high for b in bands], color=color, alpha=0.12
    )
    mean = accuracy.mean(axis=0)
    axes.plot(labels, mean, color=color, marker=".", lw=1.6, label=strategy)


def draw_penalties(found: Penalties, title: str, folder: Path, name: str) -> str:
    """Draw the matrix with the mean of each column below it; return the files' name."""
    size = len(found.strategies)
    side = 0.42 * size + 2.2
    figure = Figure(figsize=(side, side), layout="constrained")
    axes = figure.subplots()
    axes.imshow(found.matrix, cmap="Reds", vmin=0, vmax=max(1.0, found.matrix.max()))
    for i in range(size):
        for j in range(size):
            if i != j:
                _write(axes, j, i, found.matrix[i, j], found.matrix.max())
    for j, mean in enumerate(found.mean_penalty()):
        axes.text(j, size, f"{mean:.1f}", ha="center", va="center", fontsize=7, weight="bold")
    axes.set_ylim(size + 0.5, -0.5)
    axes.set_yticks(range(size + 1), [*found.strategies, "beaten, mean"], fontsize=8)
    axes.set_xticks(range(size), found.strategies, rotation=60, ha="right", fontsize=8)
    axes.set_title(
        f"{title}\nrow beats column in so many of {found.setting_count} settings", fontsize=9
    )
    return _save(figure, folder, name)


def _write(axes: Axes, column: int, row: int, value: float, largest: float) -> None:
    color = "white" if value > 0.6 * largest else "black"
    axes.text(column, row, f"{value:.1f}", ha="center", va="center", fontsize=6.5, color=color)


def _save(figure: Figure, folder: Path, name: str) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    with matplotlib.rc_context({"svg.hashsalt": HASH_SALT}):
        figure.savefig(folder / f"{name}.png", dpi=110)
        figure.savefig(folder / f"{name}.svg", metadata={"Date": None})
    return name


def draw_all(curves: Sequence[Curves], folder: Path) -> list[str]:
    """Draw every setting's curves; return the files' names without suffix."""
    return [draw_curves(found, folder) for found in curves]
