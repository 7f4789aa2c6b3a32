"""bait: the batch that leaves least of the Fisher information of all data unexplained.

Idea. The Fisher information says which directions of the head's weights the data can tell apart. A
batch is good where the information of what is labeled, with it, covers that of everything: then the
head's expected error on all data is small. Twice the batch is added greedily, half of it dropped.
Source. Ash et al., "Gone Fishing: Neural Active Learning with Fisher Embeddings", NeurIPS 2021,
Algorithm 1; in the binary form of Huseljic, Hahn, Herde, Rauch and Sick, "Fast Fishing", ECML 2024,
arXiv 2404.08981: the likeliest class against all others, p (1 - p) z z' a row.

    minimize trace((ridge I + information known)^-1 mean information of all)
    known = (sum over L labels + B times the sum over the B rows of the batch) / (L + B)

Cost. (M + L) D^2 + D^3 once, then 6 M D for each row of the batch; M = min(N, `considered`). A
change of one row is of rank one: two products keep both quadratic forms of every row up to date.
Needs. A head.
Deviations. A row of the batch weighs B times what a label does, which is what both authors' code
does. The labels' information is a mean over their rows, as in BAIT's code; Fast Fishing's adds up
one mean for every 32 rows, and so what is known weighs about L / 32 times as much there. Above
`considered` rows (and 10 B), rows and the information of all come from a uniform sample of that
size.
"""

from __future__ import annotations

import numpy as np
import torch

from backend.acquisition.contract import Picks, Pool
from backend.acquisition.engines.predictions import log_probabilities, trained_head
from backend.acquisition.heads import Head
from backend.acquisition.strategies.maxherding import CONSIDERED, considered_rows
from backend.errors import AcquisitionError

# Below, what a row adds can no longer be told from rounding.
LEAST_RIDGE = 1e-3
# So many times the batch is added before it is pruned.
OVERSAMPLED = 2


def pick(
    pool: Pool,
    budget: int,
    generator: np.random.Generator,
    *,
    ridge: float = 1.0,
    considered: int = CONSIDERED,
) -> Picks:
    """The rows that are left, in the order in which they were added."""
    head = trained_head(pool, "bait")
    if not ridge >= LEAST_RIDGE:
        raise AcquisitionError(f"ridge must be at least {LEAST_RIDGE}; found {ridge}")
    rows = considered_rows(pool, budget, considered, generator)
    scores = fisher_rows(head, pool.embeddings[rows])
    labeled = fisher_rows(head, pool.labeled_embeddings)
    total = len(labeled) + budget
    # The rows that are considered stand for all.
    pooled = scores.T @ scores * (len(pool.ids) / len(rows))
    everything = (pooled + labeled.T @ labeled) / (len(pool.ids) + len(labeled))
    known = ridge * torch.eye(scores.shape[1], dtype=scores.dtype) + labeled.T @ labeled / total
    design = Design(scores * (budget / total) ** 0.5, known, everything)
    picked: list[int] = []
    for _ in range(min(OVERSAMPLED * budget, len(rows))):
        gains = design.gains()
        gains[picked] = -np.inf
        picked.append(_first(np.arange(len(rows)), -gains, pool.ids[rows]))
        design.add(picked[-1])
    while len(picked) > budget:
        dropped = _first(np.array(picked), design.losses()[picked], pool.ids[rows])
        design.drop(dropped)
        picked.remove(dropped)
    return Picks(rows=rows[picked], statistics={"unexplained": design.unexplained()})


def fisher_rows(head: Head, embeddings: np.ndarray) -> torch.Tensor:
    """`(N, D)` float64: outer products of these are the rows' Fisher information."""
    log = torch.from_numpy(log_probabilities(head, embeddings)).double()
    top = log.max(1, keepdim=True)
    # 1 - p as the sum of the others: exact also where p rounds to 1.
    others = log.exp().scatter(1, top.indices, 0.0).sum(1, keepdim=True)
    spread = (top.values.exp() * others).sqrt()
    return spread * torch.from_numpy(np.asarray(embeddings, dtype=np.float64))


class Design:
    """What is known, and what each of the `(M, D)` rows would add to it.

    known: (D, D) information so far, which can be inverted. everything: (D, D) that of all data.
    """

    def __init__(self, rows: torch.Tensor, known: torch.Tensor, everything: torch.Tensor) -> None:
        self._rows, self._everything = rows, everything
        self._inverse = torch.linalg.inv(known)
        self._between = self._inverse @ everything @ self._inverse
        self._spans = ((rows @ self._inverse) * rows).sum(1)  # x' known^-1 x
        self._explains = ((rows @ self._between) * rows).sum(1)

    def gains(self) -> np.ndarray:
        """`(M,)`, how much less is unexplained with each row once more."""
        return (self._explains / (1 + self._spans)).numpy()

    def losses(self) -> np.ndarray:
        """`(M,)`, how much more is unexplained without each row; of rows that were added."""
        return (self._explains / (1 - self._spans)).numpy()

    def unexplained(self) -> float:
        """trace(known^-1 everything)"""
        return float((self._inverse * self._everything).sum())

    def add(self, row: int) -> None:
        """Know a row's information."""
        self._change(row, 1 / (1 + float(self._spans[row])))

    def drop(self, row: int) -> None:
        """Know a row's information no longer."""
        self._change(row, -1 / (1 - float(self._spans[row])))

    def _change(self, row: int, by: float) -> None:
        """Sherman and Morrison: known^-1 loses `by` u u', u = known^-1 x."""
        u, v = self._inverse @ self._rows[row], self._between @ self._rows[row]
        along, across = self._rows @ u, self._rows @ v
        bent = by * float(u @ self._everything @ u)
        self._spans -= by * along**2
        self._explains += by * along * (bent * along - 2 * across)
        self._inverse -= by * torch.outer(u, u)
        self._between += by * (bent * torch.outer(u, u) - torch.outer(u, v) - torch.outer(v, u))


def _first(rows: np.ndarray, values: np.ndarray, ids: np.ndarray) -> int:
    """The one of `rows` with the smallest value; of equal ones that with the smallest id."""
    least = rows[values == values.min()]
    return int(least[ids[least].argmin()])
