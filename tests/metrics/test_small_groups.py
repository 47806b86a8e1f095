"""Small groups are merged so that neither a row nor what is left of the total tells of a few people."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltexpo.errors import ConfigError
from ltexpo.metrics import merge_small
from ltexpo.metrics.small_groups import OTHERS


def groups(**sizes: int) -> pd.Series:
    return pd.Series(np.repeat(list(sizes), list(sizes.values())))


def test_by_hand():
    plain = groups(a=30, b=20)
    assert merge_small(plain) == (plain, {})
    # c alone would be what is left of the total, so the next larger one joins it
    merged, told = merge_small(groups(a=30, b=20, c=3))
    assert merged.value_counts().to_dict() == {"a": 30, "b + c": 23}
    assert told == {"b + c": ("b", "c")}
    merged, told = merge_small(groups(a=30, b=8, c=7, d=6, e=1))
    assert merged.value_counts().to_dict() == {"a": 30, "other (4 groups)": 22}
    assert told == {"other (4 groups)": ("b", "c", "d", "e")}
    assert merge_small(groups(a=2, b=3))[0].unique().tolist() == ["a + b"]
    assert merge_small(groups(a=2, b=3), least=1)[1] == {}
    with pytest.raises(ConfigError, match="1 or more"):
        merge_small(plain, least=0)


def test_a_group_is_as_large_as_in_the_arm_that_holds_fewest():
    users = groups(a=60, b=40)
    arm = np.r_[np.arange(60) % 2, np.zeros(35, np.int64), np.ones(5, np.int64)]
    assert merge_small(users, within=arm)[1] == {"a + b": ("a", "b")}
    assert merge_small(users)[1] == {}


@given(
    st.lists(st.tuples(st.sampled_from("abcdefgh"), st.integers(0, 1)), min_size=1, max_size=120), st.integers(1, 30)
)
def test_no_group_is_small_unless_it_is_everybody(users: list[tuple[str, int]], least: int):
    who, arm = pd.Series([name for name, _ in users]), np.array([place for _, place in users])
    merged, told = merge_small(who, least=least, within=arm)
    assert len(merged) == len(who)
    sizes = pd.crosstab(merged, arm).min(axis=1)
    assert len(sizes) == 1 or sizes.min() >= least
    held = {name for names in told.values() for name in names}
    assert (merged == who)[~who.isin(held)].all()


def test_users_of_several_groups_by_hand():
    rows = pd.Series(["a"] * 5 + ["b"] * 3 + ["c"] * 1)
    users = pd.Series([1, 2, 3, 4, 5, 1, 2, 3, 9])
    # c is too small by itself, and b goes with it, as c alone would still be known from the rest
    merged, told = merge_small(rows, users=users, least=3, name=OTHERS)
    assert merged.tolist() == ["a"] * 5 + [OTHERS] * 4 and told == {OTHERS: ("b", "c")}
    assert merge_small(rows, users=users, least=1, name=OTHERS)[0].tolist() == rows.tolist()
    # three rows of one user are one user
    one = merge_small(pd.Series(["a"] * 3), users=pd.Series([1, 1, 1]), least=2, name=OTHERS)[0]
    assert one.tolist() == [OTHERS] * 3


def test_gaps_stay():
    merged, _ = merge_small(pd.Series(["a", None, "b"], dtype=object), least=2)
    assert merged.tolist() == ["a + b", None, "a + b"]


@given(
    st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(0, 30)), min_size=1, max_size=120), st.integers(1, 12)
)
def test_every_named_group_of_rows_is_large_enough(rows: list[tuple[str, int]], least: int):
    of, users = pd.Series([group for group, _ in rows]), pd.Series([user for _, user in rows])
    named, _ = merge_small(of, users=users, least=least, name=OTHERS)
    sizes = users.groupby(named.to_numpy()).nunique()
    if users.nunique() >= least:
        assert (sizes >= least).all()
    else:
        assert set(named) == {OTHERS}
    kept = named != OTHERS
    assert (named[kept] == of[kept]).all()
