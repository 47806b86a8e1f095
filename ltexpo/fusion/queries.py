"""What users had typed when they took a product → query vectors beside the interactions."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from ltexpo.columns import Columns
from ltexpo.data.history import History

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Queries:
    """Q distinct queries, by the encoder that also read the products' texts."""

    vectors: Floats
    """(Q, d)."""
    code: npt.NDArray[np.int64]
    """(N,) row of `vectors` for each interaction of a history, −1 for one without a query."""

    @classmethod
    def of(cls, history: History, events: pd.DataFrame, encode: Callable[[Sequence[str]], Floats]) -> "Queries":
        """From the column `query` of `events`; of several for a user, product and day, the latest counts.

        `encode` gives NaN where a text says nothing, which is as if it had not been typed.
        """
        given = events[events[Columns.Query].notna() & (events[Columns.Query].astype(str).str.strip() != "")]
        given = given.sort_values(Columns.Timestamp, kind="stable")
        texts, code = np.unique(given[Columns.Query].to_numpy(dtype=str), return_inverse=True)
        stamps = given[Columns.Timestamp].to_numpy(dtype="datetime64[us]").astype("datetime64[D]").astype(np.int64)
        known = pd.DataFrame({
            "user": history.user_ids.codes_or_missing(given[Columns.User]),
            "item": history.item_ids.codes_or_missing(given[Columns.Item]), "date": stamps, "code": code,
        }).drop_duplicates(["user", "item", "date"], keep="last")
        date = np.floor(history.day).astype(np.int64)
        rows = pd.DataFrame({"user": history.user, "item": history.item, "date": date})
        found = rows.merge(known, on=["user", "item", "date"], how="left")["code"]
        return cls(np.asarray(encode(list(texts)), dtype=np.float32), found.fillna(-1).to_numpy(dtype=np.int64))

    def rows(self, rows: npt.NDArray[np.int64]) -> Floats:
        """(B, d) of the interactions `rows`; NaN for those without."""
        out = np.full((len(rows), self.vectors.shape[1]), np.nan, dtype=np.float32)
        typed = self.code[rows] >= 0
        out[typed] = self.vectors[self.code[rows][typed]]
        return out
