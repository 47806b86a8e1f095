import numpy as np
import pandas as pd
import pytest

from ltexpo.columns import Columns
from ltexpo.report.gainers import top_gainers


def lists(**requests: list[str]) -> pd.DataFrame:
    """Exposure 1, 0.5, 0.25 … by rank."""
    return pd.DataFrame([
        {Columns.Request: request, Columns.Item: item_id, Columns.Exposure: 0.5**position}
        for request, item_ids in requests.items()
        for position, item_id in enumerate(item_ids)
    ])


def test_worked_by_hand() -> None:
    before = lists(r1=["a", "b", "c"], r2=["a", "b", "c"], r3=["c", "b", "a"])
    after = lists(r1=["t", "a", "b"], r2=["a", "t", "u"], r3=["c", "b", "a"])
    # r1: t +1; a −.5, b −.25, c −.25.   r2: t +.5, u +.25; b −.5, c −.25.
    t, u = top_gainers(before, after, n=5)
    assert (t.item_id, t.before, t.after, t.lists, t.displaced_products) == ("t", 0.0, 1.5, 2, 3)
    taken = {loser.item_id: loser.exposure for loser in t.displaced}
    # In r2 two thirds of what was lost went to t.
    assert taken == pytest.approx({"b": 0.25 + 2 / 3 * 0.5, "a": 0.5, "c": 0.25 + 2 / 3 * 0.25})
    assert [loser.item_id for loser in t.displaced] == ["b", "a", "c"]
    assert (u.item_id, u.lists) == ("u", 1)
    assert {loser.item_id: loser.exposure for loser in u.displaced} == pytest.approx({"b": 0.5 / 3, "c": 0.25 / 3})


def test_a_product_that_moves_up_gains_from_those_it_passes() -> None:
    (gainer,) = top_gainers(lists(r=["a", "b", "c"]), lists(r=["b", "a", "c"]))
    assert (gainer.item_id, gainer.before, gainer.after) == ("b", 0.5, 1.0)
    assert [(loser.item_id, loser.exposure) for loser in gainer.displaced] == [("a", 0.5)]


def test_ties_break_by_item_id_and_n_limits() -> None:
    before, after = lists(r1=["a"], r2=["a"], r3=["a"]), lists(r1=["z"], r2=["m"], r3=["x"])
    assert [gainer.item_id for gainer in top_gainers(before, after, n=2)] == ["m", "x"]


def test_nothing_gained() -> None:
    same = lists(r1=["a", "b"], r2=["b", "a"])
    assert top_gainers(same, same.iloc[::-1]) == []


def test_what_was_taken_adds_up_to_what_was_gained() -> None:
    rng = np.random.default_rng(0)
    before = lists(**{f"r{r}": [f"i{i}" for i in rng.permutation(12)[:5]] for r in range(40)})
    after = lists(**{f"r{r}": [f"i{i}" for i in rng.permutation(12)[:5]] for r in range(40)})
    for gainer in top_gainers(before, after, n=12, n_displaced=10):
        moves = before.merge(after, on=[Columns.Request, Columns.Item], how="outer", suffixes=("_b", "_a")).fillna(0)
        own = moves[moves[Columns.Item] == gainer.item_id]
        gross = (own["exposure_a"] - own["exposure_b"]).clip(lower=0).sum()
        assert sum(loser.exposure for loser in gainer.displaced) <= gross + 1e-9
        if gainer.displaced_products <= 10:
            assert sum(loser.exposure for loser in gainer.displaced) == pytest.approx(gross)
