"""Logged lists + a click model → how they were read: slot parameters, and the chance that each slot was examined."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from ltexpo.columns import Columns
from ltexpo.errors import TableError
from ltexpo.simulate.clicks import MODELS, ClickParameters, Sessions, choose
from ltexpo.simulate.clicks.draw import DBN

Floats = npt.NDArray[np.float64]

WALKS = ("cm", "dcm", "ubm", "dbn")
"""Click models whose slots depend on the clicks above, beside the position-based one."""


@dataclass(frozen=True)
class Reading:
    """Every slot of the whole lists of a log."""

    parameters: ClickParameters
    examination: Floats
    """(K,) P(examined) by rank over all lists, nothing known of clicks."""
    pairs: pd.DataFrame
    """(n rows) user_id, item_id of every slot."""
    clicked: npt.NDArray[np.bool_]
    """(n,)"""
    examined: Floats
    """(n,) P(slot was examined | the clicks above it)."""
    satisfaction: "pd.Series[float] | None"
    """By item_id, P(satisfied | clicked) of the dynamic Bayesian network."""
    usual_satisfaction: float
    """Of items that the log does not show."""
    note: str
    left_out: dict[str, int]
    """What was not whole, reason → rows."""


def read_lists(events: pd.DataFrame, click_model: str) -> Reading | None:
    """Lists read by `click_model` of `WALKS`, or with 'auto' by the one that foresees held-out clicks best; None where
    that is the position-based model, whose examination is better learnt together with attraction.

    Raises `TableError` where the lists cannot tell.
    """
    sessions = Sessions.of(events)
    if sessions.users is None:
        raise TableError("environment: impressions lack 'user_id'. Log whom each list was shown to.")
    note = f"{click_model}, as asked for"
    if click_model == "auto":
        chosen = choose(sessions, models=("pbm", *WALKS))
        if chosen.best.name == "pbm":
            return None
        model, note = chosen.best, f"{chosen.best.name}, which foresees held-out clicks best"
    else:
        model = MODELS[click_model]().fit(sessions, errors=False)
    shown = sessions.shown
    conditional = model.conditional(sessions.items, sessions.clicks)[shown]
    attraction = model.attraction_[sessions.items[shown]]
    by_rank = np.nanmean(np.where(shown, model.examination_probabilities(sessions.items), np.nan), axis=0)
    request, _ = np.nonzero(shown)
    pairs = pd.DataFrame({
        Columns.User: sessions.users[request],
        Columns.Item: sessions.keys[Columns.Item].to_numpy()[sessions.items[shown]],
    })
    pleases, usual = None, 0.0
    if model.kind == DBN:
        pleases = pd.Series(model.satisfaction_, index=pd.Index(sessions.keys[Columns.Item]))
        usual = model.priors_["satisfaction"].mean
    return Reading(
        model.parameters_[0], np.minimum.accumulate(by_rank), pairs, sessions.clicks[shown],
        np.clip(conditional / attraction, 0.0, 1.0), pleases, usual, note, sessions.left_out,
    )
