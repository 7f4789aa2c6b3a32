"""The page of results: says plainly where ALFA-Mix wins, ties and loses."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from backend.settings import Settings
from benchmarks.curves.bench import EPOCHS, MLP_EPOCHS
from benchmarks.curves.ceiling import how_far
from benchmarks.curves.heads_compared import Pair, headline, heads_compared
from benchmarks.curves.in_short import ALFA, AUTO, in_short, percent, whole_percent
from benchmarks.curves.penalty import AUTHORS, OURS, cells, shared_strategies
from benchmarks.curves.pictures import file_name
from benchmarks.curves.settings import LABEL_FREE, Setting
from benchmarks.curves.tables import RANDOM, Curves
from benchmarks.curves.verdicts import PAPER_BASELINES, TARGET_SHARES, Verdict, gain, verdicts

PENALTIES, AUTHORS_PENALTIES = "penalty-matrix", "penalty-matrix-authors-test"
VITS = ("head", "blocks", "full")
BACKBONES = {
    "bundled": "The bundled ViT is small and was pre-trained on Fashion-MNIST's training images "
    "without labels; it has never seen other images.",
    "vit_small_patch14_dinov2": "The ViT-S has DINOv2's shape, but the weights measured here were "
    "fine-tuned for saliency by their owner: far weaker than DINO's, and not to be taken for them.",
}


@dataclass(frozen=True)
class Examples:
    """Of a data set: how many to draw pools from and to test on; what is not used, by reason."""

    train: int
    test: int
    left_out: Mapping[str, int]


@dataclass(frozen=True)
class Origin:
    """Where the rows come from, as far as they do not say it.

    command: what printed the page.
    settings: those that the rows may be of.
    data: by name, what is here.
    not_run: settings that cannot be run here, and why.
    """

    command: str
    settings: Sequence[Setting]
    data: Mapping[str, Examples]
    not_run: Mapping[str, str]


def page(
    curves: Sequence[Curves],
    cold: Sequence[Curves],
    unfinished: Sequence[str],
    origin: Origin,
    pairs: Sequence[Pair] = (),
    ceilings: Sequence[Curves] = (),
    duel: Sequence[Curves] = (),
) -> str:
    """The page as Markdown.

    unfinished: settings with too few rows to compare. pairs: settings with both heads. ceilings:
    settings with the oracle's curves among the others. duel: of `auto` and its rival alone.
    """
    known = {setting.name: setting for setting in origin.settings}
    names = [found.setting for found in (*curves, *cold)]
    shown = [known[name] for name in names if name in known]
    lines = [*_head(origin, pairs), *_networks(shown), "", *_data(shown, origin)]
    lines += _absent({*names, *unfinished}, unfinished, origin)
    lines += [""]
    if curves:
        lines += [*in_short(curves, duel), *heads_compared(pairs), *how_far(ceilings)]
        lines += [*_matrices(curves), *_seconds(curves)]
        for found in curves:
            lines += _section(found, known.get(found.setting))
    if cold:
        lines += _cold(cold)
    return "\n".join(lines).rstrip() + "\n"


def _head(origin: Origin, pairs: Sequence[Pair]) -> Iterator[str]:
    epsilon = Settings().epsilon
    yield "# Does it save labels? Learning curves"
    yield ""
    yield from headline(pairs)
    yield f"Written by `{origin.command}`; the rows are in `rows.csv`."
    yield (
        "The paper's protocol: the same random first labels and the same test images for every "
        "strategy of a seed; train until 99 % training accuracy, measure, select, reveal. "
        "Accuracies are means over the rounds after the first labels."
    )
    yield (
        "Intervals are 95 %, paired over seeds: they hold for other draws of the pool, where one "
        "is drawn, of first labels and of trainings, but for these test images, which all seeds "
        "share. *Wins* and *loses* say that they exclude zero, *ties* that they do not, which does "
        "not show that there is no difference. They are not corrected for the number of "
        "comparisons: of equals about one in twenty excludes zero by chance."
    )
    yield (
        "*Labels for* an accuracy are those with which the mean curve first reaches it, between "
        "rounds by a straight line, as a share of random's; 100 % also where the first labels, "
        "which all share, are enough."
    )
    yield (
        "Heads are those of the backend's rounds (`ALFAMIX_HEAD=auto`, docs/head.md), where a "
        "setting's name does not say another."
    )
    yield (
        "All strategies see standardized embeddings, as in the backend's rounds; most of their "
        f"papers take them as the network gives them. Epsilon starts at {epsilon:g} and rises in "
        f"steps of {epsilon:g} until there are more candidates than labels to give. A ViT trains "
        f"for at most {EPOCHS} epochs, an MLP for {MLP_EPOCHS}. All first labels are of two "
        "classes, so `auto` is `alfa-herding` in every round; its rows are runs of their own."
    )


def _networks(settings: Sequence[Setting]) -> Iterator[str]:
    """What is to be known of the pre-trained weights."""
    used = {setting.backbone for setting in settings if setting.network.startswith(VITS)}
    yield from (text for backbone, text in BACKBONES.items() if backbone in used)


def _data(settings: Sequence[Setting], origin: Origin) -> Iterator[str]:
    for name in dict.fromkeys(setting.data for setting in settings):
        if found := origin.data.get(name):
            short = Path(name).name
            yield f"- {short}: {found.train:,} to draw pools from, {found.test:,} to test on"
            for reason, count in found.left_out.items():
                yield f"- left out of {short}: {count} x {reason}"


def _absent(with_rows: Collection[str], unfinished: Sequence[str], origin: Origin) -> Iterator[str]:
    for setting, reason in origin.not_run.items():
        if setting not in with_rows:
            yield f"- not run: {setting}: {reason}"
    for setting in unfinished:
        yield f"- unfinished: {setting}: needed are two seeds that random and all others have"


def _matrices(curves: Sequence[Curves]) -> Iterator[str]:
    if len(shared_strategies(curves)) < 2:
        return
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
    if ours.total:
        yield (
            f"`{ALFA}` is beaten by the eight baselines in {percent(ours.lost, ours.total)} of the "
            f"cells by the first test, in {percent(theirs.lost, theirs.total)} by the second."
        )
        yield ""


def _seconds(curves: Sequence[Curves]) -> Iterator[str]:
    yield "## Seconds of one selection"
    yield ""
    yield (
        "Medians of a setting's selections, one thread, beside other processes; here the median "
        "and the largest of them. Standardizing the pool, which all do, is in them: random does "
        "little else."
    )
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


def _section(found: Curves, setting: Setting | None) -> Iterator[str]:
    yield f"## {found.setting}"
    yield ""
    counts = f"{found.n_labeled[0]} to {found.n_labeled[-1]} labels"
    drawn = "" if setting is None else _drawn(setting)
    yield f"{found.seeds} seeds, {counts}, {len(found.n_labeled) - 1} rounds of selection{drawn}."
    yield ""
    yield f"![{found.setting}]({file_name(found.setting)}.png)"
    yield ""
    shares = " | ".join(
        f"labels for {whole_percent(share)} of random's last" for share in TARGET_SHARES
    )
    extra = {words: means for words, means in _extra(found).items() if any(means.values())}
    yield " | ".join(["| strategy | mean % | last % | gain over random | ", shares, *extra]) + " |"
    yield "| --- | --- | --- | --- | --- |" + " --- |" * (len(TARGET_SHARES) + len(extra))
    for verdict in verdicts(found):
        cells = [f" {means[verdict.strategy]:.1f} |" for means in extra.values()]
        yield _row(verdict) + "".join(cells)
    yield ""


def _extra(found: Curves) -> Mapping[str, Mapping[str, float]]:
    """What only pools of rare or foreign classes have, by its column's name."""
    return {"labels of rare classes": found.rare, "shown of no class": found.foreign}


