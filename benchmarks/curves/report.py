"""What a file of rows says, drawn and written beside it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmarks.curves.ceiling import with_oracle, without_oracle
from benchmarks.curves.data import DataError
from benchmarks.curves.heads_compared import LABEL_SHARES, pairs_of, shares_by_step
from benchmarks.curves.in_short import AUTO, RIVAL
from benchmarks.curves.page import AUTHORS_PENALTIES, PENALTIES, Origin, page
from benchmarks.curves.penalty import AUTHORS, OURS, penalties, shared_strategies
from benchmarks.curves.pictures import draw_all, draw_label_shares, draw_penalties
from benchmarks.curves.rows import read_rows
from benchmarks.curves.settings import BY_ADAM
from benchmarks.curves.tables import Curves, curves_of, only, unfinished


def write_report(out: Path, origin: Origin) -> None:
    """Write pictures and page of all settings in the file, whichever were run now.

    DataError: the file has no rows, or wrong ones.
    """
    rows = read_rows(out / "rows.csv")
    if not rows:
        raise DataError(f"{out / 'rows.csv'} has no rows; needed are some to draw")
    strategies, ceilings = without_oracle(rows), with_oracle(rows)
    found, left = curves_of(strategies), unfinished(strategies)
    by_adam = [curves for curves in found if curves.setting.endswith(BY_ADAM)]
    warm = [curves for curves in found if not curves.is_cold and curves not in by_adam]
    cold = [curves for curves in found if curves.is_cold]
    draw_all(warm, out)
    pairs = pairs_of(warm, by_adam)
    if pairs:
        shares = {f"{name}, {head}": s for (head, name), s in shares_by_step(pairs).items() if s}
        draw_label_shares(shares, out, LABEL_SHARES)
    _draw_penalties(warm, out)
    names = {curves.setting for curves in warm}
    duel = [one for one in curves_of(only(strategies, AUTO, RIVAL)) if one.setting in names]
    text = page(warm, cold, left, origin, pairs, ceilings, duel)
    (out / "README.md").write_text(text, encoding="utf-8")
    print(f"wrote {out / 'README.md'}: {len(warm)} settings, {len(cold)} first batches")
    for setting in left:
        print(f"unfinished, not compared: {setting}")


def _draw_penalties(curves: Sequence[Curves], out: Path) -> None:
    common = shared_strategies(curves)
    if len(common) < 2:
        return
    draw_penalties(penalties(curves, common, OURS), "Paired t-test, ddof 1", out, PENALTIES)
    draw_penalties(
        penalties(curves, common, AUTHORS),
        "The authors' test, ddof 0, t > 2.776",
        out,
        AUTHORS_PENALTIES,
    )
