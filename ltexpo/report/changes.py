"""Lists before and after → what changed for the tail, for clicks and for coverage, with intervals over users."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from ltexpo.columns import Columns, Tier
from ltexpo.metrics.inequality import gini, lorenz
from ltexpo.metrics.intervals import Ratio, difference
from ltexpo.report.gather import IN_TAIL, Facts

_NAN = float("nan")


@dataclass(frozen=True)
class Change:
    """One figure before and after; intervals are NaN where it is a plain count or one user alone tells."""

    before: float
    after: float
    low: float = _NAN
    high: float = _NAN
    relative_low: float = _NAN
    relative_high: float = _NAN

    @property
    def difference(self) -> float:
        """After − before."""
        return self.after - self.before

    @property
    def relative(self) -> float:
        """After / before − 1; NaN when nothing was there before."""
        return self.after / self.before - 1 if self.before else _NAN


def paired_change(before: Ratio, after: Ratio, *, level: float) -> Change:
    """Two ratios over the same users, each paired with themself; the relative interval is that of the log ratio."""
    shift = difference(after, before, level=level)
    change = Change(before.value, after.value, shift.low, shift.high)
    if not (before.value > 0 and after.value > 0):
        return change
    # Divided by its own value a ratio is 1, and its influence is that of its logarithm.
    log_shift = difference(_scaled(after), _scaled(before), level=level)
    center = float(np.log(after.value / before.value))
    low, high = np.expm1([center + log_shift.low, center + log_shift.high])
    return Change(change.before, change.after, change.low, change.high, float(low), float(high))


def tail_share(facts: Facts, *, level: float) -> Change:
    """Share of all exposure that products outside the head hold."""
    before, after = (
        Ratio.of(lists[Columns.Exposure] * lists[IN_TAIL], lists[Columns.Exposure], _users(lists))
        for lists in (facts.control, facts.rankings)
    )
    return paired_change(before, after, level=level)


def expected_clicks(facts: Facts, *, level: float) -> Change | None:
    """Expected clicks per list, Σ exposure × score over its slots; None when the lists carry no scores."""
    if any(Columns.Score not in lists.columns for lists in (facts.control, facts.rankings)):
        return None
    before, after = (
        Ratio.of(lists[Columns.Exposure] * lists[Columns.Score], lists[Columns.Rank] == 1, _users(lists))
        for lists in (facts.control, facts.rankings)
    )
    return paired_change(before, after, level=level)


def products_shown(facts: Facts) -> Change:
    """Products that stand in at least one list."""
    return Change(*(float(lists[Columns.Item].nunique()) for lists in (facts.control, facts.rankings)))


def lorenz_curves(facts: Facts) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Lorenz curves over the full catalogue before and after: item_share, exposure_share."""
    return lorenz(_exposures(facts, facts.control)), lorenz(_exposures(facts, facts.rankings))


def gini_change(facts: Facts) -> Change:
    """Gini coefficient of exposure over the full catalogue."""
    return Change(gini(_exposures(facts, facts.control)), gini(_exposures(facts, facts.rankings)))


def by_tier(facts: Facts) -> pd.DataFrame:
    """Per tier: items; and for before and after the products shown and the share of exposure."""
    tier_of = facts.tiers.set_index(Columns.Item)[Columns.Tier]
    held = pd.DataFrame({"items": tier_of.value_counts()}).reindex(list(Tier.All), fill_value=0)
    for name, lists in (("before", facts.control), ("after", facts.rankings)):
        tier = lists[Columns.Item].map(tier_of).to_numpy()
        exposure = lists[Columns.Exposure].groupby(tier).sum()
        held[f"shown_{name}"] = lists[Columns.Item].groupby(tier).nunique().reindex(held.index, fill_value=0)
        held[f"share_{name}"] = exposure.reindex(held.index, fill_value=0.0) / exposure.sum()
    return held.rename_axis(Columns.Tier).reset_index()


def by_rank(facts: Facts) -> pd.DataFrame:
    """Per rank: the share of slots that show a product outside the head, before and after."""
    shares = {
        name: lists.groupby(Columns.Rank)[IN_TAIL].mean()
        for name, lists in (("before", facts.control), ("after", facts.rankings))
    }
    return pd.DataFrame(shares).rename_axis(Columns.Rank).reset_index()


def user_count(facts: Facts) -> int:
    """Users, or requests where the lists name no user."""
    return len(np.unique(_users(facts.control)))


def _users(lists: pd.DataFrame) -> npt.NDArray[np.int64]:
    """(rows,) a number for the user of each row: the request, where lists carry no user. Equal in both arms."""
    key = lists[Columns.User if Columns.User in lists.columns else Columns.Request]
    return pd.factorize(key, sort=True)[0]


def _exposures(facts: Facts, lists: pd.DataFrame) -> npt.NDArray[np.float64]:
    """(I,) exposure of every item of the catalogue."""
    held = lists.groupby(Columns.Item)[Columns.Exposure].sum()
    return held.reindex(facts.tiers[Columns.Item], fill_value=0.0).to_numpy(np.float64)


def _scaled(ratio: Ratio) -> Ratio:
    return Ratio(ratio.numerator / ratio.value, ratio.denominator, ratio.clusters)
