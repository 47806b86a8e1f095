"""A log's impressions, or its purchases alone → P(click | examined) and P(purchase | click) of any pair."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ltexpo.columns import Columns
from ltexpo.data.history import EVENT_WEIGHTS
from ltexpo.errors import TableError
from ltexpo.simulate.fitted.logistic import Logistic, fit_logistic
from ltexpo.simulate.fitted.pair_columns import PairColumns

Floats = npt.NDArray[np.float64]

_NUMBERS_PENALTY = 1.0
_PENALTIES = (2.0, 8.0, 32.0, 128.0)
"""Ridges of the columns of single items, users, categories and brands; the best on held-out rows is taken."""
_HELD_OUT = 0.2
_CHUNK = 500_000


@dataclass(frozen=True)
class Attraction:
    """Of another family than the ranker: linear in counts, tastes and prices, with random effects."""

    columns: PairColumns
    model: Logistic
    ridges: dict[float, float]
    """How likely each ridge is, by the rows that it was chosen on; adding up to 1."""
    offset: float
    """Moves the log-odds from the sampled rows to the population, where negatives were sampled."""
    facts: dict[str, Any]

    def __call__(self, user_ids: "pd.Series[str]", item_ids: "pd.Series[str]") -> Floats:
        """(n,) probabilities."""
        out = np.empty(len(item_ids))
        for start in range(0, len(out), _CHUNK):  # the columns of a chunk are all that is held at once
            part = slice(start, start + _CHUNK)
            blocks = self.columns.blocks(user_ids.iloc[part], item_ids.iloc[part])
            out[part] = self.model.predict(blocks, offset=self.offset)
        return out


def fit_attraction(
    columns: PairColumns, pairs: pd.DataFrame, taken: npt.NDArray[np.bool_], *,
    rank: npt.NDArray[np.int64] | None = None, examined: Floats | None = None, offset: float = 0.0,
    ridge: float | None = None,
    draw: bool = False, rng: np.random.Generator,
) -> Attraction:
    """Without a `ridge`, one is chosen on a fifth of the rows; then all rows of `pairs` (user_id, item_id) are used.

    With `rank` (n,), examination by rank is fitted too; with `examined` (n,), it is known. `draw`: not the likeliest
    weights but some that the prior makes as likely: its mean is drawn from itself, so that resampled rows give draws
    from the posterior (randomise, then optimise: Bardsley et al. 2014). Raises `TableError` where all rows ended
    alike.
    """
    if not taken.any() or taken.all():
        share = "all" if taken.all() else "none"
        raise TableError(f"environment: of {len(taken):,} rows to learn from, {share} ended in what is to be "
                         "predicted. Give a log with both outcomes.")
    blocks = columns.blocks(pairs[Columns.User], pairs[Columns.Item])
    held = rng.random(len(pairs)) < _HELD_OUT
    depth = 1 if rank is None else int(rank.max())

    def fitted(rows: npt.NDArray[np.bool_], penalty: float, center: Floats | None = None) -> Logistic:
        penalties = [0.0, _NUMBERS_PENALTY, *[penalty] * (len(blocks) - 2)]
        ranks = None if rank is None else rank[rows]
        parts = [block[rows] for block in blocks]
        known = None if examined is None else examined[rows]
        return fit_logistic(
            parts, taken[rows], penalties, rank=ranks, depth=depth, examined=known, center=center,
        )

    def loss(model: Logistic) -> float:
        p = model.predict([block[held] for block in blocks])
        if rank is not None:
            p = model.examination[rank[held] - 1] * p
        if examined is not None:
            p = examined[held] * p
        p = np.clip(p, 1e-12, 1 - 1e-12)
        return float(-np.where(taken[held], np.log(p), np.log1p(-p)).mean())

    if ridge is not None:
        losses = {ridge: float("nan")}
    elif taken[~held].any() and not taken[~held].all():
        losses = {penalty: loss(fitted(~held, penalty)) for penalty in _PENALTIES}
    else:  # too few outcomes to hold any back
        losses = {_PENALTIES[-1]: float("nan")}
    best = min(losses, key=lambda penalty: (losses[penalty], -penalty))
    center = None
    if draw:
        center = np.concatenate([
            np.zeros(blocks[0].shape[1] + blocks[1].shape[1]),
            rng.standard_normal(sum(block.shape[1] for block in blocks[2:])) / np.sqrt(best),
        ])
    model = fitted(np.ones(len(pairs), dtype=np.bool_), best, center)
    facts = {"rows": len(pairs), "taken": int(taken.sum()), "ridge": best, "held_out_log_loss": losses[best]}
    return Attraction(columns, model, _likely(losses, int(held.sum())), offset, facts)


def _likely(losses: dict[float, float], rows: int) -> dict[float, float]:
    """Weights of models by their held-out likelihood (pseudo-BMA: Yao et al. 2018)."""
    loss = np.array(list(losses.values()))
    weight = np.ones(len(loss)) if np.isnan(loss).any() else np.exp(-rows * (loss - loss.min()))
    return dict(zip(losses, (weight / weight.sum()).tolist(), strict=True))


def sampled_choices(
    items: pd.DataFrame, taken: pd.DataFrame, *, negatives: int, rng: np.random.Generator
) -> tuple[pd.DataFrame, npt.NDArray[np.bool_], float]:
    """Rows, whether they were taken, and the log-odds that sampling added, for a log that tells nothing of what was
    shown.

    Every user-day with something taken is met with `negatives` products drawn evenly from the catalogue; as they stand
    for all products, the log-odds of a pair are lower by log(products / negatives) (case–control sampling: Prentice &
    Pyke 1979).
    """
    day = taken[Columns.Timestamp].dt.floor("D")
    pairs = taken.assign(day=day)[[Columns.User, "day", Columns.Item]].drop_duplicates()
    visits = pairs[[Columns.User, "day"]].drop_duplicates()
    drawn = visits.loc[visits.index.repeat(negatives), [Columns.User, "day"]]
    drawn[Columns.Item] = items[Columns.Item].to_numpy()[rng.integers(0, len(items), len(drawn))]
    both = pd.concat([pairs, drawn], ignore_index=True)
    is_taken = np.arange(len(both)) < len(pairs)
    again = both.duplicated([Columns.User, "day", Columns.Item]).to_numpy()
    return both[~again].reset_index(drop=True), is_taken[~again], float(-np.log(len(items) / negatives))


def interactions_of(events: pd.DataFrame) -> pd.DataFrame:
    """Events by which a user takes a product."""
    return events[events[Columns.Event].isin(list(EVENT_WEIGHTS))]


def clicked_then_bought(clicks: pd.DataFrame, purchases: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """(n,) whether the user of each click bought that product, at the same time or later."""
    last = purchases.groupby([Columns.User, Columns.Item])[Columns.Timestamp].max()
    keys = pd.MultiIndex.from_frame(clicks[[Columns.User, Columns.Item]])
    bought = last.reindex(keys).to_numpy(dtype="datetime64[us]")
    moments = clicks[Columns.Timestamp].to_numpy(dtype="datetime64[us]")
    return np.asarray(~np.isnat(bought) & (bought >= moments))
