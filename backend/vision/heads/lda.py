"""Linear discriminant analysis with shrinkage, every label left out once in closed form.

One covariance for all classes, shrunk toward a multiple of the identity; all classes are equally
likely before an image is seen, however often they were labeled.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from backend.vision.heads.candidate import Candidate, Labeled

STRENGTHS = (0.001, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
# A mean of n labels is off by a nth of the spread, so rarely labeled classes seem far away. All of
# it taken out is unbiased; half is best while most classes have a handful of labels (docs/head.md).
NOISE_TAKEN_OUT = 0.5
TINY = 1e-12


def discriminants(labeled: Labeled, _generator: np.random.Generator) -> Iterator[Candidate]:
    """Heads of rising strength.

    The strength is the ridge on the within-class scatter, 1 for its mean eigenvalue. Leaving one
    out keeps the ridge and moves mean and scatter by that row (Sherman and Morrison).
    """
    counts, labels = labeled.counts, labeled.labels[labeled.held_out]
    degrees = max(1, len(labeled.labels) - len(counts))  # scatter / degrees: covariance
    scatter = np.square(labeled.rows).sum(axis=0)
    unit = _unit(labeled, scatter)
    rows = labeled.rows[labeled.held_out]
    squares = np.square(rows)
    for strength in STRENGTHS:
        weight, products = _products(rows, squares, labeled, scatter + strength * unit)
        distances = degrees * products.distances_without(labels, counts)
        noise = _mean_noise(distances, labels, counts)
        bias = -0.5 * (degrees * np.diag(products.of_means) - noise / counts)
        held_out = -0.5 * (distances - noise / _counts_without(labels, counts))
        yield Candidate(strength, degrees * weight, bias, held_out)


def _unit(labeled: Labeled, scatter: np.ndarray) -> float:
    """The mean eigenvalue of the within-class scatter; of all scatter where there is none."""
    total = float(scatter.sum())
    within = total - float(labeled.counts @ np.square(labeled.means).sum(axis=1))
    if within <= TINY * total:
        return total / max(1, len(scatter)) or 1.0
    return within / min(len(labeled.labels) - len(labeled.counts), len(scatter))


@dataclass(frozen=True, eq=False)
class _Products:
    """Inner products in the metric that all labels give.

    of_rows: (H,) of held-out rows with themselves. with_means: (H, P). of_means: (P, P).
    """

    of_rows: np.ndarray
    with_means: np.ndarray
    of_means: np.ndarray

    def distances_without(self, labels: np.ndarray, counts: np.ndarray) -> np.ndarray:
        """(H, P) squared distances to the class means, means and metric without the row itself.

        Without row x of a class of n, the scatter lacks g r r^T and the mean is at x - g r, where
        r is the row less its mean, and g = n / (n - 1).
        """
        own = np.arange(len(labels)), labels
        distances = self.of_rows[:, None] - 2 * self.with_means + np.diag(self.of_means)
        leverage = distances[own]
        along = self.of_rows[:, None] - self.with_means[own][:, None]
        along = along - self.with_means + self.of_means[labels]
        gain = counts[labels] / (counts[labels] - 1)
        distances[own] = gain**2 * leverage
        along[own] = gain * leverage
        return distances + (gain / (1 - gain * leverage))[:, None] * np.square(along)


def _products(
    rows: np.ndarray, squares: np.ndarray, labeled: Labeled, total: np.ndarray
) -> tuple[np.ndarray, _Products]:
    """(P, R) class means in the metric of the within-class scatter and a ridge, and products.

    Coordinates are principal axes: all scatter is diagonal, and the within-class scatter is that
    less one of rank P, that of the means (Woodbury).

    Args:
        rows, squares: (H, R) held-out rows, and their entries squared.
        total: (R,) all scatter and the ridge.
    """
    means, counts = labeled.means, labeled.counts
    scaled = means / total
    with_means, of_means = rows @ scaled.T, means @ scaled.T
    between = np.linalg.inv(np.diag(1 / counts) - of_means)
    of_rows = squares @ (1 / total) + ((with_means @ between) * with_means).sum(axis=1)
    return scaled + of_means @ between @ scaled, _Products(
        of_rows,
        with_means + with_means @ between @ of_means,
        of_means + of_means @ between @ of_means,
    )


def _mean_noise(distances: np.ndarray, labels: np.ndarray, counts: np.ndarray) -> float:
    """What is taken from the squared distance to a mean of one label.

    The distance of a left-out row to its own class's mean of n others is 1 + 1/n times the spread.
    """
    if len(labels) == 0:
        return 0.0
    own = distances[np.arange(len(labels)), labels]
    return NOISE_TAKEN_OUT * float(np.mean(own * (counts[labels] - 1) / counts[labels]))


def _counts_without(labels: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """(H, P) labels of each class without the row itself."""
    left = np.tile(counts, (len(labels), 1))
    left[np.arange(len(labels)), labels] -= 1
    return left
