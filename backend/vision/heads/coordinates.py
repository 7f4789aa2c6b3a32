"""Where heads are fitted: centered, scaled, and without the directions in which no label lies.

Legend: L labeled, D embedding, R coordinates, P classes with a label.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# Of the largest eigenvalue of a Gram matrix: what is below is rounding of float64.
RANK_SHARE = 1e-10


@dataclass(frozen=True, eq=False)
class Coordinates:
    """Coordinates of labeled embeddings along their principal axes, R <= min(L - 1, D).

    A head whose penalty treats all directions alike lies in the span of what it was fitted on: with
    fewer labels than features nothing is lost, and most of the work is saved.

    rows: (L, R) float64; columns sum to 0 and are orthogonal to each other.
    mean: (D,) of the embeddings. scale: their root mean square about it.
    axes: (D, R), orthonormal.
    """

    rows: np.ndarray
    mean: np.ndarray
    scale: float
    axes: np.ndarray

    @classmethod
    def of(cls, embeddings: np.ndarray) -> Coordinates:
        """Those of (L, D) embeddings of any floating dtype, L >= 1."""
        embeddings = embeddings.astype(np.float64)
        mean = embeddings.mean(axis=0)
        centered = embeddings - mean
        scale = float(np.sqrt(np.square(centered).mean())) or 1.0
        centered /= scale
        axes = _principal_axes(centered)
        return cls(centered @ axes, mean, scale, axes)

    def merged(self, weight: np.ndarray, bias: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(P, D) and (P,) that give embeddings the logits that (P, R) and (P,) give coordinates."""
        weight = weight @ self.axes.T / self.scale
        return weight, bias - weight @ self.mean


def _principal_axes(centered: np.ndarray) -> np.ndarray:
    """(D, R) axes of (L, D) centered rows, from the smaller of their two Gram matrices."""
    is_wide = centered.shape[0] < centered.shape[1]
    gram = centered @ centered.T if is_wide else centered.T @ centered
    eigenvalues, vectors = np.linalg.eigh(gram)
    is_kept = eigenvalues > RANK_SHARE * max(eigenvalues[-1], 0.0)
    vectors = vectors[:, is_kept]
    return centered.T @ vectors / np.sqrt(eigenvalues[is_kept]) if is_wide else vectors
