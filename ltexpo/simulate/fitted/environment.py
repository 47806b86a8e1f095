"""Events that the ranker has not seen → an environment: who clicks on what, who buys, which slots are examined."""

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field
from scipy.optimize import brentq
from scipy.special import expit, logit
from sklearn.isotonic import IsotonicRegression

from ltexpo.columns import Columns, EventKind
from ltexpo.config import Settings
from ltexpo.data.split import as_utc
from ltexpo.errors import TableError
from ltexpo.metrics.attention import attention_weights
from ltexpo.simulate.clicks.draw import ClickParameters
from ltexpo.simulate.fitted.attraction import (
    Attraction,
    clicked_then_bought,
    fit_attraction,
    interactions_of,
    sampled_choices,
)
from ltexpo.simulate.fitted.pair_columns import PairColumns
from ltexpo.simulate.fitted.reading import read_lists

Floats = npt.NDArray[np.float64]

_LONGEST = 100


class FitSettings(Settings):
    """Which events an environment is fitted on, and what is assumed where they do not tell."""

    since: str | dt.datetime | dt.date | None = None
    """Learn from events from this moment on; without it from where the ranker's training ended."""
    until: str | dt.datetime | dt.date | None = None
    """Learn from events before this moment; what comes later checks the fit."""
    click_model: Literal["pbm", "ubm", "cm", "dcm", "dbn", "auto"] = "pbm"
    """How lists are read: position-based (examination by rank, learnt together with attraction), user browsing,
    cascade, dependent click, dynamic Bayesian network (each product satisfies as it did in the log), or the one of
    these that foresees held-out clicks best."""
    ridge: float | None = Field(None, gt=0)
    """How strongly the columns of single items and users are held near 0; without it, chosen on held-out rows."""
    mean_attraction: float = Field(0.1, gt=0, lt=1)
    """Where no impressions are logged: mean P(click | examined) of what the control shows, which such a log cannot
    tell."""
    returning: bool = True
    """Learn from the visits that are logged, too, how strongly satisfaction brings users back; where they do not tell,
    or it is given, behaviour.return_strength stays as it is."""
    negatives: int = Field(30, ge=1)
    """Where no impressions are logged: products drawn for each user and day beside what was taken."""


