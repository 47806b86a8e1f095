"""Lists of many runs + what was bought → tables with intervals over users, and paired differences.

Every seed's lists of a user are that user's: a figure is the mean over seeds, its interval is over users, and what is
behind ± is the standard deviation between seeds.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from hm_days import PLAIN, SHARES, Day, K

from ltexpo.columns import Columns, Tier
from ltexpo.metrics.accuracy import accuracy_measures, found_ranks
from ltexpo.metrics.exposure import exposure_measures
from ltexpo.metrics.intervals import Estimate, Ratio, difference, estimate

METRICS = {
    "MAP": (f"map@{K}", "all"), "recall": (f"recall@{K}", "all"), "head": (f"recall@{K}", Tier.Head),
    "tail": (f"recall@{K}", Tier.Tail), "new": (f"recall@{K}", Tier.New), "exposure": (f"tail_share@{K}", "all"),
}
"""Column of the table → metric and tier; exposure is the share of tail and new products together."""


@dataclass(frozen=True)
class Score:
    """What one method's lists at one share are worth, all seeds together."""

    samples: Mapping[str, Ratio]
    """One for each of `METRICS`."""
    spread: Mapping[str, float]
    """Standard deviation between seeds; NaN with one."""
    coverage: float
    """Share of the catalogue shown in the days' lists, mean over seeds."""
    short: int
    """Lists with fewer than 12 items."""

    def plain(self) -> dict[str, Any]:
        """Value, low, high and spread of each metric, JSON-ready."""
        rows = {name: estimate(sample) for name, sample in self.samples.items()}
        return {
            name: {"value": one.value, "low": one.low, "high": one.high, "spread": self.spread[name]}
            for name, one in rows.items()
        } | {"coverage": self.coverage, "short": self.short}


def score(lists: pd.DataFrame, days: Sequence[Day]) -> Score:
    """`lists`: seed, day, user_id, item_id, rank, those of one method at one share."""
    size = len(days[0].items)
    catalogue = pd.Index(days[0].items[Columns.Item])
    number = {day.day: n for n, day in enumerate(days)}
    # An item of one day is another item on the next: it may be new today and tail tomorrow.
    tiers = pd.concat([day.items[[Columns.Interactions, Columns.Tier]] for day in days], ignore_index=True)
    tiers.insert(0, Columns.Item, np.arange(len(tiers)))

    def coded(frame: pd.DataFrame, seed: "int | pd.Series[Any]") -> pd.DataFrame:
        at = frame["day"].map(number).to_numpy()
        return pd.DataFrame({
            Columns.Request: frame[Columns.User] + "@" + frame["day"] + "#" + str(seed),
            Columns.User: frame[Columns.User], Columns.Item: catalogue.get_indexer(frame[Columns.Item]) + size * at,
        })

    wanted = pd.concat([day.wanted.assign(day=day.day) for day in days])
    each, coverage, whole = [], [], []
    for seed, made in lists.groupby("seed"):
        shown = coded(made, seed).assign(**{Columns.Rank: made[Columns.Rank].to_numpy()})
        bought = coded(wanted, seed)
        coverage.append((shown[Columns.Item] % size).nunique() / size)
        whole.append((shown, bought))
        each.append(_samples(shown, bought, tiers))
    together = _samples(*(pd.concat(parts) for parts in zip(*whole, strict=True)), tiers)
    spread = {
        name: float(np.std([one[name].value for one in each], ddof=1)) if len(each) > 1 else float("nan")
        for name in METRICS
    }
    lengths = pd.concat([shown for shown, _ in whole]).groupby(Columns.Request).size()
    return Score(together, spread, float(np.mean(coverage)), int((lengths < K).sum()))


def _samples(shown: pd.DataFrame, bought: pd.DataFrame, tiers: pd.DataFrame) -> dict[str, Ratio]:
    users = pd.concat([shown, bought]).drop_duplicates(Columns.Request).set_index(Columns.Request)[Columns.User]
    measures = [
        *accuracy_measures(found_ranks(shown, bought), tiers, k=(K,), users=users),
        *exposure_measures(shown, tiers, k=K, users=users),
    ]
    samples = {(one.metric, one.tier): one.sample for one in measures if isinstance(one.sample, Ratio)}
    return {name: samples[key] for name, key in METRICS.items()}


Scores = Mapping[tuple[str, float], Score]
"""Method and share asked for → what its lists are worth."""


def plain_table(scores: Scores, seconds: Mapping[str, float], seeds: Mapping[str, int]) -> str:
    """A row for each method's lists as they are."""
    lines = [
        f"| | seeds | MAP@{K} % | recall@{K} % | head | tail | new | coverage % "
        "| exposure of tail and new % | s a day |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for (method, share), one in scores.items():
        if share == PLAIN:
            accurate = " | ".join(_cell(one, name) for name in ("MAP", "recall", "head", "tail", "new"))
            lines.append(
                f"| {method} | {seeds[method]} | {accurate} | {100 * one.coverage:.2f} | {_cell(one, 'exposure')} "
                f"| {seconds[method]:.0f} |"
            )
    return "\n".join(lines)


def frontier_table(scores: Scores) -> str:
    """A row for each method at each share that was asked for."""
    lines = [
        f"| share % | | reached % | MAP@{K} % | recall@{K} % | head | tail | new | coverage % |",
        "| ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for wanted in SHARES:
        for (method, share), one in scores.items():
            if share == wanted:
                cells = " | ".join(_cell(one, name) for name in ("MAP", "recall", "head", "tail", "new"))
                reached = 100 * one.samples["exposure"].value
                lines.append(
                    f"| {100 * share:.0f} | {method} | {reached:.1f} | {cells} | {100 * one.coverage:.2f} |"
                )
    return "\n".join(lines)


def difference_table(scores: Scores, pairs: Iterable[tuple[str, str]]) -> str:
    """One method − another at each share, paired over users, in points, and in % of the other."""
    lines = [
        f"| | share % | MAP@{K} | recall@{K} | head | tail | new |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for left, right in pairs:
        for share in (PLAIN, *SHARES):
            if (left, share) in scores and (right, share) in scores:
                cells = [
                    _gain(difference(scores[left, share].samples[name], scores[right, share].samples[name]),
                          scores[right, share].samples[name].value)
                    for name in ("MAP", "recall", "head", "tail", "new")
                ]
                asked = f"{100 * share:.0f}" if share else "as they are"
                lines.append(f"| {left} − {right} | {asked} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(one: Score, name: str) -> str:
    shown, spread = estimate(one.samples[name]), one.spread[name]
    between = "" if np.isnan(spread) else f" ±{100 * spread:.2f}"
    return f"{100 * shown.value:.2f} ({100 * shown.low:.2f}–{100 * shown.high:.2f}){between}"


def _gain(gain: Estimate, base: float) -> str:
    relative = f", {100 * gain.value / base:+.0f}%" if base > 0 else ""
    return f"{100 * gain.value:+.2f} ({100 * gain.low:+.2f} to {100 * gain.high:+.2f}{relative})"
