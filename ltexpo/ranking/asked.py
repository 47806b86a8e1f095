"""What users type → vectors: whole for the match model, narrow to compare products' texts with."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from ltexpo.columns import Columns
from ltexpo.errors import ConfigError

Floats = npt.NDArray[np.float32]
Codes = npt.NDArray[np.int64]
Texts = npt.NDArray[np.object_]
ReadQueries = Callable[[Sequence[str]], Floats]
"""n texts → (n, d) by the encoder of the products' texts; NaN where one says nothing."""


@dataclass(frozen=True)
class Asked:
    """How queries are read."""

    name: str
    """The vectors of products that come from the same encoder."""
    width: int
    """d of those."""
    directions: Floats | None
    """(d, w) that they are projected onto where products are compared; None: they are not."""
    read: ReadQueries | None = None
    """None: nothing may be asked."""

    def whole(self, queries: Texts | None, n: int) -> Floats:
        """(n, d) of `queries` (n,) texts, '' where nothing was typed; NaN where there is nothing to read."""
        out = np.full((n, self.width), np.nan, dtype=np.float32)
        if queries is None:
            return out
        typed = queries != ""
        if not typed.any():
            return out
        if self.read is None:
            raise ConfigError("queries are asked, and nothing is given to read them with. Give 'read_queries'.")
        found = self.read(list(queries[typed]))
        if found.shape[1] != self.width:
            raise ConfigError(f"queries are {found.shape[1]} wide, '{self.name}' {self.width}. Use its encoder.")
        out[typed] = found
        return out

    def narrow(self, whole: Floats) -> Floats:
        """(n, w) rows of length 1, or NaN."""
        rows = whole if self.directions is None else whole @ self.directions
        length = np.linalg.norm(rows, axis=1, keepdims=True)
        # a query with nothing in the directions that products differ in says nothing either
        return np.where(length > 1e-9, rows / np.maximum(length, 1e-9), np.nan).astype(np.float32)


def cleaned(queries: "pd.Series[str]") -> Texts:
    """Texts (n,) with runs of white space made one blank; '' where nothing was typed."""
    texts, code = np.unique(queries.fillna("").to_numpy(dtype=str), return_inverse=True)
    plain = np.array([" ".join(text.split()) for text in texts], dtype=object)
    return np.asarray(plain[code] if len(plain) else np.empty(0, dtype=object))


def typed_in(events: pd.DataFrame) -> bool:
    """Whether any of `events` holds a query."""
    return Columns.Query in events.columns and bool((cleaned(events[Columns.Query]) != "").any())


def askers(user: Codes, queries: Texts | None) -> tuple[Codes, Texts | None, Codes]:
    """Rows of a user (n,) and what was typed (n,) → the B distinct pairs: users (B,), queries (B,), and each row's
    pair (n,). With queries None the pairs are the users."""
    if queries is None:
        users, row = np.unique(user, return_inverse=True)
        return users, None, row
    texts, code = np.unique(queries.astype(str), return_inverse=True)
    pairs, row = np.unique(user * max(len(texts), 1) + code, return_inverse=True)
    of_user, of_text = np.divmod(pairs, max(len(texts), 1))
    return of_user, texts.astype(object)[of_text], row
