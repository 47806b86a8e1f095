"""The score is the mean booster's, its standard error that of the delete-a-group jackknife."""

import numpy as np
import pytest
from scipy.special import expit, logit

from ltexpo.ranking.scores import Scores


def test_by_hand():
    raw = logit(np.array([[0.2, 0.5], [0.4, 0.5], [0.6, 0.5]]))
    found = Scores.of(expit, raw)
    assert found.score == pytest.approx(expit(raw.mean(axis=0)))
    # √(2/3 · (0.2² + 0 + 0.2²)) and no spread at all.
    assert found.std == pytest.approx([np.sqrt(2 / 3 * 0.08), 0.0])


def test_it_is_about_the_error_of_an_estimate_from_other_users():
    # Each user brings one coin flip of their own chance; the model is the share of heads, and a booster leaves out a
    # fifth of the users.
    rng = np.random.default_rng(0)
    users, bags, told, made = 400, 5, [], []
    for _ in range(500):
        heads = rng.random(users) < rng.beta(2, 6, size=users)
        fold = rng.permutation(users) % bags
        raw = np.array([[logit(heads[fold != bag].mean())] for bag in range(bags)])
        found = Scores.of(expit, raw)
        told.append(found.std[0])
        made.append(found.score[0])
    assert np.sqrt(np.mean(np.square(told))) == pytest.approx(np.std(made), rel=0.12)
