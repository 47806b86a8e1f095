"""A trained model → how good it was on days it had not seen, and its card."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from ltexpo.columns import Columns, Tier
from ltexpo.data.dataset import Dataset
from ltexpo.metrics.accuracy import accuracy_table
from ltexpo.ranking.explore import best_with_tail
from ltexpo.ranking.model import Model


@dataclass(frozen=True)
class TrainReport:
    """What held-out users of the label days say; prints as a table."""

    measures: pd.DataFrame
    """One row per method (blend, model), metric and tier: value, low, high."""

    def to_pandas(self) -> pd.DataFrame:
        """The measures."""
        return self.measures

    def __str__(self) -> str:
        return self.measures.round(4).to_string(index=False)


def train_report(model: Model, dataset: Dataset) -> TrainReport:
    """Accuracy of the label days' lists, scored by boosters that did not learn from their users."""
    k = model.settings.validation_k
    lists: dict[str, list[pd.DataFrame]] = {"blend": [], "model": []}
    wanted, tiers = [], []
    for day, unseen in zip(model.label_days_, model.ranker_.unseen_, strict=True):
        at = f"@{day.day.date()}"
        ids = np.sort(dataset.items[Columns.Item].to_numpy(dtype=object)) + at
        users = day.user_ids.to_numpy(dtype=object) + at
        candidates = day.candidates
        scores = {"blend": candidates.features["s_blend"].to_numpy(dtype=float), "model": unseen}
        for name, score in scores.items():
            row = best_with_tail(candidates.user, candidates.item, score, np.zeros(len(score), bool), k=k, share=0)
            made = pd.DataFrame({Columns.Request: users[candidates.user[row]], Columns.Item: ids[candidates.item[row]]})
            made[Columns.Rank] = made.groupby(Columns.Request, sort=False).cumcount() + 1
            lists[name].append(made)
        user, item = day.wanted.nonzero()
        wanted.append(pd.DataFrame({Columns.Request: users[user], Columns.Item: ids[item]}))
        tiers.append(pd.DataFrame({Columns.Item: ids, Columns.Tier: day.tier}))
    every, of = pd.concat(wanted), pd.concat(tiers)
    found = [
        accuracy_table(pd.concat(made), every, of, k=(k,)).assign(method=name) for name, made in lists.items()
    ]
    table = pd.concat(found, ignore_index=True)
    return TrainReport(table[["method", *(column for column in table.columns if column != "method")]])


def model_card(model: Model, report: TrainReport, dataset: Dataset) -> str:
    """Markdown: data, tail definition, measures with intervals, limits."""
    tiers = ", ".join(f"{name} {int((model.label_days_[-1].tier == name).sum()):,}" for name in Tier.All)
    return f"""# A trained model of ltexpo

Learnt from {len(dataset.items):,} products; ranker from label days {", ".join(model.report_["label_days"])}.
Tiers ({model.settings.tail}) on the last of them: {tiers}.

{report}
"""
