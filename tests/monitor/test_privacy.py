import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from ltexpo.monitor.privacy import OTHERS, named_groups

ROWS = st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(0, 30)), min_size=1, max_size=120)


def test_by_hand():
    groups = pd.Series(["a"] * 5 + ["b"] * 3 + ["c"] * 1)
    users = pd.Series([1, 2, 3, 4, 5, 1, 2, 3, 9])
    # c is too small by itself, and b goes with it, as c alone would still be known from the rest
    assert named_groups(groups, users, least=3).tolist() == ["a"] * 5 + [OTHERS] * 4
    assert named_groups(groups, users, least=1).tolist() == groups.tolist()


@given(ROWS, st.integers(1, 12))
def test_every_named_group_is_large_enough(rows: list[tuple[str, int]], least: int):
    groups, users = pd.Series([group for group, _ in rows]), pd.Series([user for _, user in rows])
    named = named_groups(groups, users, least=least)
    sizes = users.groupby(named.to_numpy()).nunique()
    if users.nunique() >= least:
        assert (sizes >= least).all()
    else:
        assert set(named) == {OTHERS}
    kept = named != OTHERS
    assert (named[kept] == groups[kept]).all()
