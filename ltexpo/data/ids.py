"""String ids ↔ dense integers; the only place where they are converted."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from ltexpo.errors import TableError


@dataclass(frozen=True)
class IdMap:
    """A fixed vocabulary of ids; code i stands for `ids[i]`. Ids are sorted, so codes break ties by id."""

    ids: pd.Index

    @classmethod
    def of(cls, values: Iterable[str]) -> "IdMap":
        """The sorted distinct `values`."""
        return cls(pd.Index(pd.unique(pd.Series(list(values)))).sort_values())

    def __len__(self) -> int:
        return len(self.ids)

    def codes(self, values: Iterable[str], *, what: str = "id") -> npt.NDArray[np.int64]:
        """Codes of `values`; raises `TableError` on an id outside the vocabulary."""
        codes = self.codes_or_missing(values)
        if (codes < 0).any():
            first = pd.Series(values).iloc[int(np.flatnonzero(codes < 0)[0])]
            raise TableError(f"{what} '{first}' is unknown ({int((codes < 0).sum())} such rows).")
        return codes

    def codes_or_missing(self, values: Iterable[str]) -> npt.NDArray[np.int64]:
        """Codes of `values`, −1 where an id is outside the vocabulary."""
        return np.asarray(self.ids.get_indexer(pd.Index(values)), dtype=np.int64)

    def decode(self, codes: npt.NDArray[np.integer]) -> pd.Index:
        """Ids of `codes`."""
        return self.ids[codes]
