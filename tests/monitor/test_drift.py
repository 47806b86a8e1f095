import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltexpo.monitor.drift import drift, merge_neighbours, price_cells, score_cells, stability_index

COUNTS = st.lists(st.integers(0, 5_000), min_size=2, max_size=8).filter(lambda counts: sum(counts) > 0)


def test_by_hand():
    # shares (0.5, 0.5) and (0.2, 0.8), but for the half counts
    expected = 0.3 * np.log(0.5 / 0.2) - 0.3 * np.log(0.5 / 0.8)
    assert stability_index([500_000, 500_000], [200_000, 800_000]) == pytest.approx(expected, rel=1e-4)


@given(COUNTS)
def test_is_nothing_against_itself_and_symmetric(counts: list[int]):
    assert stability_index(counts, counts) == pytest.approx(0.0, abs=1e-12)
    other = counts[::-1]
    assert stability_index(counts, other) == pytest.approx(stability_index(other, counts))
    assert stability_index(counts, other) >= 0


def test_noise_is_exceeded_as_often_as_stated():
    rng = np.random.default_rng(0)
    share = np.array([0.4, 0.3, 0.2, 0.1])
    beyond = 0
    for _ in range(2_000):
        found = drift(rng.multinomial(800, share), rng.multinomial(900, share, size=20), chance=0.05)
        beyond += found.index > found.noise
    # the dispersion is taken as at least 1, so the test is a little careful
    assert 0.015 < beyond / 2_000 < 0.055


def test_days_that_differ_widen_the_noise():
    rng = np.random.default_rng(1)
    steady = rng.multinomial(1_000, [0.5, 0.3, 0.2], size=20)
    restless = np.array([rng.multinomial(1_000, rng.dirichlet([50, 30, 20])) for _ in range(20)])
    today = rng.multinomial(1_000, [0.5, 0.3, 0.2])
    assert drift(today, restless, chance=0.01).noise > 3 * drift(today, steady, chance=0.01).noise


def test_rare_cells_are_put_together():
    found = drift([500, 490, 1, 2], [[500, 500, 2, 1]] * 20, chance=0.01)
    assert found.cells == 3
    assert drift([500], [[500]] * 5, chance=0.01).noise == np.inf


def test_a_census_has_no_dispersion():
    one = drift([60, 40], [[50, 50]], chance=0.01, census=True)
    assert np.isfinite(one.noise)


def test_price_cells_double():
    cells = price_cells(pd.Series([0.0, 3.0, 4.0, 7.99, 8.0, np.nan]))
    assert cells.tolist()[:5] == ["0", "2 to 4", "4 to 8", "4 to 8", "8 to 16"]
    assert pd.isna(cells.iloc[5])


def test_score_cells_keep_order():
    scores = np.array([-2.0, -0.1, 0.0, 1e-9, 0.1, 0.11, 0.2, 3.0])
    cells = score_cells(scores)
    assert (np.diff(cells) >= 0).all() and cells[2] == 0
    assert cells[4] < cells[6]


def test_neighbours_are_merged_to_a_twentieth():
    reference = np.array([1.0, 1, 1, 40, 40, 10, 5, 1, 1])
    merged, other = merge_neighbours(reference, reference, np.arange(9.0)[None])
    assert (merged / merged.sum() >= 0.05).all()
    assert merged.sum() == 100 and other.sum() == 36
