import numpy as np
import pandas as pd

from ltexpo.fusion.profile import Profile

USERS = pd.DataFrame({
    "user_id": [f"u{n}" for n in range(16)], "segment": ["a", "b"] * 8, "age": np.arange(16, dtype=float),
    "once": ["only"] + ["rest"] * 15,
})


def test_categories_and_classes_of_numbers():
    profile = Profile.of(USERS)
    assert "once\tonly" not in profile.values  # nothing is learnt from one user
    codes = profile.read(USERS).of(pd.Index(["u15", "stranger", "u0"]))
    held = [sorted(profile.values[codes[row].indices]) for row in range(3)]
    assert held == [["age\tclass 7", "once\trest", "segment\tb"], [], ["age\tclass 0", "segment\ta"]]


def test_missing_values_and_no_table_hold_nothing():
    blank = USERS.assign(segment=None, age=np.nan, once=None)
    assert Profile.of(USERS).read(blank).of(pd.Index(USERS["user_id"])).nnz == 0
    assert Profile.of(None).read(None).of(pd.Index(["u0"])).shape == (1, 0)


def test_what_is_known_keeps_its_place():
    before = Profile.of(USERS)
    more = USERS.assign(segment="c", age=USERS["age"] + 100)
    grown = Profile.of(more, before)
    assert (grown.values[: len(before.values)] == before.values).all()
    assert "segment\tc" in grown.values
    assert grown.edges == before.edges
