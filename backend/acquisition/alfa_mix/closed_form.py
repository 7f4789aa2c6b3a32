"""ALFA-Mix's closed form for a linear head, in one pass: each row's critical epsilon and new class.

Idea. Eq. 5 of Parvaneh et al. (CVPR 2022), alpha* = eps |z* - z| / |g| * g / (z* - z), makes every
anchor move the embedding along one ray: alpha* (z* - z) = eps |z* - z| g/|g|, g being the gradient
of the cross-entropy at the pseudo-label. Logits are affine along a ray, and the slope of a rival
over the pseudo-label decides: a prediction that has flipped stays flipped. So only the farthest
anchor matters, the epsilon at which it flips the prediction has a closed form, and the class that
it flips to is the rival who overtakes first.

Symbols, for one row z: l logits, y pseudo-label, q softmax of the logits without y,
v = sum_k q_k w_k - w_y (the direction of g: g = (1 - p_y) v), s = W v the slopes.

    step*    = min over {k: s_k > s_y} of |v| (l_y - l_k) / (s_k - s_y)
    epsilon* = sqrt(D) step* / max_anchor |z* - z|

The factor sqrt(D) is the authors' scale: their code searches with eps / sqrt(D).

q cannot underflow to all zeros as 1 - p_y does for confident rows in float32, and neither alpha nor
the paper's division by z* - z is ever formed.

Cost: one N x D x (K + A) and one N x K x K product; memory one block.
Legend: N pool rows, n rows of a block, D embedding, K classes, A anchors.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from backend.acquisition.alfa_mix.mixing import first_overtaking
from backend.acquisition.engines.blocks import compute_dtype, map_rows_to_pairs
from backend.acquisition.heads import LinearHead


def closed_form_flips(
    head: LinearHead, embeddings: np.ndarray, anchors: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """`(N,)` critical epsilons and `(N,)` int64 classes that the rows flip to.

    A row's prediction flips exactly for epsilon above its critical one; inf for never, and then its
    class is the pseudo-label.

    embeddings `(N, D)`, anchors `(A, D)`; computed in float64 for float64 embeddings, else float32.
    """
    search = _RaySearch.of(head, anchors, compute_dtype(embeddings))
    return map_rows_to_pairs(embeddings, search.flips)


@dataclass(frozen=True, eq=False)
class _RaySearch:
    """What each row's walk along its ray takes of the head and the anchors, prepared once.

    Both lie about a common origin, where differences lose the fewest digits. One product with
    `factors` gives logits and, up to |z|^2, squared distances to the anchors.
    """

    origin: Tensor  # (D,) mean anchor
    factors: Tensor  # (D, K + A): weights, then -2 times the anchors, both about their origin
    offsets: Tensor  # (K + A,): logits at the origin, then the anchors' squared lengths
    gram: Tensor  # (K, K) of the weights
    noise: float  # slopes closer than this are equal: rounding of the Gram products

    @classmethod
    def of(cls, head: LinearHead, anchors: np.ndarray, dtype: torch.dtype) -> _RaySearch:
        """The search for `anchors (A, D)`, in `dtype`."""
        anchors = anchors.astype(np.float64)
        origin = anchors.mean(0)
        around = anchors - origin
        # Only differences of weights matter. Subtracting a row, not the mean, leaves exact zeros
        # where all rows are equal.
        weight = head.weight.astype(np.float64) - head.weight[0]
        bias = (head.bias.astype(np.float64) - head.bias[0]) + weight @ origin
        gram = weight @ weight.T
        return cls(
            origin=torch.tensor(origin, dtype=dtype),
            factors=torch.tensor(np.concatenate([weight, -2 * around]).T.copy(), dtype=dtype),
            offsets=torch.tensor(np.concatenate([bias, (around**2).sum(1)]), dtype=dtype),
            gram=torch.tensor(gram, dtype=dtype),
            noise=float(8 * torch.finfo(dtype).eps * np.abs(gram).max()),
        )

    def flips(self, block: Tensor) -> tuple[Tensor, Tensor]:
        """Critical epsilons `(n,)` and classes `(n,)` of a block `(n, D)`, which is overwritten."""
        block.sub_(self.origin)
        logits, anchors = torch.addmm(self.offsets, block, self.factors).split(
            [len(self.gram), len(self.offsets) - len(self.gram)], dim=1
        )
        step, label, rival = self._first_flips(logits)
        reach = torch.linalg.vector_norm(block, dim=1).square_() + anchors.amax(1)
        epsilon = step * math.sqrt(block.shape[1]) / reach.clamp_(min=0).sqrt_()
        # 0 / 0: a tie in the logits of a row that every anchor coincides with; it cannot move.
        epsilon.nan_to_num_(nan=math.inf, posinf=math.inf)
        return epsilon, torch.where(epsilon.isinf(), label, rival)

    def _first_flips(self, logits: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Lengths `(n,)` along g at which predictions flip, inf for never; from and to which class.

        The latter means nothing where the prediction never flips.
        """
        top, label = logits.max(dim=1, keepdim=True)
        # v = sum_k r_k w_k with r = q - onehot(y), so s = r G and |v|^2 = r . s
        mixture = logits.scatter(1, label, -math.inf).softmax(dim=1).scatter_(1, label, -1.0)
        slopes = mixture @ self.gram
        squared_norm = mixture.mul_(slopes).sum(1)
        rises = slopes.sub_(slopes.gather(1, label))
        step, rival = first_overtaking(top - logits, rises, self.noise)
        return step * squared_norm.clamp_(min=0).sqrt_(), label[:, 0], rival
