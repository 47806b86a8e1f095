"""From repeated impressions alone: how far single chances lie from their scores."""

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit, logit

from ltexpo.metrics.calibration import score_interval
from ltexpo.metrics.logit_normal import location, std
from ltexpo.ranking.rolling import Looks
from ltexpo.ranking.spread import MIN_CLICKS, Repeats, Spread, fit_spread


def _made(
    tau: float, seed: int, *, pairs: int = 12_000, tier: str = "head", shown_again_after_click: bool = False
) -> tuple[Repeats, np.ndarray]:
    """Impressions of pairs with known chances, which are logit-normal with mean score."""
    rng = np.random.default_rng(seed)
    score = expit(rng.normal(-1.8, 0.6, pairs))
    chance = expit(location(score, tau) + tau * rng.standard_normal(pairs))
    examined = rng.choice([1.0, 0.63, 0.5, 0.43], (pairs, 3))
    clicked = rng.random((pairs, 3)) < examined * chance[:, None]
    shown = np.ones((pairs, 3), dtype=bool)
    shown[:, 2] = rng.random(pairs) < 0.5
    if shown_again_after_click:  # what was clicked is shown again, the rest rarely
        shown[:, 1] = clicked[:, 0] | (rng.random(pairs) < 0.2)
        shown[:, 2] = shown[:, 1] & (clicked[:, 1] | (rng.random(pairs) < 0.2))
    kept = np.flatnonzero(shown.sum(axis=1) > 1)
    row, column = np.nonzero(shown[kept])
    repeats = Repeats(
        score[kept], np.full(len(kept), tier, dtype=object), kept // 6, row, examined[kept][row, column],
        clicked[kept][row, column],
    )
    return repeats, chance[kept]


@pytest.mark.parametrize("again", [False, True])
@pytest.mark.parametrize("tau", [0.6, 1.2, 1.8])
def test_a_known_spread_is_found_within_its_error(tau: float, again: bool):
    off = []
    for seed in range(4):
        found = fit_spread(_made(tau, seed, pairs=5000, shown_again_after_click=again)[0])
        assert found is not None
        off.append((found.tau - tau) / found.error)
        assert found.tau == pytest.approx(tau, abs=4 * found.error)
        assert found.error < 0.45
    assert abs(np.mean(off)) < 2  # four standard errors of a mean of four


def test_intervals_cover():
    for tau, seed in ((0.8, 0), (1.3, 1)):
        made, chance = _made(tau, seed, pairs=10_000)
        found = fit_spread(made)
        assert found is not None
        low, high = score_interval(made.score, found.std(made.score, made.tier))
        assert 0.86 < ((low <= chance) & (chance <= high)).mean() < 0.94


def test_what_is_told_is_wider_where_tau_is_less_sure():
    sure, unsure = (Spread(1.0, error, {}, 1000, 500) for error in (0.0, 0.3))
    here = np.array(["head"], dtype=object)
    assert sure.std([0.2], here)[0] == pytest.approx(std(np.array([0.2]), 1.0)[0])
    assert unsure.std([0.2], here)[0] == pytest.approx(std(np.array([0.2]), np.exp(0.09))[0])


def test_the_error_is_about_the_scatter_of_the_estimate():
    found = [fit_spread(_made(1.2, seed, pairs=4000)[0]) for seed in range(16)]
    taus, errors = (np.array([getattr(one, name) for one in found]) for name in ("tau", "error"))
    assert np.std(taus, ddof=1) == pytest.approx(errors.mean(), rel=0.45)


def test_scores_that_are_off_as_a_mean_are_not_taken_for_spread():
    made, _ = _made(0.8, 3, pairs=8000)
    right = fit_spread(made)
    off = Repeats(expit(0.6 * logit(made.score) - 1.2), *list(vars(made).values())[1:])
    wrong = fit_spread(off)
    assert right is not None and wrong is not None
    assert wrong.tau == pytest.approx(right.tau, abs=right.error)


def test_a_tier_has_its_own_where_it_has_enough_clicks():
    head, _ = _made(0.7, 0, pairs=8000)
    tail, _ = _made(1.6, 1, pairs=8000, tier="tail")
    few, _ = _made(3.0, 2, pairs=300, tier="new")
    parts, at = (head, tail, few), np.cumsum([0, len(head.score), len(tail.score)])
    together = Repeats(
        *(np.concatenate([getattr(one, name) for one in parts]) for name in ("score", "tier", "user")),
        np.concatenate([one.pair + start for one, start in zip(parts, at, strict=True)]),
        *(np.concatenate([getattr(one, name) for one in parts]) for name in ("examined", "clicked")),
    )
    assert few.clicks < MIN_CLICKS
    found = fit_spread(together)
    assert found is not None
    assert set(found.tiers) == {"head", "tail"}
    assert found.tiers["head"] < found.tau < found.tiers["tail"]
    told = found.std([0.1, 0.1, 0.1], np.array(["head", "tail", "new"], dtype=object))
    assert told[0] < told[2] < told[1]


def test_too_few_clicks_say_nothing():
    made, _ = _made(1.2, 0, pairs=20_000)
    assert fit_spread(made) is not None
    made, _ = _made(1.2, 0, pairs=400)
    assert 0 < made.clicks < MIN_CLICKS
    assert fit_spread(made) is None


def test_it_survives_being_written():
    found = fit_spread(_made(1.2, 0)[0])
    assert found is not None
    found = replace(found, excess={"new": 0.3})
    assert Spread(**json.loads(json.dumps(found.record()))) == found


def test_pairs_shown_again_by_hand():
    def day(users: list[str], user: list[int], item: list[int], row: list[int], clicked: list[int]) -> SimpleNamespace:
        looks = Looks(np.array(row), np.linspace(0.1, 0.5, len(row)), np.array(clicked, dtype=bool))
        return SimpleNamespace(
            user_ids=pd.Index(users), queries=None, tier=np.array(["head", "tail", "new"], dtype=object), looks=looks,
            candidates=SimpleNamespace(user=np.array(user), item=np.array(item)),
        )

    days = [
        # ann sees 0 twice (a click the second time) and 2 once, bob sees 1
        day(["ann", "bob"], [0, 0, 1], [0, 2, 1], [0, 0, 1, 2], [0, 1, 0, 0]),
        # bob sees 1 again and clicks, and 2; cat sees 0 once
        day(["bob", "cat"], [0, 0, 1], [1, 2, 0], [0, 1, 2], [1, 0, 0]),
    ]
    found = Repeats.of(days, [np.array([0.1, 0.2, 0.3]), np.array([0.9, 0.4, 0.5])])  # type: ignore[arg-type]
    # The score of the first day stands for both.
    assert found.score.tolist() == [0.1, 0.3]
    assert found.tier.tolist() == ["head", "tail"]
    assert found.user.tolist() == [0, 1]
    assert found.pair.tolist() == [0, 0, 1, 1]
    assert found.clicked.tolist() == [False, True, False, True]
    assert found.examined == pytest.approx([0.1, 0.1 + 0.4 / 3, 0.5, 0.1])
    assert found.where(np.array([False, True])).pair.tolist() == [0, 0]
    assert found.clicks == 2
