"""The page of results: says plainly where ALFA-Mix wins, ties and loses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.curves.bench import EPOCHS, EPSILON, MLP_EPOCHS
from benchmarks.curves.penalty import AUTHORS, OURS, cells
from benchmarks.curves.pictures import file_name
from benchmarks.curves.settings import LABEL_FREE
from benchmarks.curves.tables import Curves
from benchmarks.curves.verdicts import (
    PAPER_BASELINES,
    RANDOM,
    TARGET_SHARES,
    Verdict,
    counted,
    verdicts,
)

ALFA, AUTO = "alfa-mix", "auto"
PENALTIES, AUTHORS_PENALTIES = "penalty-matrix", "penalty-matrix-authors-test"


@dataclass(frozen=True)
class Summary:
    """command: what printed the page. left_out: examples not used, by data set and reason."""

    command: str
    left_out: Mapping[str, Mapping[str, int]]
    not_run: Mapping[str, str]


def page(curves: Sequence[Curves], cold: Sequence[Curves], summary: Summary) -> str:
    """Return the page as Markdown."""
    lines = [*_head(curves, cold, summary)]
    if curves:
        lines += [*_short(curves), *_matrices(curves), *_seconds(curves)]
        for found in curves:
            lines += _section(found)
    if cold:
        lines += _cold(cold)
    return "\n".join(lines).rstrip() + "\n"


def _head(curves: Sequence[Curves], cold: Sequence[Curves], summary: Summary) -> Iterator[str]:
    yield "# Does it save labels? Learning curves"
    yield ""
    yield f"Written by `{summary.command}`; the rows are in `rows.csv`."
    yield (
        "The paper's protocol: the same random first labels and the same test images for every "
        "strategy of a seed; train until 99 % training accuracy, measure, select, reveal. "
        "Accuracies are means over the rounds after the first labels. Intervals are 95 %, paired "
        "over seeds; *wins*, *ties* and *loses* say whether they exclude zero. With this many "
        "comparisons about one in twenty excludes zero by chance."
    )
    yield (
        "Selection sees standardized embeddings, as the backend's rounds do; epsilon starts at "
        f"{EPSILON:g} and rises in steps of 0.2 until there are more candidates than labels to "
        f"give. A ViT's head trains for at most {EPOCHS} epochs, an MLP for {MLP_EPOCHS}. `auto` "
        "covers the pool below five labels a class on average; from five on it is `alfa-mix`."
    )
    yield (
        "CIFAR-10 stands for 6,000 + 2,000 of its images (`FOLDER/cifar10/train` and `/test`), "
        "Fashion-MNIST for all of them; each seed draws a pool of its own."
    )
    yield (
        "The bundled ViT is small and was pre-trained on Fashion-MNIST's training images without "
        "labels; it has never seen digits. The ViT-S has DINOv2's shape, but weights that their "
        "owner fine-tuned for saliency: far weaker than DINO's, and not to be taken for them."
    )
    for setting, reason in summary.not_run.items():
        yield f"- not run: {setting}: {reason}"
    for data, reasons in summary.left_out.items():
        for reason, count in reasons.items():
            yield f"- left out of {data}: {count} x {reason}"
    yield ""


def _short(curves: Sequence[Curves]) -> Iterator[str]:
    yield "## In short"
    yield ""
    for strategy in (ALFA, AUTO):
        yield f"- {_against(curves, strategy, RANDOM)}"
    yield f"- {_against(curves, AUTO, ALFA)}"
    baselines = cells(curves, ALFA, PAPER_BASELINES)
    yield (
        f"- `{ALFA}` against the paper's eight baselines, by setting, baseline and round: "
        f"significantly beaten in {baselines.lost} of {baselines.total} cells "
        f"({_percent(baselines.lost, baselines.total)}; goal: at most 1 %), ahead in "
        f"{baselines.won} ({_percent(baselines.won, baselines.total)})."
    )
    everything = list(dict.fromkeys(name for found in curves for name in found.accuracy))
    for strategy in (AUTO, ALFA):
        counts = cells(curves, strategy, everything)
        yield (
            f"- `{strategy}` against everything in the registry: significantly beaten in "
            f"{counts.lost} of {counts.total} cells ({_percent(counts.lost, counts.total)}"
            f"{'; goal: none' if strategy == AUTO else ''}), ahead in {counts.won} "
            f"({_percent(counts.won, counts.total)})."
        )
    yield f"- `{AUTO}` is beaten over a whole setting (mean accuracy) by: {_beaten(curves, AUTO)}."
    yield f"- `{ALFA}` by: {_beaten(curves, ALFA)}."
    yield ""


def _against(curves: Sequence[Curves], strategy: str, opponent: str) -> str:
    found = counted(curves, strategy, opponent)
    total = len(curves)
    text = (
        f"`{strategy}` against `{opponent}`: wins in {len(found['wins'])} of {total} settings, "
        f"ties in {len(found['ties'])}, loses in {len(found['loses'])}"
    )
    losses = "; ".join(found["loses"])
    return text + (f" ({losses})." if losses else ".")


def _beaten(curves: Sequence[Curves], strategy: str) -> str:
    opponents = dict.fromkeys(name for found in curves for name in found.accuracy)
    parts = []
    for opponent in opponents:
        with_both = [found for found in curves if opponent in found.accuracy]
        lost = counted(with_both, strategy, opponent)["loses"]
        if lost:
            parts.append(f"{opponent} ({'; '.join(lost)})")
    return ", ".join(parts) or "nothing"


def _matrices(curves: Sequence[Curves]) -> Iterator[str]:
    yield "## Who beats whom"
    yield ""
    yield (
        "The paper's Figure 4: row *i*, column *j* counts the settings' worth of rounds in which "
        "*i* significantly beats *j*; the bottom line is how much a strategy is beaten. First "
        "with the t-test as it should be (ddof 1, S - 1 degrees of freedom), then as the "
        "authors' script has it (ddof 0, t above 2.776 whatever the number of seeds)."
    )
    yield ""
    yield f"![penalty matrix]({PENALTIES}.png)"
    yield ""
    yield f"![penalty matrix, the authors' test]({AUTHORS_PENALTIES}.png)"
    yield ""
    ours, theirs = (cells(curves, ALFA, PAPER_BASELINES, test) for test in (OURS, AUTHORS))
    yield (
        f"`{ALFA}` is beaten by the eight baselines in {_percent(ours.lost, ours.total)} of the "
        f"cells by the first test, in {_percent(theirs.lost, theirs.total)} by the second."
    )
    yield ""


def _seconds(curves: Sequence[Curves]) -> Iterator[str]:
    yield "## Seconds of one selection"
    yield ""
    yield "Medians of a setting's selections, one thread; here the median and the largest of them."
    yield ""
    yield "| strategy | median s | largest s |"
    yield "| --- | --- | --- |"
    strategies = dict.fromkeys(name for found in curves for name in found.select_s)
    taken = {
        name: [found.select_s[name] for found in curves if name in found.select_s]
        for name in strategies
    }
    for name in sorted(taken, key=lambda name: float(np.median(taken[name]))):
        yield f"| {name} | {np.median(taken[name]):.3f} | {max(taken[name]):.3f} |"
    yield ""


def _section(found: Curves) -> Iterator[str]:
    yield f"## {found.setting}"
    yield ""
    counts = f"{found.n_labeled[0]} to {found.n_labeled[-1]} labels"
    yield f"{found.seeds} seeds, {counts}, {len(found.n_labeled) - 1} rounds of selection."
    yield ""
    yield f"![{found.setting}]({file_name(found.setting)}.png)"
    yield ""
    shares = " | ".join(f"labels for {share:.0%} of random's last" for share in TARGET_SHARES)
    yield f"| strategy | mean % | last % | gain over random | | {shares} |"
    yield "| --- | --- | --- | --- | --- |" + " --- |" * len(TARGET_SHARES)
    for verdict in verdicts(found):
        yield _row(verdict)
    yield ""


def _row(verdict: Verdict) -> str:
    name = f"**{verdict.strategy}**" if verdict.strategy in (ALFA, AUTO) else verdict.strategy
    accuracy = f"{100 * verdict.mean:.2f} | {100 * verdict.last:.2f}"
    shares = " | ".join("never" if s is None else f"{s:.0%}" for s in verdict.labels)
    if verdict.strategy == RANDOM:
        return f"| {name} | {accuracy} | | | {shares} |"
    mean, reach = 100 * verdict.gain.mean, 100 * (verdict.gain.high - verdict.gain.mean)
    return f"| {name} | {accuracy} | {mean:+.2f} ± {reach:.2f} | {verdict.word} | {shares} |"


def _cold(cold: Sequence[Curves]) -> Iterator[str]:
    yield "## The first batch"
    yield ""
    yield (
        "Nothing is labeled yet; accuracy in % after training on the first batch alone. This is "
        "what `ALFAMIX_COLD_START` decides."
    )
    yield ""
    names = [name for name in LABEL_FREE if name in cold[0].accuracy]
    yield "| setting | " + " | ".join(names) + " |"
    yield "| --- |" + " --- |" * len(names)
    for found in cold:
        means = [100 * found.mean(name) for name in names]
        texts = [f"**{m:.1f}**" if m == max(means) else f"{m:.1f}" for m in means]
        yield f"| {found.setting.removeprefix('first batch: ')} | " + " | ".join(texts) + " |"
    yield ""


def _percent(part: int, total: int) -> str:
    return f"{100 * part / max(1, total):.1f} %"
