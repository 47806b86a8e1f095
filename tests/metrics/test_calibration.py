import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk
from sklearn.calibration import calibration_curve

from ltexpo.errors import InputError
from ltexpo.metrics.calibration import (
    calibration_by_popularity,
    expected_calibration_error,
    log_loss,
    reliability_table,
)


def test_by_hand():
    p, y = [0.1, 0.2, 0.6, 0.9], [0, 1, 1, 1]
    table = reliability_table(p, y, bins=2)
    assert table["bin"].tolist() == [1, 2]
    assert table["n"].tolist() == [2, 2]
    assert table["predicted"].tolist() == pytest.approx([0.15, 0.75])
    assert table["observed"].tolist() == [0.5, 1.0]
    assert expected_calibration_error(p, y, bins=2) == pytest.approx(0.5 * 0.35 + 0.5 * 0.25)
    assert log_loss(p, y).value == pytest.approx(-np.log([0.9, 0.2, 0.6, 0.9]).mean())


def test_attention_by_hand():
    # Examined with 1, ½, ½: 1 click on 1 + ½ + ½ = 2 examinations.
    table = reliability_table([0.4, 0.4, 0.4], [1, 0, 0], bins=1, attention=[1.0, 0.5, 0.5])
    assert table["observed"].tolist() == [0.5]
    assert table["predicted"].tolist() == pytest.approx([0.4])
    assert table["weight"].tolist() == [1.0]
    error = expected_calibration_error([0.4, 0.4, 0.4], [1, 0, 0], bins=1, attention=[1.0, 0.5, 0.5])
    assert error == pytest.approx(0.1)
    # A click on a slot examined half the time has probability 0.4 · 0.5.
    assert log_loss([0.4], [1], attention=[0.5]).value == pytest.approx(-math.log(0.2))


def test_equal_predictions_share_a_bin_whatever_the_row_order():
    p = np.array([0.2] * 7 + [0.5, 0.6, 0.7])
    y = np.array([1, 0, 0, 1, 0, 0, 0, 1, 0, 1])
    table = reliability_table(p, y, bins=5)
    assert table["n"].max() >= 7
    order = np.random.default_rng(0).permutation(10)
    shuffled = reliability_table(p[order], y[order], bins=5)
    assert np.allclose(table.to_numpy(float), shuffled.to_numpy(float), equal_nan=True)


def test_position_biased_clicks_of_a_true_model_are_calibrated_only_with_attention():
    rng = np.random.default_rng(3)
    p = rng.uniform(0.02, 0.4, 200_000)
    attention = 1 / np.log2(1 + rng.integers(1, 13, len(p)))
    clicks = rng.random(len(p)) < attention * p
    assert expected_calibration_error(p, clicks, attention=attention) < 0.005
    assert expected_calibration_error(p, clicks) > 0.08
    table = reliability_table(p, clicks, bins=10, attention=attention)
    inside = (table["low"] <= table["predicted"]) & (table["predicted"] <= table["high"])
    assert inside.sum() >= 8
    # A model that claims twice the truth for the unpopular half is caught there and only there.
    popular = rng.random(len(p)) < 0.5
    claimed = np.where(popular, p, 2 * p)
    deciles = calibration_by_popularity(claimed, clicks, np.where(popular, 100, 1), deciles=2, attention=attention)
    assert deciles["decile"].tolist() == [1, 2]
    assert deciles["interactions_low"].tolist() == [1, 100]
    assert deciles["predicted"].iloc[0] / deciles["observed"].iloc[0] == pytest.approx(2, rel=0.05)
    assert deciles["error"].iloc[0] > 0.15
    assert deciles["error"].iloc[1] < 0.01


def test_popularity_by_hand():
    table = calibration_by_popularity([0.5, 0.5, 0.2, 0.4], [1, 0, 0, 1], [0, 0, 5, 9], deciles=2, bins=1)
    assert table["interactions_low"].tolist() == [0, 5]
    assert table["interactions_high"].tolist() == [0, 9]
    assert table["observed"].tolist() == [0.5, 0.5]
    assert table["error"].tolist() == pytest.approx([0, 0.2])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: log_loss([1.2], [1]), "outside 0 to 1"),
        (lambda: log_loss([float("nan")], [1]), "outside 0 to 1"),
        (lambda: log_loss([0.2], [2]), "other than 0 and 1"),
        (lambda: log_loss([0.2, 0.3], [1]), "one row per prediction"),
        (lambda: log_loss([], []), "one row per prediction"),
        (lambda: log_loss([0.2], [1], attention=[0.0]), "nobody could see"),
        (lambda: reliability_table([0.2], [1], bins=0), "bins is 0"),
        (lambda: calibration_by_popularity([0.2], [1], [1, 2]), "one per row"),
    ],
)
def test_refusals(call, message):
    with pytest.raises(InputError, match=message):
        call()


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.floats(0, 1), st.booleans(), st.sampled_from([0.2, 0.5, 1.0])), min_size=1, max_size=60),
    st.integers(1, 12),
)
def test_error_equals_a_loop_over_the_table(rows, bins):
    p, y, a = (np.array(column, dtype=float) for column in zip(*rows, strict=True))
    table = reliability_table(p, y, bins=bins, attention=a)
    assert table["n"].sum() == len(rows)
    assert table["weight"].sum() == pytest.approx(1)
    by_loop = sum(row.weight * abs(row.observed - row.predicted) for row in table.itertuples())
    assert expected_calibration_error(p, y, bins=bins, attention=a) == pytest.approx(by_loop, abs=1e-12)


def test_agrees_with_scikit_learn():
    rng = np.random.default_rng(9)
    p = rng.beta(1, 4, 5000)
    y = rng.random(5000) < p**1.3
    table = reliability_table(p, y, bins=10)
    observed, predicted = calibration_curve(y, p, n_bins=10, strategy="quantile")
    assert table["observed"].to_numpy() == pytest.approx(observed)
    assert table["predicted"].to_numpy() == pytest.approx(predicted)
    assert log_loss(p, y).value == pytest.approx(sk.log_loss(y, p))


def test_a_row_of_weight_two_counts_as_two():
    p, y, a, seen = np.array([0.2, 0.6, 0.5, 0.9]), np.array([0, 1, 1, 0]), np.array([1, 0.5, 0.7, 0.2]), [0, 0, 3, 8]
    twice = [0, 1, 1, 2, 2, 3]
    weight, group = np.array([1, 2, 2, 1]), np.array([0, 1, 1, 2, 2, 3])
    found = calibration_by_popularity(p, y, seen, deciles=2, bins=1, attention=a, weight=weight)
    wanted = calibration_by_popularity(
        p[twice], y[twice], np.take(seen, twice), deciles=2, bins=1, attention=a[twice], clusters=group
    )
    columns = ["weight", "predicted", "observed", "error"]
    assert found[columns].to_numpy() == pytest.approx(wanted[columns].to_numpy())
    one = expected_calibration_error(p, y, bins=1, attention=a, weight=weight)
    assert one == pytest.approx(expected_calibration_error(p[twice], y[twice], bins=1, attention=a[twice]))
    for wrong in ([1, 2], [1, 0, 1, 1]):
        with pytest.raises(InputError, match="weight holds"):
            expected_calibration_error(p, y, weight=wrong)
