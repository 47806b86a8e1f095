"""The interface of every baseline: history → sparse scores of each user's best items."""

from abc import ABC, abstractmethod
from typing import ClassVar, Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from ltexpo.data.history import History
from ltexpo.sparse import Csr


class Scorer(ABC):
    """One way to score items for a user. Fitted attributes end in `_`.

    Laws, the same for all (tests/contracts/test_scorers.py): scores are positive and finite; no more than `n` items a
    user; nothing stored in `skip` comes back; a user's scores do not depend on who else is asked for; fitting twice
    gives the same bytes; codes outside the history are refused.
    """

    name: ClassVar[str]
    """How the component is called in settings and tables."""

    @abstractmethod
    def fit(self, history: History, items: pd.DataFrame) -> Self:
        """Learn from `history`; `items` is the catalogue in the order of the history's item codes."""

    @abstractmethod
    def adopt(self, history: History) -> Self:
        """Answer for the users of `history`, another one over the same items; what was learnt of items stays."""

    @abstractmethod
    def score(self, users: npt.NDArray[np.int64], n: int, *, skip: Csr | None = None) -> Csr:
        """The best `n` items of each user: codes (B,) → CSR (B, I), float32, only positive scores stored.

        `skip` (B, I) marks items that may not come back. Ties go to the lower item code.
        """
