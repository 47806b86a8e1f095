"""Training events + the items' texts → pairs of texts that users took one after the other."""

import numpy as np
import pandas as pd

from ltexpo.columns import Columns, EventKind


def behaviour_pairs(
    events: pd.DataFrame,
    texts: pd.Series,
    *,
    days: float = 7.0,
    max_pairs: int = 100_000,
    rng: int | np.random.Generator = 0,
) -> list[tuple[str, str]]:
    """Texts of two different items that a user took in a row, at most `days` apart; each pair once, sorted.

    `texts` is indexed by item_id. Impressions do not count. Give events of the training period only. Items without a
    text, and pairs whose texts are the same, are left out; of more than `max_pairs` a random draw is kept.
    """
    taken = events[events[Columns.Event].isin(EventKind.Interactions)]
    taken = taken.sort_values([Columns.User, Columns.Timestamp, Columns.Item], kind="stable")
    before = taken.shift(1)
    near = taken[Columns.Timestamp] - before[Columns.Timestamp] <= pd.Timedelta(days=days)
    row = near & (taken[Columns.User] == before[Columns.User]) & (taken[Columns.Item] != before[Columns.Item])
    pairs = pd.DataFrame({
        "left": before.loc[row, Columns.Item].map(texts), "right": taken.loc[row, Columns.Item].map(texts),
    }).replace("", None).dropna()
    pairs = pairs[pairs["left"] != pairs["right"]].drop_duplicates().sort_values(["left", "right"])
    if len(pairs) > max_pairs:
        kept = np.random.default_rng(rng).choice(len(pairs), max_pairs, replace=False)
        pairs = pairs.iloc[np.sort(kept)]
    return list(pairs.itertuples(index=False, name=None))
