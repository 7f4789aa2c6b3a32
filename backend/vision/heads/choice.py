"""The head of a round: which kind and how strong, from its labels alone; its probabilities.

Each head is asked for labels that it was fitted without, calibrated by one temperature, and scored
by the log-likelihood of these labels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import log_softmax, logsumexp

from backend.vision.heads.calibration import temperature
from backend.vision.heads.candidate import Candidate, Labeled
from backend.vision.heads.class_means import class_means
from backend.vision.heads.coordinates import Coordinates
from backend.vision.heads.lda import discriminants
from backend.vision.heads.logistic import logistic_regressions
from backend.vision.heads.ridge import ridges

AUTO = "auto"
KINDS: Mapping[str, Callable[[Labeled, np.random.Generator], Iterator[Candidate]]] = {
    "lda": discriminants,
    "ridge": ridges,
    "logistic": logistic_regressions,
    "means": class_means,
}
# What `auto` chooses from: in case of doubt the one before.
CHOSEN_FROM = ("lda", "means", "ridge", "logistic")
# Another kind must be more likely by this many standard errors, and so many held-out labels a class
# must say so: with fewer the standard error is itself a guess.
DOUBT = 1.0
LEAST_A_CLASS = 10
# Few labels cannot tell strengths apart: a normal prior on the logarithm of the strength, about 0.
LOG_STRENGTH_DEVIATION = 2.0
# Labels x coordinates x classes up to which `auto` waits for logistic regression: about a second.
MOST_LOGISTIC_WORK = 250_000


@dataclass(frozen=True)
class HeadReport:
    """What a head was chosen by; None where not one label could be left out.

    kind: a name of `KINDS`.
    strength: of its pull toward what is simple.
    temperature: what its logits were divided by.
    held_out: how many labels were left out in turn.
    log_likelihood, accuracy: means over these; of the probabilities, and of the classes predicted.
    """

    kind: str
    strength: float
    temperature: float
    held_out: int
    log_likelihood: float | None
    accuracy: float | None


@dataclass(frozen=True, eq=False)
class FittedHead:
    """weight: (K, D) float32. bias: (K,) float32. Their logits are calibrated."""

    weight: np.ndarray
    bias: np.ndarray
    report: HeadReport


@dataclass(frozen=True, eq=False)
class HeldOutAnswers:
    """What the head of a round says of labels that it was fitted without.

    kind: a name of `KINDS`; `logistic` is fitted without a fifth at a time, the others without one.
    rows: (H,) int64, which of the L labels could be left out.
    predicted: (H,) int64 classes.
    """

    kind: str
    rows: np.ndarray
    predicted: np.ndarray


@dataclass(frozen=True, eq=False)
class _Scored:
    """log_likelihoods: (H,) of the held-out labels, after calibration."""

    kind: str
    candidate: Candidate
    temperature: float
    log_likelihoods: np.ndarray
    accuracy: float | None

    @property
    def score(self) -> float:
        """The logarithm of the posterior of its strength among the strengths of its kind."""
        off = np.log(self.candidate.strength) / LOG_STRENGTH_DEVIATION
        return float(self.log_likelihoods.sum() - 0.5 * off**2)


def fit_head(
    embeddings: np.ndarray,
    labels: np.ndarray,
    num_classes: int,
    kind: str,
    generator: np.random.Generator,
) -> FittedHead:
    """The linear head that is best on labels which it was fitted without.

    Args:
        embeddings: (L, D) floating, L >= 1.
        labels: (L,) int64 in [0, K).
        num_classes: K; a class without labels gets a small probability and is never predicted.
        kind: `auto`, or one of `KINDS`.
        generator: draws the folds of what has no closed form.
    """
    present, positions = np.unique(labels, return_inverse=True)
    coordinates = Coordinates.of(embeddings)
    labeled = Labeled(coordinates.rows, positions)
    best = _best(labeled, _kinds(labeled) if kind == AUTO else (kind,), generator)
    weight, bias = _centered(best)
    all_weight = np.zeros((num_classes, embeddings.shape[1]), np.float32)
    all_bias = np.full(num_classes, _bias_of_absent(labeled, weight, bias, num_classes), np.float32)
    all_weight[present], all_bias[present] = coordinates.merged(weight, bias)
    return FittedHead(all_weight, all_bias, _report(best))


def held_out_answers(
    embeddings: np.ndarray, labels: np.ndarray, kind: str, generator: np.random.Generator
) -> HeldOutAnswers:
    """The classes that the head of `fit_head` predicts for each label left out; see there.

    Kind and strength are chosen by these same labels: alike for whatever is compared.
    """
    present, positions = np.unique(labels, return_inverse=True)
    labeled = Labeled(Coordinates.of(embeddings).rows, positions)
    best = _best(labeled, _kinds(labeled) if kind == AUTO else (kind,), generator)
    predicted = present[best.candidate.held_out.argmax(axis=1)]
    return HeldOutAnswers(best.kind, labeled.held_out, predicted)


def _kinds(labeled: Labeled) -> tuple[str, ...]:
    """What `auto` looks at: more than the first only where the labels can tell."""
    if len(labeled.held_out) < LEAST_A_CLASS * len(labeled.counts):
        return CHOSEN_FROM[:1]
    work = labeled.rows.size * len(labeled.counts)
    return tuple(kind for kind in CHOSEN_FROM if kind != "logistic" or work <= MOST_LOGISTIC_WORK)


def _best(labeled: Labeled, kinds: Sequence[str], generator: np.random.Generator) -> _Scored:
    """The first of `kinds`, or a later one that is clearly more likely."""
    first, *others = (_strongest(kind, labeled, generator) for kind in kinds)
    for other in others:
        if _is_clearly_better(other, first):
            first = other
    return first


def _strongest(kind: str, labeled: Labeled, generator: np.random.Generator) -> _Scored:
    """The best of a kind."""
    scored = (_scored(kind, found, labeled) for found in KINDS[kind](labeled, generator))
    return max(scored, key=lambda found: found.score)


def _scored(kind: str, candidate: Candidate, labeled: Labeled) -> _Scored:
    labels, logits = labeled.labels[labeled.held_out], candidate.held_out
    if len(labels) == 0:  # nothing but the labels themselves to calibrate on
        fitted = labeled.rows @ candidate.weight.T + candidate.bias
        return _Scored(kind, candidate, temperature(fitted, labeled.labels), np.empty(0), None)
    divisor = temperature(logits, labels)
    rows = np.arange(len(labels))
    likelihoods = log_softmax(logits / divisor, axis=1)[rows, labels]
    accuracy = float(np.mean(logits.argmax(axis=1) == labels))
    return _Scored(kind, candidate, divisor, likelihoods, accuracy)


def _is_clearly_better(other: _Scored, known: _Scored) -> bool:
    """Whether the paired gain in log-likelihood is more than its standard error."""
    gains = other.log_likelihoods - known.log_likelihoods
    return float(gains.mean()) > DOUBT * float(gains.std(ddof=1)) / len(gains) ** 0.5


def _centered(best: _Scored) -> tuple[np.ndarray, np.ndarray]:
    """(P, R) and (P,) calibrated, their logits 0 on average, which changes no probability."""
    weight = best.candidate.weight - best.candidate.weight.mean(axis=0)
    bias = best.candidate.bias - best.candidate.bias.mean()
    return weight / best.temperature, bias / best.temperature


def _bias_of_absent(
    labeled: Labeled, weight: np.ndarray, bias: np.ndarray, num_classes: int
) -> float:
    """The logit of a class without labels: 1 in L + K on a usual image, and never the largest.

    The largest of logits that are 0 on average is 0 or more.
    """
    usual = logsumexp(labeled.rows @ weight.T + bias, axis=1).mean()
    return min(0.0, float(usual) - float(np.log(len(labeled.labels) + num_classes)))


def _report(best: _Scored) -> HeadReport:
    likelihoods = best.log_likelihoods
    return HeadReport(
        kind=best.kind,
        strength=best.candidate.strength,
        temperature=best.temperature,
        held_out=len(likelihoods),
        log_likelihood=float(likelihoods.mean()) if len(likelihoods) else None,
        accuracy=best.accuracy,
    )
