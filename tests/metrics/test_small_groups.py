"""Small groups are merged so that neither a row nor what is left of the total tells of a few people."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltexpo.errors import ConfigError
from ltexpo.metrics import merge_small


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
