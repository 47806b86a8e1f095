"""CUPED, CUPAC and strata: against tea-tasting, unbiased, and as much narrower as theory says."""

import numpy as np
import pandas as pd
import pytest
import tea_tasting as tt

from ltexpo.errors import ConfigError, TableError
from ltexpo.metrics.intervals import Ratio
from ltexpo.simulate.stats import compare, cupac, cuped, linearised, post_stratify

N = 600


def people(seed: int, lift: float = 0.0, n: int = N) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    taste, tier = rng.beta(4, 16, n), rng.integers(0, 4, n)
    views, before = (rng.poisson(4 + 8 * tier) + 1.0 for _ in range(2))
    return {
        "views": views, "views_before": before, "tier": tier,
        "clicks": rng.binomial(views.astype(int), taste * (1 + lift)).astype(float),
        "clicks_before": rng.binomial(before.astype(int), taste).astype(float),
    }


def ids(n: int, first: int) -> np.ndarray:
    return np.arange(first, first + n)


def arms(seed: int, lift: float = 0.1) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    return people(2 * seed, lift), people(2 * seed + 1)


def test_cuped_is_tea_tastings_for_means_and_ratios():
    treated, plain = arms(0)
    frame = pd.concat([pd.DataFrame(plain).assign(variant=0), pd.DataFrame(treated).assign(variant=1)])
    theirs = tt.Experiment(
        mean=tt.Mean("clicks", covariate="clicks_before"),
        ratio=tt.RatioOfMeans("clicks", "views", numer_covariate="clicks_before", denom_covariate="views_before"),
    ).analyze(frame)
    mean = cuped(
        "clicks", Ratio.mean(treated["clicks"], ids(N, 0)), Ratio.mean(plain["clicks"], ids(N, N)),
        treated["clicks_before"], plain["clicks_before"],
    )
    # They take the covariance over both arms together, we within them.
    assert mean.difference == pytest.approx(theirs["mean"].effect_size, rel=0.01)
    assert mean.low == pytest.approx(theirs["mean"].effect_size_ci_lower, rel=0.02)
    assert mean.high == pytest.approx(theirs["mean"].effect_size_ci_upper, rel=0.02)
    assert mean.control == pytest.approx(theirs["mean"].control, rel=1e-3)
    before = linearised(*(Ratio.of(arm["clicks_before"], arm["views_before"], ids(N, 0)) for arm in (treated, plain)))
    ratio = cuped(
        "ctr", Ratio.of(treated["clicks"], treated["views"], ids(N, 0)),
        Ratio.of(plain["clicks"], plain["views"], ids(N, N)), *before,
    )
    assert ratio.difference == pytest.approx(theirs["ratio"].effect_size, rel=0.02)
    assert ratio.error == pytest.approx(
        (theirs["ratio"].effect_size_ci_upper - theirs["ratio"].effect_size_ci_lower) / 2 / 1.962, rel=0.02
    )


def test_the_covariates_coefficient_makes_the_variance_least():
    treated, plain = arms(1)
    t, c = Ratio.mean(treated["clicks"], ids(N, 0)), Ratio.mean(plain["clicks"], ids(N, N))
    x = treated["clicks_before"], plain["clicks_before"]
    best = cuped("clicks", t, c, *x)

    def by_hand(theta: float) -> float:
        return sum(np.var(y - theta * z, ddof=1) / N for y, z in zip((t.numerator, c.numerator), x, strict=True))

    thetas = np.linspace(-1, 2, 30_001)
    variances = np.array([by_hand(theta) for theta in thetas[::100]])
    assert best.error**2 == pytest.approx(variances.min(), rel=1e-3)
    theta = thetas[::100][variances.argmin()]
    shift = x[0].mean() - x[1].mean()
    assert best.difference == pytest.approx(t.value - c.value - theta * shift, abs=0.01 * abs(shift) + 1e-9)
    assert best.treatment - best.control == pytest.approx(best.difference)


def test_cuped_is_unbiased_and_saves_1_minus_rho_squared():
    # Deng et al. (2013): the variance is (1 − ρ²) times the plain one's.
    rho, lift, rows = 0.7, 0.3, []
    for seed in range(1_000):
        rng = np.random.default_rng(seed)
        x = rng.standard_normal(200)
        y = rho * x + np.sqrt(1 - rho**2) * rng.standard_normal(200) + lift * (np.arange(200) < 100)
        t, c = Ratio.mean(y[:100], ids(100, 0)), Ratio.mean(y[100:], ids(100, 100))
        less, full = cuped("y", t, c, x[:100], x[100:]), compare("y", t, c)
        rows.append((less.difference, less.error**2, full.error**2, less.low <= lift <= less.high))
    found = np.array(rows)
    assert abs(found[:, 0].mean() - lift) < 2 * found[:, 0].std() / np.sqrt(1_000)
    assert found[:, 1].mean() / found[:, 2].mean() == pytest.approx(1 - rho**2, rel=0.02)
    # The error that is reported is the one that the runs have.
    assert found[:, 0].var() == pytest.approx(found[:, 1].mean(), rel=0.15)
    assert 0.925 < found[:, 3].mean() < 0.975


def test_a_covariate_of_no_use_changes_nearly_nothing():
    treated, plain = arms(2)
    t, c = Ratio.mean(treated["clicks"], ids(N, 0)), Ratio.mean(plain["clicks"], ids(N, N))
    noise = np.random.default_rng(0).standard_normal((2, N))
    assert cuped("clicks", t, c, *noise).error == pytest.approx(compare("clicks", t, c).error, rel=0.01)
    constant = np.ones(N)
    assert cuped("clicks", t, c, constant, constant).difference == pytest.approx(t.value - c.value)


