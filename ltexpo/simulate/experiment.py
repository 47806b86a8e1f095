"""Control lists + treatment lists + known preferences → a simulated A/B test."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from pydantic import Field

from ltexpo.columns import Columns, Tier
from ltexpo.config import Settings
from ltexpo.data.schema import RANKINGS, check_table
from ltexpo.data.synthetic.truth import Truth
from ltexpo.errors import TableError
from ltexpo.simulate.effects import ratio_effects

METRICS = {
    "clicks per visit": ("clicks", "visits"),
    "click-through rate": ("clicks", "impressions"),
    "tail share of exposure": ("tail_exposure", "exposure"),
    "tail share of clicks": ("tail_clicks", "clicks"),
    "tail clicks per visit": ("tail_clicks", "visits"),
    "purchases per visit": ("purchases", "visits"),
    "revenue per visit": ("revenue", "visits"),
}
"""Metric → (numerator, denominator), both summed over an arm's users."""


class SimulateSettings(Settings):
    """How the A/B test is simulated."""

    days: int = Field(14, ge=1)
    """Length of the test in days."""
    visits_per_day: float = Field(0.5, gt=0)
    """Mean visits of a user on a day; each visit shows the user's whole list once."""
    treatment_share: float = Field(0.5, gt=0, lt=1)
    """Share of users who get the treatment's lists."""
    level: float = Field(0.95, gt=0.5, lt=1)
    """Confidence level of the intervals."""


@dataclass(frozen=True)
class Experiment:
    """What the simulated test measured: one row per metric, with user-clustered intervals."""

    metrics: pd.DataFrame
    """metric, control, treatment, difference, low, high, relative, relative_low, relative_high, p_value."""
    facts: dict[str, Any]
    """Users and visits per arm, days, level, and the exact effect on clicks that the truth implies."""

    def to_pandas(self) -> pd.DataFrame:
        """The metrics table."""
        return self.metrics

    def __str__(self) -> str:
        lines = [f"{'metric':<24}{'control':>10}{'treatment':>11}{'change':>9}   {self.facts['level']:.0%} interval"]
        for row in self.metrics.itertuples():
            lines.append(
                f"{row.metric:<24}{row.control:>10.4f}{row.treatment:>11.4f}{row.relative:>+9.1%}"
                f"   {row.relative_low:+.1%} to {row.relative_high:+.1%}"
            )
        return "\n".join(lines)


def simulate(
    control: pd.DataFrame,
    treatment: pd.DataFrame,
    truth: Truth,
    items: pd.DataFrame,
    tiers: pd.DataFrame,
    settings: SimulateSettings,
    rng: int | np.random.Generator = 0,
) -> Experiment:
    """Randomise users to the two arms, let them visit, examine slots, click and buy as `truth` says.

    Position-based model (Richardson et al. 2007; Craswell et al. 2008): a slot at rank j is examined with
    probability `truth.examination[j]`, an examined item is clicked with the user's attraction to it. The clicks never
    come from the scores that ranked the lists. `items` gives prices, `tiers` the tier of each item.

    Raises `TableError` when the arms hold different users or more slots than the truth can examine.
    """
    generator = np.random.default_rng(rng)
    arms = [_shown(arm, name, truth, items, tiers) for name, arm in (("control", control), ("treatment", treatment))]
    user_ids = _same_users(arms)
    treated = generator.random(len(user_ids)) < settings.treatment_share
    if treated.all() or not treated.any():
        raise TableError(
            f"all {len(user_ids)} users fell into one arm. Give more users or a treatment_share nearer 0.5."
        )
    visits = generator.poisson(settings.visits_per_day * settings.days, len(user_ids))
    totals = pd.DataFrame(
        np.where(
            treated[:, None],
            _outcomes(arms[1], user_ids, visits, generator),
            _outcomes(arms[0], user_ids, visits, generator),
        ),
        columns=_TOTALS,
    )
    effects = ratio_effects(totals, METRICS, treated, level=settings.level)
    expected = [float((arm["examination"] * arm["attraction"]).sum()) / len(user_ids) for arm in arms]
    facts = {
        "users": {"control": int((~treated).sum()), "treatment": int(treated.sum())},
        "visits": {"control": int(visits[~treated].sum()), "treatment": int(visits[treated].sum())},
        "days": settings.days,
        "level": settings.level,
        "click_model": "position-based, attraction and examination of the made shop's truth",
        "expected_clicks_per_visit": {"control": expected[0], "treatment": expected[1]},
        "expected_relative_clicks": expected[1] / expected[0] - 1 if expected[0] else None,
    }
    return Experiment(effects, facts)


