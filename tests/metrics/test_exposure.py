import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ltexpo.errors import TableError
from ltexpo.metrics.exposure import (
    exposure_measures,
    exposure_table,
    group_exposure,
    group_measures,
    item_exposure,
    list_exposure,
)
from ltexpo.metrics.summary import differences_table

TIERS = pd.DataFrame({
    "item_id": ["a", "b", "c", "d", "e"],
    "interactions": [10, 6, 2, 1, 0],
    "tier": ["head", "head", "tail", "tail", "new"],
})
# p: a (head), c (tail), e (new); q: a (head), b (head).
RANKINGS = pd.DataFrame({
    "request_id": ["p", "p", "p", "q", "q"], "rank": [1, 2, 3, 1, 2], "item_id": ["a", "c", "e", "a", "b"],
})
SECOND, THIRD = 1 / math.log2(3), 1 / 2


def values(table, metric):
    return table[table["metric"] == metric].set_index("tier")["value"].to_dict()


def test_item_exposure_by_hand():
    found = item_exposure(RANKINGS, TIERS["item_id"], k=3)
    assert found["item_id"].tolist() == ["a", "b", "c", "d", "e"]
    assert found["shown"].tolist() == [2, 1, 1, 0, 1]
    assert found["exposure"].tolist() == pytest.approx([2, SECOND, SECOND, 0, THIRD])
    top = item_exposure(RANKINGS, TIERS["item_id"], k=2, attention=[0.9, 0.3])
    assert top["exposure"].tolist() == pytest.approx([1.8, 0.3, 0.3, 0, 0])


def test_list_exposure_by_hand():
    found = list_exposure(RANKINGS, TIERS, k=3)
    assert found.loc["p"].to_dict() == pytest.approx(
        {"head": 1, "tail": SECOND, "new": THIRD, "aplt": 2 / 3, "arp": 12 / 3}
    )
    assert found.loc["q"].to_dict() == pytest.approx({"head": 1 + SECOND, "tail": 0, "new": 0, "aplt": 0, "arp": 8})


def test_measures_by_hand():
    table = exposure_table(RANKINGS, TIERS, k=3)
    total = 2 + 2 * SECOND + THIRD
    assert values(table, "tail_share@3") == pytest.approx({"all": (SECOND + THIRD) / total})
    assert values(table, "exposure_share@3") == pytest.approx(
        {"head": (2 + SECOND) / total, "tail": SECOND / total, "new": THIRD / total}
    )
    assert values(table, "aplt@3") == pytest.approx({"all": 1 / 3})
    assert values(table, "arp@3") == pytest.approx({"all": 6})
    assert values(table, "coverage@3") == pytest.approx({"all": 4 / 5, "head": 1, "tail": 1 / 2, "new": 1})
    shares = np.array([2, SECOND, SECOND, THIRD]) / total
    assert values(table, "entropy@3") == pytest.approx({"all": -(shares * np.log(shares)).sum()})
    ordered = np.sort([0, *shares])
    assert values(table, "gini@3") == pytest.approx({"all": (np.array([-4, -2, 0, 2, 4]) * ordered).sum() / 5})
    assert (table["n"] == 2).all()
    has_interval = table.set_index("metric")["low"].notna()
    assert has_interval["tail_share@3"]
    assert not has_interval["gini@3"]


def test_shown_without_attention_is_still_covered():
    table = exposure_table(RANKINGS, TIERS, k=2, attention=[1.0, 0.0])
    assert values(table, "coverage@2")["all"] == 3 / 5


def test_tail_share_interval_is_that_of_a_ratio_over_users():
    users = pd.Series({"p": "u", "q": "v"})
    row = exposure_table(RANKINGS, TIERS, k=2, attention="uniform", users=users).iloc[0]
    # Lists hold 1 of 2 and 0 of 2: ratio 1/4, residuals ±1/2, error √(2 · 1/2) / 4 = 1/4, t(1) = 12.706.
    assert row["value"] == 1 / 4
    assert row["high"] == pytest.approx(1 / 4 + 12.7062 / 4, rel=1e-5)
    same = exposure_table(RANKINGS, TIERS, k=2, users=pd.Series({"p": "u", "q": "u"})).iloc[0]
    assert np.isnan(same["low"])


