"""Lists with logged propensities → examination by rank without any model of attraction: a check on the click models."""

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from ltexpo.columns import Columns
from ltexpo.errors import TableError
from ltexpo.metrics.intervals import Ratio
from ltexpo.simulate.clicks.sessions import Sessions


def examination_by_propensity(sessions: Sessions, *, level: float = 0.95) -> pd.DataFrame:
    """P(examined at rank j) / P(examined at rank 1), by surface: surface, rank, examination, low, high, effective.

    Every impression is weighted by q_key / propensity, q the key's share of the surface's impressions, so that at every
    rank the same mixture of keys meets the same users; what is left of the difference in clicks is examination
    (Joachims, Swaminathan & Schnabel 2017; Wang et al. 2018). Unlike a click model that gives a key one attraction,
    this stays right when the policy shows people on top what they like best. It holds where examination depends on
    rank alone. Keys above a slot cannot stand in it, and those are the better liked: this leaves examination too low by
    about the share of a user's liked keys that stands above (1.4% at rank 2 of a catalogue of 60, 0.3% of one of 300).

    effective: (Σw)² / Σw², the impressions that the weights are worth. Intervals are delta-method over users, or lists.
    Raises `TableError` without propensities.
    """
    if sessions.propensity is None:
        raise TableError("some impressions have no propensity. Log the probability of every slot's item.")
    tables = []
    for code, name in enumerate(sessions.surfaces):
        here = sessions.rows(sessions.surface == code)
        if len(here):
            tables.append(_curve(here, level).assign(surface=name))
    columns = ["surface", Columns.Rank, "examination", "low", "high", "effective"]
    return pd.concat(tables, ignore_index=True)[columns]


def _curve(sessions: Sessions, level: float) -> pd.DataFrame:
    propensity = sessions.propensity
    assert propensity is not None
    shown = sessions.shown
    share = np.bincount(sessions.items[shown], minlength=len(sessions.keys)) / shown.sum()
    weight = np.where(shown, share[np.maximum(sessions.items, 0)] / np.where(shown, propensity, 1.0), 0.0)
    clusters = pd.factorize(sessions.clusters)[0]
    count = int(clusters.max()) + 1
    rows = []
    first, first_influence = 0.0, np.zeros(count)
    for slot in range(sessions.k):
        w = weight[:, slot]
        if not w.any():
            continue
        rate = Ratio.of(w * sessions.clicks[:, slot], w, clusters)
        influence = np.bincount(clusters, weights=rate.influence(), minlength=count)
        if slot == 0:
            first, first_influence = rate.value, influence.astype(np.float64)
        ratio = rate.value / first if first > 0 else float("nan")
        moved = (influence - ratio * first_influence) / first if first > 0 else np.full(count, np.nan)
        error = np.sqrt(count / max(count - 1, 1) * np.square(moved).sum()) if count > 1 else np.nan
        half = float(error) * float(stdtrit(max(count - 1, 1), 0.5 + level / 2))
        rows.append({
            Columns.Rank: slot + 1, "examination": ratio, "low": max(ratio - half, 0.0), "high": ratio + half,
            "effective": float(w.sum() ** 2 / np.square(w).sum()),
        })
    return pd.DataFrame(rows)
