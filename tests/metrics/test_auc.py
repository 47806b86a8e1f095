import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from ltexpo.errors import InputError
from ltexpo.metrics.auc import auc_ratio
from ltexpo.metrics.intervals import difference, estimate


def test_by_hand():
    # Of the four pairs, 3 above 1 and 2, and 2 ties with 2: (1 + 1 + 1 + ½) / 4.
    ratio = auc_ratio([3, 2, 2, 1], [1, 1, 0, 0])
    assert ratio is not None and ratio.value == pytest.approx(3.5 / 4)
    # With weights 3 and 1 on the others: (4 + (½ · 3 + 1)) / 8.
    weighed = auc_ratio([3, 2, 2, 1], [1, 1, 0, 0], weight=[9, 9, 3, 1])
    assert weighed is not None and weighed.value == pytest.approx((4 + 2.5) / 8)
    assert auc_ratio([1, 2], [1, 1]) is None and auc_ratio([1, 2], [0, 0]) is None
    with pytest.raises(InputError, match="one of each per row"):
        auc_ratio([1, 2], [1])


@given(rows=st.lists(st.tuples(st.integers(0, 5), st.booleans(), st.integers(1, 4)), min_size=2, max_size=40))
@settings(max_examples=60, deadline=None)
def test_as_every_pair_is_compared(rows: list[tuple[int, bool, int]]):
    score, outcome, weight = (np.array(column) for column in zip(*rows, strict=True))
    found = auc_ratio(score, outcome, weight=weight)
    if outcome.all() or not outcome.any():
        assert found is None
        return
    assert found is not None
    wins = [w * ((a > b) + 0.5 * (a == b)) for a in score[outcome]
            for b, w in zip(score[~outcome], weight[~outcome], strict=True)]
    assert found.value == pytest.approx(sum(wins) / outcome.sum() / weight[~outcome].sum())
    mass = np.where(outcome, 1, weight)
    assert found.value == pytest.approx(roc_auc_score(outcome, score, sample_weight=mass))
    assert found.influence().sum() == pytest.approx(0, abs=1e-9)


def test_the_interval_covers_and_pairing_helps():
    rng = np.random.default_rng(0)
    truth, covered, widths = 0.7602, 0, []  # Φ(1 / √2): scores N(1, 1) against N(0, 1)
    for _ in range(300):
        outcome = rng.random(300) < 0.3
        score = rng.normal(size=300) + outcome
        one = auc_ratio(score, outcome)
        assert one is not None
        found = estimate(one)
        covered += found.low <= truth <= found.high
        other = auc_ratio(score + 0.1 * rng.normal(size=300), outcome)
        assert other is not None
        widths.append((difference(other, one).error, found.error))
    assert 0.91 < covered / 300 < 0.98
    paired, alone = np.mean(widths, axis=0)
    assert paired < 0.3 * alone
