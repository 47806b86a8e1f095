"""Scores of logged impressions + clicks → P(click | examined) by tier."""

import numpy as np
import numpy.typing as npt

from ltexpo.columns import Tier
from ltexpo.ranking.calibrate_tiers import TierCalibration, fit_tiers
from ltexpo.ranking.shown import Shown


def calibrate_shown(
    score: npt.NDArray[np.floating], shown: Shown, tier: npt.NDArray[np.object_], *, usable: npt.NDArray[np.bool_],
    know_tiers: bool = False,
) -> TierCalibration | None:
    """Maps for the `score` (n,) of each impression of products of `tier` (n,); only those in `usable` (n,) are fitted.

    How much less new products are clicked than tail products is taken from all of them, unless the scores know it
    (`know_tiers`, see `fit_tiers`). None with too few clicks.
    """
    seen = shown.rows(usable)
    return fit_tiers(
        score[usable], seen.clicked, tier[usable], attention=seen.examined, propensity=seen.propensity,
        prior=None if know_tiers else {Tier.New: _new_ratio(shown, tier)}, know_tiers=know_tiers,
        means="P(click | examined) by tier, from logged impressions under the position-based model"
        + ("" if seen.propensity is None else ", weighted by inverse propensity"),
    )


def _new_ratio(shown: Shown, tier: npt.NDArray[np.object_]) -> float:
    """How much less new products are clicked than tail products; at most 1."""
    rates = {}
    for name in (Tier.Tail, Tier.New):
        here = tier == name
        # Ten examinations at one in ten keep a tier that was hardly shown from saying much.
        rates[name] = (shown.clicked[here].sum() + 1.0) / (shown.examined[here].sum() + 10.0)
    return float(min(rates[Tier.New] / rates[Tier.Tail], 1.0))
