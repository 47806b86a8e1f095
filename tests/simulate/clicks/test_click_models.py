"""Every click model under one set of laws, and against its definition written out in full."""

from dataclasses import replace
from functools import cache
from itertools import product

import numpy as np
import pandas as pd
import pytest
from made_logs import MADE, NAMES, MadeLog, make_log
from scipy.optimize import approx_fprime, minimize
from scipy.special import expit, logit

from ltexpo.errors import ConfigError, TableError
from ltexpo.simulate.clicks import ClickParameters, SlotModel
from ltexpo.simulate.clicks.dcm import closed_form
from ltexpo.simulate.clicks.em import Prior, Theta, maximise


@cache
def log_of(name: str) -> MadeLog:
    return make_log(name, ragged=True)


@cache
def fitted(name: str) -> SlotModel:
    return MADE[name][0]().fit(log_of(name).sessions)


def all_clicks(k: int) -> np.ndarray:
    return np.array(list(product([False, True], repeat=k)))


def enumerated(
    made: ClickParameters, attraction: np.ndarray, satisfaction: np.ndarray
) -> dict[tuple[bool, ...], float]:
    """P(clicks) of one list, by walking through all that can be hidden: who is examined, who satisfies."""
    k = len(attraction)
    found: dict[tuple[bool, ...], float] = {}
    for examined in product([False, True], repeat=k):
        for clicks in product([False, True], repeat=k):
            for pleased in product([False, True], repeat=k):
                chance, last, goes = 1.0, 0, 1.0
                for j in range(k):
                    looks = {"pbm": made.examination[j, 0], "ubm": made.examination[j, last]}.get(made.name, goes)
                    chance *= looks if examined[j] else 1 - looks
                    draws = attraction[j] if examined[j] else 0.0
                    chance *= draws if clicks[j] else 1 - draws
                    chance *= satisfaction[j] if pleased[j] else 1 - satisfaction[j]
                    if not examined[j]:
                        goes = 0.0
                    elif not clicks[j]:
                        goes = made.after_skip[j]
                    else:
                        goes = made.after_click[j] * (float(not pleased[j]) if made.name == "dbn" else 1.0)
                    last = j + 1 if clicks[j] else last
                found[clicks] = found.get(clicks, 0.0) + chance
    return found