_TOTALS = [
    "visits", "impressions", "exposure", "tail_exposure", "clicks", "tail_clicks", "purchases", "revenue",
]


def _shown(
    lists: pd.DataFrame, name: str, truth: Truth, items: pd.DataFrame, tiers: pd.DataFrame
) -> pd.DataFrame:
    """One row per slot shown: user, examination and click probability, purchase probability, price, in_tail."""
    frame = check_table(lists, RANKINGS, source=name).frame
    # In one fixed order, so that the draws do not depend on how the table was sorted.
    frame = frame.sort_values([Columns.Request, Columns.Rank], ignore_index=True)
    users = frame[Columns.User if Columns.User in frame.columns else Columns.Request]
    deepest = int(frame[Columns.Rank].max())
    if deepest > len(truth.examination):
        raise TableError(
            f"{name}: lists go down to rank {deepest}, but the truth knows the examination of "
            f"{len(truth.examination)} slots. Re-rank with k = {len(truth.examination)} or less."
        )
    catalogue = items.set_index(Columns.Item)
    price = catalogue[Columns.Price] if Columns.Price in catalogue.columns else pd.Series(0.0, index=catalogue.index)
    tier = frame[Columns.Item].map(tiers.set_index(Columns.Item)[Columns.Tier])
    return pd.DataFrame({
        Columns.User: users,
        "examination": truth.examination[frame[Columns.Rank].to_numpy() - 1],
        "attraction": truth.attraction(users, frame[Columns.Item]),
        "purchase": truth.purchase_given_click(users, frame[Columns.Item]),
        "price": frame[Columns.Item].map(price).fillna(0.0),
        "in_tail": (tier != Tier.Head).to_numpy(),
    })


def _same_users(arms: list[pd.DataFrame]) -> "pd.Index[str]":
    users: list[pd.Index[str]] = [pd.Index(np.unique(arm[Columns.User].to_numpy(dtype=str))) for arm in arms]
    control, treatment = users
    if not control.equals(treatment):
        odd = control.symmetric_difference(treatment)
        raise TableError(
            f"control and treatment hold different users: '{odd[0]}' is in one only ({len(odd)} such users). "
            "Re-rank the same candidates for both."
        )
    return control


def _outcomes(
    arm: pd.DataFrame, user_ids: "pd.Index[str]", visits: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Per-user totals (U, 8) in the order of `_TOTALS`; a slot's clicks over visits are binomial."""
    users = user_ids.get_indexer(pd.Index(arm[Columns.User]))
    shown = visits[users]
    examination, in_tail = arm["examination"].to_numpy(), arm["in_tail"].to_numpy()
    clicks = rng.binomial(shown, examination * arm["attraction"].to_numpy())
    purchases = rng.binomial(clicks, arm["purchase"].to_numpy())
    exposure = shown * examination
    per_slot = (
        shown, exposure, exposure * in_tail, clicks, clicks * in_tail, purchases, purchases * arm["price"].to_numpy(),
    )
    sums = [np.bincount(users, weights=values, minlength=len(user_ids)) for values in per_slot]
    return np.column_stack([visits.astype(np.float64), *sums])
