"""The linear program's optimum beside a job's own answer."""

import numpy as np
import pandas as pd
import pytest

from ltexpo.errors import ConfigError
from ltexpo.rerank import Goal, GuardrailSettings, RerankSettings, check, rerank

ITEMS = pd.DataFrame({
    "item_id": list("abcdef"), "title": list("ABCDEF"), "tier": ["head", "head", "head", "tail", "tail", "new"],
})


def job(**options: object) -> RerankSettings:
    rails = GuardrailSettings(min_score_ratio=None)
    return RerankSettings.model_validate(
        {"k": 3, "exact": True, "goals": (Goal(group="tail", min_share=0.25),), "guardrails": rails} | options
    )


def candidates(n: int = 200) -> pd.DataFrame:
    return pd.DataFrame({
        "request_id": np.repeat([f"r{i:03d}" for i in range(n)], 6), "item_id": list("abcdef") * n,
        "score": np.random.default_rng(0).beta(2, 18, 6 * n) * np.tile([1, 1, 1, 0.5, 0.5, 0.5], n),
    })


def test_the_optimum_stands_between_the_lists_and_their_bound():
    plain = rerank(candidates(), ITEMS, job(exact=False))
    result = rerank(candidates(), ITEMS, job())
    pd.testing.assert_frame_equal(result.rankings, plain.rankings)
    found = result.certificate.to_dict()
    assert found["clicks_after"] * (1 - 1e-9) <= found["exact_optimum"] <= found["upper_bound"] * (1 + 1e-6)
    assert found["exact_gap"] == pytest.approx(1 - found["clicks_after"] / found["exact_optimum"], abs=1e-12)
    assert found["exact_gap"] < 0.01
    assert f"linear program: {found['exact_optimum']:,.1f}" in str(result.certificate)
    assert "exact_optimum" not in plain.certificate.to_dict()


def test_one_list_worked_by_hand():
    # d must stand in slot 2 with probability 0.25 × 2.131 / 0.631 = 0.844, or more below: the program mixes lists
    one = pd.DataFrame({"request_id": "r", "item_id": list("abd"), "score": [0.5, 0.4, 0.3]})
    found = rerank(one, ITEMS, job()).certificate.to_dict()
    assert found["clicks_after"] < found["exact_optimum"] < found["clicks_before"]
    share = 0.25 * (1.5 + 1 / np.log2(3))
    mixed = (share - 0.5) / (1 / np.log2(3) - 0.5)
    below, above = 0.5 + 0.4 / np.log2(3) + 0.15, 0.5 + 0.3 / np.log2(3) + 0.2
    assert found["exact_optimum"] == pytest.approx(below + mixed * (above - below), rel=1e-6)


def test_goals_out_of_reach_have_no_optimum():
    goals = (Goal(group="tail", max_share=0.1), Goal(group="tail", min_share=0.5))
    found = rerank(candidates(20), ITEMS, job(goals=goals, elastic=True)).certificate.to_dict()
    assert (found["exact_optimum"], found["exact_gap"], found["feasible"]) == (None, None, False)


def test_too_large_a_program_is_refused_with_its_size(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(check, "MOST_VARIABLES", 3_599)
    with pytest.raises(ConfigError, match=r"3,600 variables \(1,200 candidates × k = 3\), more than 3,599"):
        rerank(candidates(), ITEMS, job())