@pytest.mark.parametrize("name", NAMES)
def test_probabilities_are_those_of_the_definition(name: str) -> None:
    model, k = fitted(name), 4
    items = np.array([[3, 11, 0, 7]])
    clicks = all_clicks(k)
    lists = np.repeat(items, len(clicks), axis=0)
    made = model.parameters_[0]
    known = enumerated(made, model.attraction_[items[0]], model.satisfaction_[items[0]])
    truth = np.array([known.get(tuple(row), 0.0) for row in clicks.tolist()])
    conditional = model.conditional(lists, clicks)
    assert np.prod(np.where(clicks, conditional, 1 - conditional), axis=1) == pytest.approx(truth, abs=1e-12)
    assert truth.sum() == pytest.approx(1)
    assert model.click_probabilities(items)[0] == pytest.approx(truth @ clicks, abs=1e-12)
    possible = truth > 1e-9
    assert model.log_likelihood(lists, clicks)[possible] == pytest.approx(np.log(truth[possible]), rel=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_simulated_clicks_have_the_stated_probabilities(name: str) -> None:
    model = fitted(name)
    items = np.repeat([[5, 2, 9, 30, 1, 44]], 40_000, axis=0)
    clicks = model.simulate(items, 3)
    assert np.array_equal(clicks, model.simulate(items, 3)) and not np.array_equal(clicks, model.simulate(items, 4))
    chance = model.click_probabilities(items[:1])[0]
    assert (np.abs(clicks.mean(axis=0) - chance) < 4.5 * np.sqrt(chance * (1 - chance) / len(items))).all()
    # pairs too: what the models differ in is how clicks hang together
    after = clicks[clicks[:, 0], 1].mean()
    known = enumerated(model.parameters_[0], model.attraction_[items[0, :2]], model.satisfaction_[items[0, :2]])
    exact = known.get((True, True), 0.0) / chance[0]
    assert abs(after - exact) < 4.5 * np.sqrt(max(exact * (1 - exact), 1e-9) / clicks[:, 0].sum())


@pytest.mark.parametrize("name", NAMES)
def test_nothing_stands_below_the_end_of_a_list(name: str) -> None:
    model = fitted(name)
    items = np.array([[1, 2, -1], [4, -1, -1], [7, 8, 9]])
    clicks = model.simulate(items, 0)
    assert not clicks[items < 0].any()
    marginal = model.click_probabilities(items), model.examination_probabilities(items)
    for values in (*marginal, model.conditional(items, clicks)):
        assert np.array_equal(np.isnan(values), items < 0)
    alone = model.log_likelihood(np.array([[4]]), clicks[1:2, :1])
    assert model.log_likelihood(items, clicks)[1] == pytest.approx(alone[0])


@pytest.mark.parametrize("name", NAMES)
def test_parameters_are_recovered(name: str) -> None:
    made, model = log_of(name), fitted(name)
    assert model.converged_
    z = [(model.attraction_ - made.attraction) / model.attraction_error_]
    if name == "dbn":
        z.append((model.satisfaction_ - made.satisfaction) / model.satisfaction_error_)
    learnt = model.slot_errors_ > 0
    z.append((model.slot_values_[learnt] - made.slots[learnt]) / model.slot_errors_[learnt])
    every = np.concatenate(z)
    assert np.abs(every).max() < 3.9  # two-sided 1% over about 120 parameters
    assert (np.abs(every) < 1.96).mean() >= 0.88
    # an error far too large would pass the bounds above
    assert 0.7 < np.sqrt(np.square(every).mean()) < 1.3


@pytest.mark.parametrize("name", NAMES)
def test_the_fit_is_the_best_there_is(name: str) -> None:
    """A general optimiser that knows only the likelihood and the prior finds the same place."""
    made = make_log(name, lists=1_500, keys=8, k=4, seed=5, ragged=True)
    model = MADE[name][0](prior_strength=3.0).fit(made.sessions)
    evidence = model._evidence(made.sessions)
    free = ~evidence.fixed
    n, n_sat = 8, 8 if name == "dbn" else 0
    priors = [model.priors_["attraction"], model.priors_.get("satisfaction")]

    def theta_of(x: np.ndarray) -> Theta:
        slots = evidence.start()
        slots[free] = expit(x[n + n_sat:])
        return Theta(expit(x[:n]), expit(x[n:n + n_sat]), slots)

    def worse(x: np.ndarray) -> float:
        theta = theta_of(x)
        value = evidence.expect(theta).log_likelihood + priors[0].log(theta.attraction)
        value += Prior(0.5, 1.0).log(theta.slots[free])
        return -value - (priors[1].log(theta.satisfaction) if n_sat else 0.0)

    satisfaction = model.satisfaction_[:n_sat]
    here = logit(np.concatenate([model.attraction_, satisfaction, model.slot_values_[free]]))
    away = minimize(worse, here + np.random.default_rng(1).normal(0, 0.3, len(here)), method="L-BFGS-B")
    assert worse(here) <= away.fun + 1e-3
    slope = approx_fprime(here, worse, 1e-6)
    assert np.abs(slope).max() < 0.15


@pytest.mark.parametrize("name", NAMES)
def test_scores_are_the_derivative_of_the_likelihood(name: str) -> None:
    made = make_log(name, lists=300, keys=8, k=4, seed=7, ragged=True)
    model = MADE[name][0]()
    evidence = model._evidence(made.sessions)
    rng = np.random.default_rng(2)
    n_sat = 8 if name == "dbn" else 0
    slots = np.where(evidence.fixed, 1.0, rng.uniform(0.3, 0.9, len(evidence.fixed)))
    x = np.concatenate([rng.uniform(0.1, 0.6, 8 + n_sat), slots])

    def value(x: np.ndarray) -> float:
        return evidence.expect(Theta(x[:8], x[8:8 + n_sat], x[8 + n_sat:])).log_likelihood

    scores = evidence.scores(Theta(x[:8], x[8:8 + n_sat], x[8 + n_sat:]))
    if name in ("pbm", "ubm"):  # rows stand for counts, each times the root of its count
        weight = np.sqrt(np.concatenate([evidence.clicked, evidence.skipped]))
        total = scores.T @ weight
    else:
        total = np.asarray(scores.sum(axis=0))
    free = np.concatenate([np.ones(8 + n_sat, dtype=bool), ~evidence.fixed])
    assert total[free] == pytest.approx(approx_fprime(x, value, 1e-7)[free], rel=1e-3, abs=0.05)


@pytest.mark.parametrize("name", NAMES)
def test_acceleration_ends_where_plain_em_does(name: str) -> None:
    made = make_log(name, lists=3_000, keys=10, k=4, seed=3)
    model = MADE[name][0](prior_strength=2.0).fit(made.sessions)
    evidence = model._evidence(made.sessions)
    attraction = model.priors_["attraction"]
    satisfaction = model.priors_.get("satisfaction", Prior(0.5, 1.0))
    theta = Theta(np.full(10, 0.3), np.full(10 if name == "dbn" else 0, 0.5), evidence.start())
    for _ in range(3_000 if name in ("pbm", "ubm") else 300):
        counts = evidence.expect(theta)
        slots = np.where(evidence.fixed, theta.slots, Prior(0.5, 1.0).best(counts.slots))
        pleased = satisfaction.best(counts.satisfaction) if name == "dbn" else theta.satisfaction
        theta = Theta(attraction.best(counts.attraction), pleased, slots)
    assert model.attraction_ == pytest.approx(theta.attraction, abs=2e-3)
    assert model.slot_values_ == pytest.approx(theta.slots, abs=4e-3)
    best = maximise(evidence, theta, attraction, satisfaction, tolerance=1e-9, max_rounds=50)
    assert best.theta.attraction == pytest.approx(theta.attraction, abs=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_a_warm_start_keeps_the_place(name: str) -> None:
    model, sessions = fitted(name), log_of(name).sessions
    again = MADE[name][0]().fit(sessions, start=model)
    assert again.rounds_ <= 0.7 * model.rounds_
    assert again.attraction_ == pytest.approx(model.attraction_, abs=1e-3)
    other = "cm" if name != "cm" else "dcm"
    with pytest.raises(ConfigError, match="start is a"):
        MADE[name][0]().fit(sessions, start=fitted(other))


@pytest.mark.parametrize("name", NAMES)
def test_what_cannot_be_fitted_is_refused(name: str) -> None:
    model, sessions = MADE[name][0], log_of(name).sessions
    quiet = sessions.rows(~sessions.clicks.any(axis=1))
    with pytest.raises(TableError, match=r"none of the .* impressions was clicked"):
        model().fit(quiet)
    first = sessions.rows(sessions.clicks[:, 0] & (sessions.shown.sum(axis=1) == 1))
    with pytest.raises(TableError, match="every one of the"):
        model().fit(first)
    with pytest.raises(TableError, match="1 list is too few"):
        model().fit(sessions.rows(np.arange(len(sessions)) == 4))
    with pytest.raises(ConfigError, match="is not fitted"):
        model().estimates()
    with pytest.raises(ConfigError, match="prior_strength is 0"):
        model(prior_strength=0.0)
    with pytest.raises(TableError, match="was fitted on 6"):
        fitted(name).click_probabilities(np.zeros((2, 7), dtype=np.int64))


@pytest.mark.parametrize("name", NAMES)
def test_unknown_keys_have_the_mean_attraction(name: str) -> None:
    model = fitted(name)
    chance = model.click_probabilities(np.array([[60], [10_000]]))
    assert (chance == model.priors_["attraction"].mean).all()


def test_few_rounds_are_said_to_be_too_few(caplog: pytest.LogCaptureFixture) -> None:
    model = MADE["pbm"][0](max_rounds=3).fit(log_of("pbm").sessions)
    assert not model.converged_ and "NOT converged" in str(model)
    assert "had not converged" in caplog.text


def test_items_that_never_move_are_refused_or_said() -> None:
    made = make_log("pbm", lists=400, keys=6).sessions
    still = np.tile(np.arange(6, dtype=np.int32), (400, 1))
    stuck = replace(made, items=still)
    for name in ("pbm", "ubm"):
        with pytest.raises(TableError, match="every item is always at the same rank"):
            MADE[name][0]().fit(stuck)
    for name in ("cm", "dcm", "dbn"):
        MADE[name][0]().fit(stuck)
    # the first three change places, the last three change places, never across
    still[::2] = [1, 2, 0, 5, 3, 4]
    model = MADE["pbm"][0]().fit(replace(made, items=still))
    assert "no item links rank 4, 5, 6 with rank 1" in str(model)
    assert np.isnan(model.slot_errors_[3:]).all() and (model.slot_errors_[1:3] > 0).all()
    # eight lists of other items, which change places, beside 392 of items that do not
    still[:] = np.arange(6)
    still[:8] = [np.roll(np.arange(6, 12), n) for n in range(8)]
    twelve = pd.DataFrame({"item_id": [f"i{n:02d}" for n in range(12)]})
    model = MADE["pbm"][0]().fit(replace(made, items=still, keys=twelve))
    assert "only 2.0% of the impressions are of items seen at several ranks" in str(model)
    assert (model.slot_errors_[1:] > 0).all()


def test_the_closed_form_of_dcm_is_too_low_and_em_is_not() -> None:
    """Guo et al. take the last click for the end of the reading."""
    made = log_of("dcm")
    plain, model = closed_form(made.sessions), fitted("dcm")
    error = np.abs(model.slot_values_ - made.slots)
    assert (plain[:-1] < made.slots[:-1] - 5 * model.slot_errors_[:-1]).all()
    assert (error[:-1] < 3.5 * model.slot_errors_[:-1]).all()
    assert np.isnan(model.slot_errors_[-1])


def test_the_prior_is_learnt_from_how_keys_differ() -> None:
    prior = fitted("cm").priors_["attraction"]
    assert prior.mean == pytest.approx(0.25, abs=0.04) and 8 < prior.strength < 18  # drawn from Beta(3, 9)
    assert Prior.from_counts(np.array([1.0, 0.0]), np.array([4.0, 3.0]), 0.5) == Prior(1 / 7, 0.5)
    rng = np.random.default_rng(0)
    trials = rng.integers(20, 200, 400).astype(float)
    alike = Prior.from_counts(rng.binomial(trials.astype(int), 0.1).astype(float), trials, 0.5)
    assert alike.mean == pytest.approx(0.1, abs=0.01) and alike.strength > 500


def test_surfaces_have_curves_of_their_own() -> None:
    one, two = make_log("pbm", lists=8_000, seed=1), make_log("dcm", lists=8_000, seed=2)
    both = replace(
        one.sessions, items=np.concatenate([one.sessions.items, two.sessions.items + 60]),
        clicks=np.concatenate([one.sessions.clicks, two.sessions.clicks]),
        surface=np.repeat([0, 1], 8_000), surfaces=("home", "mail"),
        keys=one.sessions.keys.loc[one.sessions.keys.index.repeat(2)].reset_index(drop=True),
        requests=one.sessions.requests.append(two.sessions.requests + "b"),
    )
    for name in ("pbm", "dcm", "ubm", "dbn", "cm"):
        model = MADE[name][0](prior_strength=5.0).fit(both)
        alone = MADE[name][0](prior_strength=5.0).fit(one.sessions)
        half = len(model.slot_values_) // 2
        # only the prior's mean is shared
        assert model.slot_values_[:half] == pytest.approx(alone.slot_values_, abs=0.02)
        assert set(model.estimates()["surface"]) <= {"home", "mail"}
        with pytest.raises(TableError, match="has surfaces home, mail"):
            model.click_probabilities(both.items)
        assert model.click_probabilities(both.items, surface=both.surface).shape == both.items.shape


@pytest.mark.parametrize("name", NAMES)
def test_errors_of_many_parameters_are_those_of_few(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Above a size slots are solved for by conjugate gradients, and what keys share with other keys is left out."""
    whole = fitted(name)
    monkeypatch.setattr("ltexpo.simulate.clicks.information._DENSE", 5)
    parts = MADE[name][0]().fit(log_of(name).sessions, start=whole)
    assert parts.slot_errors_ == pytest.approx(whole.slot_errors_, rel=0.01, nan_ok=True)
    assert parts.slot_covariance_ == pytest.approx(whole.slot_covariance_, rel=0.05, abs=1e-6, nan_ok=True)
    assert parts.attraction_error_ == pytest.approx(whole.attraction_error_, rel=0.02)
    assert parts.satisfaction_error_ == pytest.approx(whole.satisfaction_error_, rel=0.1)