def _drawn(setting: Setting) -> str:
    pool = f"drawn {setting.pool:,} anew for each seed" if setting.pool else "all there is"
    test = f"{setting.test:,}, drawn once" if setting.test else "all there is"
    classes = ""
    if setting.is_skewed:
        classes += (
            f"; the largest class of the pool is {setting.skew:g} times as large as the smallest, "
            "rare are the smaller half of the classes, which each seed draws anew; the test is as "
            "balanced as the data"
        )
    if setting.foreign:
        classes += (
            f"; {setting.foreign} classes, which each seed draws anew, are none that is asked for: "
            "people skip their images, which count as labels here; the test has none of them"
        )
    return f"; the pool: {pool}; the test: {test}{classes}"


def _row(verdict: Verdict) -> str:
    name = f"**{verdict.strategy}**" if verdict.strategy in (ALFA, AUTO) else verdict.strategy
    accuracy = f"{100 * verdict.mean:.2f} | {100 * verdict.last:.2f}"
    shares = " | ".join("never" if s is None else whole_percent(s) for s in verdict.labels)
    if verdict.strategy == RANDOM:
        return f"| {name} | {accuracy} | | | {shares} |"
    mean, reach = 100 * verdict.gain.mean, 100 * (verdict.gain.high - verdict.gain.mean)
    return f"| {name} | {accuracy} | {mean:+.2f} ± {reach:.2f} | {verdict.word} | {shares} |"


def _cold(cold: Sequence[Curves]) -> Iterator[str]:
    yield "## The first batch"
    yield ""
    yield (
        "Nothing is labeled yet; accuracy in % after training on the first batch alone, in "
        "brackets its paired gain over random, in bold the highest. This is what "
        "`ALFAMIX_COLD_START` decides."
    )
    yield ""
    names = [name for name in LABEL_FREE if any(name in found.accuracy for found in cold)]
    yield "| setting | " + " | ".join(names) + " |"
    yield "| --- |" + " --- |" * len(names)
    for found in cold:
        cells = " | ".join(_first_batch(found, name) for name in names)
        yield f"| {found.setting.removeprefix('first batch: ')} | {cells} |"
    yield ""


def _first_batch(found: Curves, strategy: str) -> str:
    if strategy not in found.accuracy:
        return ""
    mean = found.mean(strategy)
    best = max(found.mean(name) for name in found.accuracy)
    text = f"**{100 * mean:.1f}**" if mean == best else f"{100 * mean:.1f}"
    if strategy == RANDOM:
        return text
    more = gain(found, strategy, RANDOM)
    return f"{text} ({100 * more.mean:+.1f} ± {100 * (more.high - more.mean):.1f})"