@pytest.mark.parametrize("model", ["linear", "trees"])
def test_cupac_predicts_from_others_and_narrows(model: str):
    rng = np.random.default_rng(4)
    x = rng.standard_normal((1000, 3))
    y = 2 * np.abs(x[:, 0]) + x[:, 1] + rng.standard_normal(1000)
    predicted = cupac(x, y, model=model, rng=0)
    assert np.array_equal(predicted, cupac(x, y, model=model, rng=0))
    t, c = Ratio.mean(y[:500], ids(500, 0)), Ratio.mean(y[500:], ids(500, 500))
    share = (cuped("y", t, c, predicted[:500], predicted[500:]).error / compare("y", t, c).error) ** 2
    # Variances: |x| has 4 (1 − 2/π) = 1.45, the linear part 1, noise 1. Trees can see |x|, a line cannot.
    if model == "linear":
        assert share == pytest.approx(2.45 / 3.45, abs=0.06)
    else:
        assert share < 0.5


def test_nobodys_outcome_foretells_itself():
    # Outcomes of pure noise: predictions by others have no correlation with them, those of a model that saw them do.
    rng = np.random.default_rng(5)
    x, y = rng.standard_normal((300, 40)), rng.standard_normal(300)
    assert abs(np.corrcoef(cupac(x, y, rng=0), y)[0, 1]) < 0.15
    fitted = x @ np.linalg.lstsq(x, y)[0]
    assert np.corrcoef(fitted, y)[0, 1] > 0.25


def test_strata_worked_by_hand():
    # Shares 1/2, 1/2. Treatment: a 1, 3 and b 10, 12, 14, 16; control: a 0, 2, 4, 6 and b 9, 11.
    t = Ratio.mean([1, 3, 10, 12, 14, 16], ids(6, 0))
    c = Ratio.mean([0, 2, 4, 6, 9, 11], ids(6, 6))
    found = post_stratify("y", t, c, list("aabbbb"), list("aaaabb"))
    assert (found.treatment, found.control) == pytest.approx((0.5 * 2 + 0.5 * 13, 0.5 * 3 + 0.5 * 10))
    within = 0.25 * (2 / 2 + (20 / 3) / 4 + (20 / 3) / 4 + 2 / 2)
    # The strata's effects, −1 and 3, differ from their mean 1 by 2: their shares' noise adds 4 / 12.
    assert found.error**2 == pytest.approx(within + 4 / 12, rel=0.02)


def test_strata_of_a_ratio_are_unbiased_narrower_and_hold():
    lift, rows = 0.1, []
    for seed in range(600):
        treated, plain = people(2 * seed, lift, 300), people(2 * seed + 1, 0.0, 300)
        t, c = (Ratio.mean(arm["clicks"], ids(300, first)) for arm, first in ((treated, 0), (plain, 300)))
        less, full = post_stratify("clicks", t, c, treated["tier"], plain["tier"]), compare("clicks", t, c)
        rows.append((less.difference, less.error, full.error))
    found = np.array(rows)
    truth = lift * 0.2 * (4 + 8 * 1.5 + 1)
    assert abs(found[:, 0].mean() - truth) < 3 * found[:, 0].std() / np.sqrt(600)
    assert found[:, 0].std() == pytest.approx(found[:, 1].mean(), rel=0.1)
    assert (found[:, 1] < found[:, 2]).all()
    assert found[:, 1].mean() < 0.85 * found[:, 2].mean()


def test_small_strata_are_joined_and_counted():
    treated, plain = arms(7)
    t, c = (Ratio.mean(arm["clicks"], ids(N, first)) for arm, first in ((treated, 0), (plain, N)))
    strata = [arm["tier"].astype(str).astype(object) for arm in (treated, plain)]
    strata[0][0] = "alone"
    found = post_stratify("clicks", t, c, *strata)
    assert "1 strata with fewer than two users in an arm were joined" in found.note
    assert "4 strata" in found.method
    assert np.isfinite(found.error)
    everyone_apart = post_stratify("clicks", t, c, ids(N, 0), ids(N, N))
    assert everyone_apart.difference == pytest.approx(t.value - c.value)


def test_bad_covariates_are_refused():
    t, c = Ratio.mean([1.0, 2.0, 4.0], ids(3, 0)), Ratio.mean([1.0, 3.0], ids(2, 3))
    with pytest.raises(TableError, match=r"covariates of shape \(2,\) for 3 users"):
        cuped("y", t, c, [1.0, 2.0], [1.0, 2.0])
    with pytest.raises(TableError, match="1 covariates are not finite"):
        cuped("y", t, c, [1.0, 2.0, np.nan], [1.0, 2.0])
    with pytest.raises(TableError, match="2 and 1 covariates"):
        cuped("y", t, c, np.ones((3, 2)), np.ones((2, 1)))
    with pytest.raises(TableError, match="users have several rows"):
        cuped("y", Ratio.mean([1.0, 2.0], np.array([0, 0])), Ratio.mean([1.0, 3.0], ids(2, 3)), [1, 2], [1, 2])
    with pytest.raises(TableError, match="3 strata for 2 users"):
        post_stratify("y", t, c, ["a", "a", "b"], ["a", "a", "b"])
    with pytest.raises(ConfigError, match="folds"):
        cupac(np.ones((3, 1)), np.ones(3), folds=1)
