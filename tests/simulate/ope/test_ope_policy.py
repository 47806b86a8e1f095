"""Policy tables: checked, and looked up like a naive loop would."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_slates import Slates, as_log, marginals, names, steps

from ltexpo.errors import ColumnError, TableError
from ltexpo.simulate.ope import Logged, OpeSettings, evaluate_policy, policy_of_log, read_policy

SLATES = Slates.make("own item", n_items=5, k=3, apart=0.7, rng=np.random.default_rng(0))


def table(**changes: object) -> pd.DataFrame:
    return pd.DataFrame({
        "rank": [1, 1, 2, 2], "item_id": ["i000", "i001", "i000", "i002"], "probability": [0.5, 0.5, 0.3, 0.7],
    } | changes)


def log_of(items: list[list[int]]) -> Logged:
    lists = np.array(items)
    return as_log(lists, np.zeros(lists.shape), np.full(lists.shape, 0.5), np.zeros(len(lists), dtype=np.int64), 5)


@given(st.integers(0, 10_000), st.booleans())
def test_conditional_is_what_a_loop_gives(seed: int, repeats: bool):
    rng = np.random.default_rng(seed)
    slates = Slates.make("own item", n_items=5, k=3, apart=1.0, rng=rng)
    log = slates.log(30, rng)
    if repeats:
        log = as_log(rng.integers(5, size=(30, 3)), log.rewards, log.propensities, log.segments, 5)
    got = read_policy(slates.table(), log, repeats=repeats).conditional(log)
    for row, kind in enumerate(log.segments):
        above: set[int] = set()
        for rank, item in enumerate(log.items[row]):
            chances = slates.target[kind]
            left = 1.0 if repeats else 1 - sum(chances[i] for i in above)
            wanted = 0.0 if not repeats and item in above else chances[item] / left
            assert got[row, rank] == pytest.approx(wanted)
            above.add(int(item))


def test_marginals_match_the_enumeration():
    log = SLATES.log(20, np.random.default_rng(1))
    policy = read_policy(SLATES.table(), log)
    got = policy.marginal(log, np.random.default_rng(2)).reshape(2, 3, 5)
    for kind in range(2):
        assert got[kind] == pytest.approx(marginals(SLATES.target[kind], SLATES.lists()), abs=0.01)
    assert got.sum(axis=2) == pytest.approx(np.ones((2, 3)))
    free = read_policy(SLATES.table(), log, repeats=True)
    assert free.marginal(log, np.random.default_rng(2)) is free.probabilities


def test_lists_are_certain_and_found_by_request_or_user():
    log = log_of([[0, 1, 2], [2, 1, 0]])
    lists = pd.DataFrame({
        "request_id": ["R000001"] * 2, "rank": [1, 2], "item_id": ["i002", "i001"], "score": 0.5, "exposure": 1.0,
    })
    policy = read_policy(lists, log)
    assert policy.groups.tolist() == [-1, 0]
    assert policy.left_out == {"requests of the log for which the policy gives nothing": 1}
    by_user = read_policy(lists.assign(request_id="other", user_id="R000000"), log)
    assert by_user.groups.tolist() == [0, -1]
    assert by_user.notes == ("the policy's request_ids are not the log's: it is read by user_id",)
    with pytest.raises(TableError, match="none of its 1 request_ids, such as 'other'"):
        read_policy(lists.assign(request_id="other"), log)


def test_probabilities_by_request_and_deep_ranks():
    log = log_of([[0, 1, 2], [2, 1, 0]])
    deep = pd.concat([table(), pd.DataFrame({"rank": [9], "item_id": ["i000"], "probability": [1.0]})])
    policy = read_policy(deep, log)
    assert policy.left_out == {"rows of the policy at ranks that the log does not reach": 1}
    assert policy.depths.tolist() == [2]
    assert policy.conditional(log)[0].tolist() == pytest.approx([0.5, 0.0, 0.0])
    result = evaluate_policy(log, policy, OpeSettings(estimator=("rips",)))
    assert result.left_out["logged slots at ranks that the policy does not fill"] == 2
    strange = read_policy(table(item_id=["i000", "zzz", "i000", "yyy"]), log)
    assert strange.left_out == {"items of the policy that the log never shows": 2}


BAD = [
    (table(probability=[0.5, 0.6, 0.3, 0.7]), TableError, r"at rank 1 sum to 1.1, not 1 \(1 such slots\)"),
    (table(probability=[-0.5, 1.0, 0.3, 0.7]), ColumnError, r"'probability' row 0 is -0.5, not a probability"),
    (table(probability=[0.5, np.nan, 0.3, 0.7]), ColumnError, "'probability' row 1 is nan"),
    (table(probability=["x"] * 4), ColumnError, "'probability' holds"),
    (table(rank=[1, 1, 2.5, 2.5]), ColumnError, "'rank' row 2 is 2.5, not a whole number"),
    (table(item_id=["i000", "i000", "i000", "i002"]), TableError, "item 'i000' stands twice at rank 1"),
    (table(item_id=["i000", None, "i000", "i002"]), ColumnError, "'item_id' is missing in 1 rows"),
    (table().drop(columns="item_id"), ColumnError, "policy lacks 'item_id'"),
    (table().iloc[:0], TableError, "policy is empty"),
    (table(rank=[1, 1, 3, 3]), TableError, "has no rank 2 in a list that goes on below it"),
    (table(rank=[7, 7, 8, 8]), TableError, "has no rank up to 3"),
    (table(kind=[9, 9, 9, 9]), TableError, "no request of the log has a kind of the policy's, such as '9'"),
]


@pytest.mark.parametrize(("bad", "error", "message"), BAD)
def test_bad_tables_are_refused(bad: pd.DataFrame, error: type[Exception], message: str):
    with pytest.raises(error, match=message):
        read_policy(bad, log_of([[0, 1, 2], [2, 1, 0]]))


def test_a_policy_without_anything_left_is_refused():
    log = log_of([[0, 1, 2]])
    stuck = pd.DataFrame({"rank": [1, 2], "item_id": ["i000", "i000"], "probability": [1.0, 1.0]})
    with pytest.raises(TableError, match=r"at rank 2 of .* requests every item may already stand above"):
        evaluate_policy(log, read_policy(stuck, log))


def test_a_log_as_a_policy_is_its_frequencies():
    log = log_of([[0, 1, 2], [0, 2, 1], [1, 0, 2], [0, 1, 2]])
    got = policy_of_log(log).set_index(["rank", "item_id"])["probability"]
    assert got[1].to_dict() == {"i000": 0.75, "i001": 0.25}
    assert got[3].to_dict() == {"i001": 0.25, "i002": 0.75}


def test_slates_are_what_they_say():
    """The enumeration itself: probabilities of all lists sum to 1, and drawn lists follow them."""
    lists = SLATES.lists()
    joint = steps(SLATES.logging[0], lists).prod(axis=1)
    assert joint.sum() == pytest.approx(1)
    log = SLATES.log(20_000, np.random.default_rng(0))
    own = log.items[log.segments == 0]
    drawn = np.bincount(own[:, 2], minlength=5) / len(own)
    assert drawn == pytest.approx(marginals(SLATES.logging[0], lists)[2], abs=0.015)
    assert names(2).tolist() == ["i000", "i001"]
