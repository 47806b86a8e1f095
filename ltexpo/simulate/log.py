"""What simulated arms showed, day by day → tables that recommenders can learn from."""

import pandas as pd

from ltexpo.columns import Columns
from ltexpo.simulate.catalogue import Catalogue


class Log:
    """What each arm showed, as an events table that a recommender can learn from."""

    def __init__(self, users: "pd.Index[str]", catalogue: Catalogue) -> None:
        self._users, self._catalogue = users, catalogue
        self._parts: list[pd.DataFrame] = []

    def add(self, arm: str, day: int, counts: pd.DataFrame) -> None:
        """`counts` of `World.counts` up to `day`."""
        self._parts.append(counts.assign(arm=arm, day=day))

    def of(self, arm: str | None) -> pd.DataFrame:
        """user_id, item_id, rank, shown, clicked, bought, day (of the period's end), of one arm or of all."""
        rows = pd.concat(self._parts, ignore_index=True)
        if arm is not None:
            rows = rows[rows["arm"] == arm]
        return pd.DataFrame({
            Columns.User: self._users[rows["user"]], Columns.Item: self._catalogue.ids[rows["item"]],
            **{name: rows[name].to_numpy() for name in ("rank", "shown", "clicked", "bought", "day")},
        })