@dataclass(frozen=True)
class FittedEnvironment:
    """Lists read as a click model says, attraction by a linear model with random effects."""

    clicks: ClickParameters
    examination: Floats
    """(k_max,)"""
    take: Attraction
    buy: Attraction | None
    """P(purchase | click); without it every click is a purchase (`always`) or none is."""
    always: bool
    has_impressions: bool
    """Whether the log told what was shown; else attraction is known up to its scale."""
    scale: float
    """Added to the log-odds of attraction: not 0 only where no impressions are logged."""
    facts: dict[str, Any]
    pleases: "pd.Series[float] | None" = None
    """By item_id, P(satisfied | click) where lists are read by the dynamic Bayesian network."""
    usual_satisfaction: float = 0.0
    """Of items that the log does not show."""

    @classmethod
    def fit(
        cls, items: pd.DataFrame, events: pd.DataFrame, settings: FitSettings, rng: int | np.random.Generator = 0,
        *, draw: bool = False,
    ) -> "FittedEnvironment":
        """Events before `settings.since` are only counted (tastes, popularity); those from then on are predicted.

        `draw`: see `fit_attraction`; for logs with impressions. Raises `TableError` where there are none, or all ended
        alike.
        """
        generator = np.random.default_rng(rng)
        earlier, now = split(events, settings)
        shown = now[now[Columns.Event] == EventKind.Impression]
        if shown.empty:
            return cls._from_purchases(items, earlier, now, settings, generator)
        if Columns.Rank not in shown.columns or shown[Columns.Rank].isna().any():
            raise TableError("environment: impressions lack 'rank', so examination cannot be told from attraction. "
                             "Log the rank of every impression.")
        columns = PairColumns(items, earlier, shown[Columns.User], shown[Columns.Item])
        reading = None if settings.click_model == "pbm" else read_lists(now, settings.click_model)
        if reading is None:
            clicked, rank = was_clicked(shown, now), shown[Columns.Rank].to_numpy(np.int64)
            take = fit_attraction(columns, shown, clicked, rank=rank, ridge=settings.ridge, draw=draw, rng=generator)
            examination = _falling(take.model.examination, np.bincount(rank - 1))
            parameters, read = ClickParameters.pbm(examination), "position-based, fitted with the attraction"
        else:
            clicked, examination, parameters = reading.clicked, reading.examination, reading.parameters
            read = reading.note
            take = fit_attraction(
                columns, reading.pairs, clicked, examined=reading.examined, ridge=settings.ridge, draw=draw,
                rng=generator,
            )
        clicks = now[now[Columns.Event] == EventKind.Click]
        bought = clicked_then_bought(clicks, now[now[Columns.Event] == EventKind.Purchase])
        buy = None
        if bought.any() and not bought.all():
            buy = fit_attraction(columns, clicks, bought, ridge=settings.ridge, rng=generator)
        facts = _facts(now, take) | {
            "click_model": read, "fitted_impressions": len(clicked),
            "fitted_clicks": int(clicked.sum()), "fitted_purchases": int(bought.sum()),
        }
        pleases, usual = (None, 0.0) if reading is None else (reading.satisfaction, reading.usual_satisfaction)
        return cls(parameters, examination, take, buy, bool(bought.all()), True, 0.0, facts, pleases, usual)

    @classmethod
    def _from_purchases(
        cls, items: pd.DataFrame, earlier: pd.DataFrame, now: pd.DataFrame, settings: FitSettings,
        rng: np.random.Generator,
    ) -> "FittedEnvironment":
        taken = interactions_of(now)
        rows, is_taken, offset = sampled_choices(items, taken, negatives=settings.negatives, rng=rng)
        columns = PairColumns(items, earlier, rows[Columns.User], rows[Columns.Item])
        take = fit_attraction(columns, rows, is_taken, offset=offset, ridge=settings.ridge, rng=rng)
        examination = attention_weights("log2", _LONGEST)
        facts = _facts(now, take) | {
            "click_model": "position-based; the log holds no impressions, so examination is assumed (1 / log2(1 + "
                           "rank)), and a click stands for what was taken; attraction is known up to its scale",
        }
        return cls(ClickParameters.pbm(examination), examination, take, None, True, False, 0.0, facts)

    def scaled_to(self, lists: pd.DataFrame, mean_attraction: float) -> "FittedEnvironment":
        """For a log without impressions: the same preferences, so strong that `lists` attract `mean_attraction`."""
        who = lists[Columns.User if Columns.User in lists.columns else Columns.Request]
        logits = logit(np.clip(self.take(who, lists[Columns.Item]), 1e-12, 1 - 1e-12))
        scale = float(brentq(lambda move: expit(logits + move).mean() - mean_attraction, -60, 60))
        return replace(self, scale=scale, facts=self.facts | {"mean_attraction_assumed": mean_attraction})

    def attraction(self, user_ids: Iterable[str], item_ids: Iterable[str]) -> Floats:
        """(n,) P(click | examined)."""
        p = self.take(_strings(user_ids), _strings(item_ids))
        return p if self.scale == 0 else np.asarray(expit(logit(np.clip(p, 1e-12, 1 - 1e-12)) + self.scale))

    def purchase_given_click(self, user_ids: Iterable[str], item_ids: Iterable[str]) -> Floats:
        """(n,) P(purchase | click)."""
        users = _strings(user_ids)
        if self.buy is None:
            return np.full(len(users), float(self.always))
        return self.buy(users, _strings(item_ids))

    def satisfaction(self, user_ids: Iterable[str], item_ids: Iterable[str]) -> Floats:
        """(n,) P(satisfied | click), the same for all users."""
        if self.pleases is None:
            return self.purchase_given_click(user_ids, item_ids)
        known = _strings(item_ids).map(self.pleases).fillna(self.usual_satisfaction)
        return np.asarray(known, dtype=np.float64)

    def describe(self) -> dict[str, Any]:
        """Rows, clicks, ridge and held-out loss."""
        return {"environment": "fitted", **self.facts}


def split(events: pd.DataFrame, settings: FitSettings) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Events that are only counted, and events that are predicted; raises `TableError` where there are none of these.
    """
    times = events[Columns.Timestamp]
    since = times.min() if settings.since is None else as_utc(settings.since)
    now = times >= since
    if settings.until is not None:
        now &= times < as_utc(settings.until)
    if not now.any():
        raise TableError(
            f"environment: no event from {since:%Y-%m-%d %H:%M} on{'' if settings.until is None else ' in time'}, so "
            "nothing is left that the ranker has not seen. Hold back the last days with 'ltexpo recommend --until'."
        )
    return events[times < since], events[now]


def was_clicked(shown: pd.DataFrame, events: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """(n,) whether each impression was clicked; by request where requests are logged, else by user, item and day."""
    clicks = events[events[Columns.Event] == EventKind.Click]
    if Columns.Request in shown.columns and shown[Columns.Request].notna().all():
        keys = [Columns.Request, Columns.Item]
        left, right = shown[keys], clicks[keys]
    else:
        left, right = (
            frame.assign(day=frame[Columns.Timestamp].dt.floor("D"))[[Columns.User, Columns.Item, "day"]]
            for frame in (shown, clicks)
        )
    return np.asarray(pd.MultiIndex.from_frame(left).isin(pd.MultiIndex.from_frame(right)))


def _strings(ids: Iterable[str]) -> "pd.Series[str]":
    return pd.Series(np.asarray(list(ids), dtype=object), dtype=str)


def _falling(curve: Floats, rows: npt.NDArray[np.int64]) -> Floats:
    """(K,) the nearest curve that never rises with rank, 1 at the first."""
    falling = IsotonicRegression(increasing=False).fit_transform(np.arange(len(curve)), curve, sample_weight=rows)
    return np.asarray(falling / falling[0])


def _facts(now: pd.DataFrame, take: Attraction) -> dict[str, Any]:
    return {
        "source": "fitted on events that the ranker has not seen; a linear model with random effects",
        "from": now[Columns.Timestamp].min().isoformat(), "to": now[Columns.Timestamp].max().isoformat(),
        **{f"attraction_{name}": value for name, value in take.facts.items()},
    }
