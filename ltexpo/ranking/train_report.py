"""A trained model → how good it was on its label days, for users that its boosters had not learnt from."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from ltexpo.columns import Columns, Tier
from ltexpo.data.dataset import Dataset
from ltexpo.metrics.accuracy import accuracy_measures, found_ranks
from ltexpo.metrics.auc import auc_ratio
from ltexpo.metrics.calibration import calibration_by_popularity, expected_calibration_error
from ltexpo.metrics.summary import AllTiers, Measure, differences_table, measures_table
from ltexpo.ranking.calibrate_tiers import inverse_propensity
from ltexpo.ranking.explore import best_with_tail
from ltexpo.ranking.model import Model
from ltexpo.ranking.recommend import training_events
from ltexpo.ranking.rolling import LabelDay

Floats = npt.NDArray[np.float64]

_ACCURACY = ("map", "recall", "ndcg")
_PRINTED = {False: ("map", "recall"), True: ("ndcg", "auc")}


@dataclass(frozen=True)
class TrainReport:
    """What held-out users of the label days say; prints as a table."""

    measures: pd.DataFrame
    """One row per metric and tier: blend, blend_low, blend_high, model, model_low, model_high, value (model − blend),
    low, high, n (users' days, or for auc rows); paired 95% intervals over users."""
    calibration: pd.DataFrame
    """One row per decile of rows by their item's interactions: see `calibration_by_popularity`."""
    calibration_error: float
    """Expected calibration error over all rows."""
    shown: bool
    """Whether rows are what users were shown, or candidates that they took or did not take."""
    weighted: bool
    """Whether calibration counts rows by inverse propensity, as the scores are calibrated."""
    days: tuple[str, ...]
    users: int
    """Distinct users judged."""
    rows: int

    def to_pandas(self) -> pd.DataFrame:
        """The measures."""
        return self.measures

    @property
    def judged(self) -> str:
        """What was judged, in words."""
        what = "order within what was shown" if self.shown else "lists of candidates"
        return f"{what} on {', '.join(self.days)}: {self.users:,} users, {self.rows:,} rows"

    def table(self, metrics: tuple[str, ...] | None = None) -> pd.DataFrame:
        """Metric, tier, blend, model and difference as words with intervals; none: every metric."""
        some = self.measures
        if metrics is not None:
            some = some[some["metric"].str.split("@").str[0].isin(metrics)]
        numbers = some[["value", "low", "high"]].to_numpy(dtype=np.float64)
        return pd.DataFrame({
            "metric": some["metric"], "tier": some["tier"], "blend": some["blend"].map("{:.4f}".format),
            "model": some["model"].map("{:.4f}".format),
            "model − blend": [f"{one[0]:+.4f}{interval(one[1], one[2], '+.4f')}" for one in numbers],
            "n": some["n"].map("{:,}".format),
        })

    def __str__(self) -> str:
        worst = max(self.calibration.to_dict("records"), key=lambda row: float(row["error"]))
        return "\n".join([
            self.judged, self.table(_PRINTED[self.shown]).to_string(index=False),
            f"expected calibration error {self.calibration_error:.4f}; by popularity at most {worst['error']:.4f} "
            f"(items with {worst['interactions_low']:,.0f} to {worst['interactions_high']:,.0f} interactions)",
        ])


def train_report(model: Model, dataset: Dataset) -> TrainReport:
    """Judge the label days of a model that was just fitted on `dataset`, with what did not learn from each user.

    Where impressions were learnt from, lists are orders of what each user was shown on the day, and auc counts a row
    that was not clicked by how likely it was looked at; else they are orders of the candidates.
    """
    days, k = model.label_days_, model.settings.validation_k
    shown = days[0].examined is not None
    unseen = model.ranker_.unseen_
    users = np.concatenate([day.group for day in days])
    outcome = np.concatenate([day.outcome for day in days])
    examined = np.concatenate([day.examined for day in days if day.examined is not None]) if shown else None
    blend = [day.candidates.features["s_blend"].to_numpy(dtype=np.float64) for day in days]
    judged = {}
    for name, scores in (("blend", blend), ("model", unseen)):
        judged[name] = [one for one in _lists(days, scores, k) if one.name in _ACCURACY and one.lists]
        if examined is not None:
            tier = np.concatenate([day.tier[day.candidates.item] for day in days])
            judged[name] += list(_aucs(np.concatenate(scores), outcome, examined, tier, users))
    predicted, weight = np.concatenate(unseen), _weights(days)
    calibration = calibration_by_popularity(
        predicted, outcome, np.concatenate(list(_interactions(model, dataset))), attention=examined, weight=weight,
        clusters=users,
    )
    return TrainReport(
        _compared(judged["model"], judged["blend"]), calibration,
        expected_calibration_error(predicted, outcome, attention=examined, weight=weight), shown, weight is not None,
        tuple(str(day.day.date()) for day in days), len(pd.unique(users)), len(outcome),
    )


def _weights(days: list[LabelDay]) -> Floats | None:
    """Inverse propensities (n,), of mean 1, of the rows of `days`; None where they were not logged."""
    logged = [day.propensity for day in days if day.propensity is not None]
    if len(logged) < len(days):
        return None
    weight = inverse_propensity(np.concatenate(logged))
    return np.asarray(weight / weight.mean())


def interval(low: float, high: float, form: str = ".4f") -> str:
    """' [low, high]', or nothing where one cluster cannot tell."""
    return "" if np.isnan(low) else f" [{low:{form}}, {high:{form}}]"


def _lists(days: list[LabelDay], scores: list[Floats], k: int) -> list[Measure]:
    """Accuracy of the k best by `scores` of each day; a user's day is a request, an item's day an item."""
    lists, wanted, tiers, users = [], [], [], []
    start = 0
    for at, (day, score) in enumerate(zip(days, scores, strict=True)):
        candidates, first = day.candidates, at * len(day.tier)
        row = best_with_tail(candidates.user, candidates.item, score, np.zeros(len(score), bool), k=k, share=0)
        made = pd.DataFrame({
            Columns.Request: start + candidates.user[row], Columns.Item: first + candidates.item[row]
        })
        made[Columns.Rank] = made.groupby(Columns.Request, sort=False).cumcount() + 1
        lists.append(made)
        user, item = day.wanted.nonzero()
        wanted.append(pd.DataFrame({Columns.Request: start + user, Columns.Item: first + item}))
        tiers.append(pd.DataFrame({Columns.Item: first + np.arange(len(day.tier)), Columns.Tier: day.tier}))
        users.append(day.user_ids.to_numpy(dtype=object))
        start += len(day.user_ids)
    return accuracy_measures(
        found_ranks(pd.concat(lists), pd.concat(wanted)), pd.concat(tiers), k=(k,),
        users=pd.Series(np.concatenate(users)),
    )


def _aucs(
    score: Floats, outcome: npt.NDArray[np.int8], examined: Floats, tier: npt.NDArray[np.object_],
    users: npt.NDArray[np.object_],
) -> Iterator[Measure]:
    for name in (AllTiers, *Tier.All):
        here = np.ones(len(score), dtype=bool) if name == AllTiers else tier == name
        ratio = auc_ratio(score[here], outcome[here], weight=examined[here], clusters=users[here])
        if ratio is not None:
            yield Measure("auc", 0, name, ratio, int(here.sum()))


def _interactions(model: Model, dataset: Dataset) -> Iterator[npt.NDArray[np.int64]]:
    """Of each label day's rows: how many interactions their item had before the day."""
    settings = model.settings
    events = training_events(dataset, settings)
    items = dataset.items.sort_values(Columns.Item, kind="stable")
    for day in model.label_days_:
        counted = settings.tail.assign(items, events[events[Columns.Timestamp] < day.day])
        yield counted[Columns.Interactions].to_numpy()[day.candidates.item]


def _compared(model: list[Measure], blend: list[Measure]) -> pd.DataFrame:
    table = differences_table(model, blend)[["metric", "tier", "value", "low", "high", "n"]]
    table["metric"] = table["metric"].replace("auc@0", "auc")
    for at, (name, measures) in enumerate((("blend", blend), ("model", model))):
        own = measures_table(measures)
        for shift, column in enumerate(("value", "low", "high")):
            table.insert(2 + 3 * at + shift, name if column == "value" else f"{name}_{column}", own[column])
    return table