def test_groups_by_hand():
    exposure = item_exposure(RANKINGS, TIERS["item_id"], k=3, attention="uniform")
    sellers = pd.Series(["x", "y", "x", "z", None], name="seller_id")
    found = group_exposure(exposure, sellers)
    assert found["group"].tolist() == ["x", "y", "z"]
    assert found["items"].tolist() == [2, 1, 1]
    assert found["exposure"].tolist() == [3, 1, 0]
    assert found["share"].tolist() == [0.75, 0.25, 0]
    measures = group_measures(RANKINGS, TIERS["item_id"], sellers, k=2, attention="uniform")
    assert [(m.metric, m.sample) for m in measures] == [
        ("min_exposure_seller_id@2", 0.0), ("mmf50_seller_id@2", 0.0),
    ]
    two = pd.Series(["x", "y", "x", "y", "y"], name="brand")
    measures = group_measures(RANKINGS, TIERS["item_id"], two, k=3, attention="uniform")
    assert [m.sample for m in measures] == [2 / 5, 2 / 5]
    with pytest.raises(TableError, match="no item has a value in 'brand'"):
        group_measures(RANKINGS, TIERS["item_id"], pd.Series([None] * 5, name="brand"), k=2)


def test_unknown_items_are_refused():
    with pytest.raises(TableError, match=r"item_id 'a' is not in items \(2 such rows\)"):
        item_exposure(RANKINGS, pd.Index(["b", "c", "e"]), k=3)


def test_differences_are_paired():
    control = RANKINGS.assign(item_id=["a", "b", "e", "a", "b"])
    treated = exposure_measures(RANKINGS, TIERS, k=3, attention="uniform")
    plain = exposure_measures(control, TIERS, k=3, attention="uniform")
    table = differences_table(treated, plain).set_index(["metric", "tier"])
    row = table.loc[("tail_share@3", "all")]
    assert (row["control"], row["treatment"], row["value"]) == pytest.approx((1 / 5, 2 / 5, 1 / 5))
    assert np.isfinite([row["low"], row["high"]]).all()
    assert table.loc[("coverage@3", "tail"), "value"] == 1 / 2
    assert np.isnan(table.loc[("coverage@3", "tail"), "low"])
    same = differences_table(treated, treated)
    assert (same["value"] == 0).all()


ITEMS = TIERS["item_id"].tolist()


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.permutations(ITEMS).flatmap(lambda p: st.integers(1, 5).map(lambda n: p[:n])), min_size=1, max_size=8),
    st.integers(1, 6),
    st.integers(0, 2**31),
)
def test_equals_a_naive_loop_in_any_row_order(lists, k, seed):
    rows = [(f"r{n}", rank, item) for n, items in enumerate(lists) for rank, item in enumerate(items, start=1)]
    rankings = pd.DataFrame(rows, columns=["request_id", "rank", "item_id"]).sample(frac=1, random_state=seed)
    tier = dict(zip(TIERS["item_id"], TIERS["tier"], strict=True))
    popularity = dict(zip(TIERS["item_id"], TIERS["interactions"], strict=True))
    spent = dict.fromkeys(ITEMS, 0.0)
    aplt, arp = [], []
    for items in lists:
        for rank, item in enumerate(items[:k], start=1):
            spent[item] += 1 / math.log2(1 + rank)
        aplt.append(np.mean([tier[item] != "head" for item in items[:k]]))
        arp.append(np.mean([popularity[item] for item in items[:k]]))
    table = exposure_table(rankings, TIERS, k=k)
    total = sum(spent.values())
    tail = sum(amount for item, amount in spent.items() if tier[item] != "head")
    assert values(table, f"tail_share@{k}")["all"] == pytest.approx(tail / total)
    assert sum(values(table, f"exposure_share@{k}").values()) == pytest.approx(1)
    assert values(table, f"aplt@{k}")["all"] == pytest.approx(np.mean(aplt))
    assert values(table, f"arp@{k}")["all"] == pytest.approx(np.mean(arp))
    assert values(table, f"coverage@{k}")["all"] == sum(amount > 0 for amount in spent.values()) / 5
