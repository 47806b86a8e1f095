"""Table of users → the attribute values that the user tower reads: categories as they are, numbers by class."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pandas as pd

from ltexpo.columns import Columns
from ltexpo.data.attributes import attribute_values
from ltexpo.sparse import Csr, csr

CLASSES = 8
"""Classes of about as many users each that a column of numbers falls into."""


@dataclass(frozen=True)
class Profile:
    """What a model knows of its users by name."""

    values: pd.Index = field(default_factory=lambda: pd.Index([], dtype=object))
    """'column\\tvalue' of every value that at least 2 users hold."""
    edges: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    """Inner edges of the classes of each column of numbers."""

    @classmethod
    def of(cls, users: pd.DataFrame | None, before: "Profile | None" = None) -> "Profile":
        """The values of `users`, after those of `before`, whose classes are kept."""
        known = before or cls()
        if users is None:
            return known
        edges = dict(known.edges)
        for column in _numbers(users):
            given = users[column].to_numpy(np.float64, na_value=np.nan)
            given = given[np.isfinite(given)]
            if column not in edges and len(given):
                inner = np.quantile(given, np.arange(1, CLASSES) / CLASSES)
                edges[column] = tuple(float(edge) for edge in np.unique(inner))
        made = cls(known.values, edges)
        counts = made._held(users)[1].value_counts()
        values = pd.Index(sorted(counts.index[counts >= 2]), dtype=object)
        return cls(known.values.append(values.difference(known.values)), edges)

    def read(self, users: pd.DataFrame | None) -> "Profiles":
        """What each of `users` holds of the known values."""
        if users is None:
            return Profiles(pd.Index([], dtype=object), csr((1, len(self.values)), dtype=np.float32))
        row, named = self._held(users)
        value = self.values.get_indexer(pd.Index(named))
        known = value >= 0
        held = csr(
            (np.ones(int(known.sum()), np.float32), (row[known], value[known])),
            shape=(len(users) + 1, len(self.values)),
        )
        return Profiles(pd.Index(users[Columns.User]), held)

    def _held(self, users: pd.DataFrame) -> "tuple[npt.NDArray[np.int64], pd.Series[str]]":
        """Row of `users` and 'column\\tvalue' of everything held."""
        rows: list[npt.NDArray[np.int64]] = [np.empty(0, np.int64)]
        names: list[pd.Series[str]] = [pd.Series([], dtype=object)]
        for column, row, values in attribute_values(users.drop(columns=Columns.User)):
            rows.append(row)
            names.append(column + "\t" + values.astype(object))
        for column in _numbers(users):
            given = users[column].to_numpy(np.float64, na_value=np.nan)
            row = np.flatnonzero(np.isfinite(given))
            place = np.searchsorted(np.asarray(self.edges.get(column, ())), given[row], side="right")
            rows.append(row)
            names.append(pd.Series([f"{column}\tclass {number}" for number in place], dtype=object))
        return np.concatenate(rows), pd.concat(names, ignore_index=True)


@dataclass(frozen=True)
class Profiles:
    """A table of users as values of a `Profile`."""

    user_ids: pd.Index
    """(N,)"""
    held: Csr
    """(N + 1, V): 1 where a user holds a value; the last row is nobody's."""

    def of(self, user_ids: pd.Index) -> Csr:
        """(U, V); nothing for users that the table does not name."""
        return self.held[self.user_ids.get_indexer(user_ids)]


def _numbers(users: pd.DataFrame) -> list[str]:
    """Columns of fractions, which are no attributes as they are."""
    return [column for column in users.columns if pd.api.types.is_float_dtype(users[column])]
