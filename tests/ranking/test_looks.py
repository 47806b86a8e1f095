"""What was looked at and clicked, by hand."""

import numpy as np
import pandas as pd
import pytest

from ltexpo.columns import Columns
from ltexpo.data.ids import IdMap
from ltexpo.ranking.looks import looks

IDS = IdMap.of(["a", "b", "c"])


def _events(rows: list[tuple[str, str, str, float]]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=[Columns.Item, Columns.Event, Columns.Request, Columns.Rank])
    return frame.assign(**{Columns.User: "u"})


def test_looks_and_rates_by_hand():
    events = _events([
        ("a", "impression", "r1", 1), ("b", "impression", "r1", 2), ("a", "impression", "r2", 2),
        ("a", "click", "r1", 1), ("a", "purchase", "r1", 1),
        # from elsewhere: nobody knows how it was come upon
        ("b", "click", None, np.nan),
    ])
    found = looks(events, IDS, (0.8, 0.4))
    # a: 0.8 + 0.4, b: 0.4; one click in 1.6 looks, so that 5 clicks stand for 8
    assert np.exp(found["i_looked"]).to_numpy() - 1 == pytest.approx([1.2, 0.4, 0.0], abs=1e-6)
    assert np.exp(found["i_rate"]).to_numpy() == pytest.approx([6 / 9.2, 5 / 8.4, 5 / 8])


def test_without_impressions_nothing_is_known():
    bought = _events([("a", "purchase", None, np.nan)])
    for events in (bought, bought.drop(columns=[Columns.Rank, Columns.Request])):
        found = looks(events, IDS, "log2")
        assert list(found.columns) == ["i_looked", "i_rate"] and len(found) == 3 and found.isna().all(axis=None)
