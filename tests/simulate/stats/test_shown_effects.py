"""Coverage and Gini: the variance of what is nearly unseen, permutations, and arms that cannot be compared."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltexpo.errors import ConfigError, TableError
from ltexpo.metrics.inequality import gini
from ltexpo.simulate.stats import Shown, compare_coverage, compare_gini, compare_permuted
from ltexpo.simulate.stats.coverage import unseen_variance
from ltexpo.simulate.stats.permuted import gini_rows

ITEMS, K, KINDS = 600, 5, 12
POPULAR = np.arange(1, ITEMS + 1) ** -0.9


def lists(tail: float, rng: np.random.Generator) -> np.ndarray:
    """5,000 users of twelve tastes; each is shown five items by taste and popularity. `tail` lifts the unpopular."""
    taste = rng.integers(0, KINDS, (5_000, 1))
    odds = POPULAR * np.exp(tail * (np.arange(ITEMS) > ITEMS // 5) + 1.5 * (np.arange(ITEMS) % KINDS == taste))
    return np.argpartition(rng.standard_exponential((5_000, ITEMS)) / odds, K, axis=1)[:, :K]


PLAIN, TAIL = lists(0.0, np.random.default_rng(1)), lists(1.0, np.random.default_rng(2))


def arm(rng: np.random.Generator, first: int, n: int = 250, pool: np.ndarray = PLAIN) -> Shown:
    return Shown.of_lists(pool[rng.integers(0, len(pool), n)], ITEMS, users=np.arange(first, first + n))


def test_lists_become_pairs_with_their_exposure():
    shown = Shown.of_lists(
        [[2, 0, -1], [2, 2, 1]], 4, users=np.array(["x", "y"]), weights=[[1, 0.5, 9], [1, 0.5, 0]]
    )
    assert shown.user.tolist() == [0, 0, 1]
    assert shown.item.tolist() == [0, 2, 2]
    assert shown.weight.tolist() == [0.5, 1, 1.5]
    assert shown.exposure().tolist() == [0.5, 0, 2.5, 0]
    assert shown.matrix().toarray().tolist() == [[0.5, 0, 1, 0], [0, 0, 1.5, 0]]
    other = shown.only(np.array([1, 0]))
    assert other.users.tolist() == ["y", "x"]
    assert other.matrix().toarray().tolist() == [[0, 0, 1.5, 0], [0.5, 0, 1, 0]]


def test_the_variance_of_the_unseen_by_hand():
    # Two items that only u was shown, one only of v, one of u and v together; 10 users.
    variance, _ = unseen_variance(np.array([2, 1, 1]), np.array([1, 1, 2]), 10)
    assert variance == pytest.approx((4 + 1) - 1 - 9 / 10, abs=0.02)


def test_the_variance_of_coverage_is_that_of_the_runs():
    # The jackknife and the bootstrap of coverage are off by a third and more; this one may not be.
    rng = np.random.default_rng(0)
    found = [compare_coverage("coverage", arm(rng, 0), arm(rng, 250)) for _ in range(1_000)]
    differences = np.array([one.difference for one in found])
    errors = np.array([one.error for one in found])
    # Standard errors: 4.5% of a variance of 1,000 runs, 0.7 points of a 5% rate.
    assert np.mean(errors**2) == pytest.approx(differences.var(), rel=0.13)
    assert 0.03 < np.mean([one.p_value < 0.05 for one in found]) < 0.07


def test_intervals_of_coverage_hold_under_a_large_effect():
    rng = np.random.default_rng(1)
    found = [compare_coverage("coverage", arm(rng, 0, pool=TAIL), arm(rng, 250)) for _ in range(500)]
    truth = np.mean([one.difference for one in found])
    control = np.mean([one.control for one in found])
    assert truth > 0.1
    # The standard error of 95% over 500 runs is one point.
    assert 0.92 < np.mean([one.low <= truth <= one.high for one in found]) < 0.98
    assert 0.92 < np.mean([one.relative_low <= truth / control <= one.relative_high for one in found]) < 0.98


def test_gini_of_permuted_users_rejects_at_the_stated_rate():
    rng = np.random.default_rng(2)
    p = [compare_gini("Gini", arm(rng, 0, 100), arm(rng, 100, 100), runs=60, rng=n).p_value for n in range(600)]
    # The standard error of a 5% rate is 0.9 points.
    assert 0.02 < np.mean(np.array(p) < 0.05) < 0.08


def test_items_shown_often_enough_are_counted():
    rng = np.random.default_rng(3)
    treated, plain = arm(rng, 0, pool=TAIL), arm(rng, 250)
    found = compare_coverage("shown twice", treated, plain, least=2, rng=0)
    assert found.treatment == (treated.exposure() >= 2).mean()
    assert found.control == (plain.exposure() >= 2).mean()
    assert found.method == "200 permutations of users"
    assert found.p_value < 0.01


def test_twins_differ_less_than_strangers():
    rng = np.random.default_rng(4)
    plain = arm(rng, 0)
    swapped = plain.item.copy()
    swapped[::50] = (swapped[::50] + 12) % ITEMS
    twin = Shown.of_pairs(plain.user, swapped, plain.weight, users=plain.users, catalogue=ITEMS)
    order = rng.permutation(250)
    for compare in (compare_coverage, compare_gini):
        paired = compare("metric", twin.only(order), plain, paired=True)
        apart = compare("metric", Shown(twin.user, twin.item, twin.weight, twin.users + 1000, ITEMS), plain)
        assert paired.error < 0.5 * apart.error
        assert paired.difference == pytest.approx(apart.difference)


def test_twins_variance_is_that_of_the_runs():
    rng, found = np.random.default_rng(5), []
    for _ in range(800):
        plain = arm(rng, 0, 150)
        moved = np.where(rng.random(len(plain.item)) < 0.2, rng.integers(0, ITEMS, len(plain.item)), plain.item)
        twin = Shown.of_pairs(plain.user, moved, plain.weight, users=plain.users, catalogue=ITEMS)
        found.append(compare_coverage("coverage", twin, plain, paired=True))
    variance = np.var([one.difference for one in found])
    # The standard error of a variance of 800 runs is 5%.
    assert np.mean([one.error**2 for one in found]) == pytest.approx(variance, rel=0.16)


def test_a_larger_arm_is_thinned_since_more_users_see_more():
    rng = np.random.default_rng(6)
    p, naive = [], []
    for n in range(200):
        small, large = arm(rng, 0, 100), arm(rng, 100, 300)
        found = compare_coverage("coverage", small, large, rng=n)
        naive.append((small.exposure() > 0).mean() - (large.exposure() > 0).mean())
        p.append(found.p_value)
    assert "the larger arm's 300 users thinned to 100" in found.note
    assert found.n_control == 300
    assert np.mean(naive) < -0.1
    assert np.mean(np.array(p) < 0.05) < 0.1


def test_the_same_seed_gives_the_same_bytes():
    rng = np.random.default_rng(7)
    arms = arm(rng, 0, 80), arm(rng, 80, 90)
    assert compare_gini("Gini", *arms, rng=3) == compare_gini("Gini", *arms, rng=3)
    assert compare_gini("Gini", *arms, rng=3).error != compare_gini("Gini", *arms, rng=4).error


def test_a_catalogue_that_everyone_sees_is_certain():
    lists = np.tile(np.arange(3), (20, 1))
    arms = (Shown.of_lists(lists, 3, users=np.arange(20)), Shown.of_lists(lists, 3, users=np.arange(20, 40)))
    for compare in (compare_coverage, compare_gini):
        found = compare("metric", *arms)
        assert (found.difference, found.p_value, found.error) == (0, 1, 0)


def test_any_figure_of_the_exposure_can_be_compared():
    rng = np.random.default_rng(8)
    found = compare_permuted(
        "share of the first", lambda e: e[:, 0] / e.sum(axis=1), arm(rng, 0), arm(rng, 250), runs=400, rng=0
    )
    # A plain ratio: the delta method's error is known.
    shares = [(a.matrix().toarray()[:, 0] - a.exposure()[0] / a.exposure().sum() * K) / (K * 250) for a in (
        arm(np.random.default_rng(8), 0), arm(np.random.default_rng(9), 250))]
    assert found.error == pytest.approx(np.sqrt(sum(np.square(s).sum() for s in shares)), rel=0.15)


@given(st.integers(0, 1000), st.integers(1, 30))
def test_gini_of_rows_is_the_metrics_gini(seed: int, items: int):
    rows = np.random.default_rng(seed).random((3, items)).round(1) + 0.01
    assert gini_rows(rows) == pytest.approx([gini(row) for row in rows])


def test_bad_arms_are_refused():
    rng = np.random.default_rng(9)
    one = arm(rng, 0, 20)
    with pytest.raises(TableError, match="20 users are in both arms"):
        compare_coverage("coverage", one, one)
    with pytest.raises(TableError, match="paired arms must hold the same users; 10 of 20 and 20"):
        compare_coverage("coverage", one, arm(rng, 10, 20), paired=True)
    other = Shown.of_lists([[0]], 5, users=np.array([99]))
    with pytest.raises(TableError, match="catalogues have 600 and 5 items"):
        compare_gini("Gini", one, other)
    with pytest.raises(TableError, match="catalogue has 5"):
        Shown.of_lists([[7]], 5, users=np.array([99]))
    with pytest.raises(TableError, match="not negative"):
        Shown.of_lists([[1]], 5, users=np.array([99]), weights=[[-1.0]])
    with pytest.raises(TableError, match="one user a row"):
        Shown.of_lists([[1]], 5, users=np.array([99, 100]))
    with pytest.raises(TableError, match="no users"):
        Shown.of_lists(np.empty((0, 2)), 5, users=np.empty(0))
    with pytest.raises(ConfigError, match="runs"):
        compare_gini("Gini", one, arm(rng, 30, 20), runs=2)
