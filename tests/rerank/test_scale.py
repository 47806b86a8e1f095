"""What a score stands for: mapped as its kind says, fitted on clicks, and doubted where lists do not compare."""

import json
import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.special import logit

from ltexpo.data.tables import write_frame
from ltexpo.errors import InputError, TableError
from ltexpo.metrics.attention import attention_weights
from ltexpo.rerank import ExposureReranker, Goal, GuardrailSettings, RerankSettings, frontier, rerank
from ltexpo.rerank.encode import encode
from ltexpo.rerank.scale import score_scale

FREE = GuardrailSettings(min_score_ratio=None)
JOB = RerankSettings(k=5, guardrails=FREE, goals=(Goal(group="tail", min_share=0.3),))


def shop(n_lists: int = 200, seed: int = 0) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Candidates with good scores: P(click | examined)."""
    rng = np.random.default_rng(seed)
    ids = np.array([f"i{n:02d}" for n in range(30)])
    items = pd.DataFrame({"item_id": ids, "title": ids, "tier": np.where(np.arange(30) < 10, "head", "tail")})
    drawn = np.concatenate([rng.choice(30, 12, replace=False) for _ in range(n_lists)])
    return pd.DataFrame({
        "request_id": np.repeat([f"r{n:04d}" for n in range(n_lists)], 12), "item_id": ids[drawn],
        "score": rng.beta(1.5, 12, len(drawn)),
    }), items


def log_of(candidates: pd.DataFrame, truth: np.ndarray, *, rng: int = 0) -> pd.DataFrame:
    """Impressions of every candidate at a random rank, and the clicks that the position-based model gives them."""
    generator = np.random.default_rng(rng)
    rank = generator.integers(1, 11, len(candidates))
    clicked = generator.random(len(candidates)) < truth * attention_weights("log2", 10)[rank - 1]
    shown = candidates[["request_id", "item_id"]].assign(event="impression", rank=rank)
    return pd.concat([shown, shown[clicked].assign(event="click")], ignore_index=True)


def test_every_kind_is_stated_and_mapped():
    candidates, items = shop()
    as_logit = candidates.assign(score=logit(candidates["score"]))
    plain = rerank(candidates, items, JOB)
    mapped = rerank(as_logit, items, JOB.model_copy(update={"score_kind": "logit"}))
    relevant = rerank(candidates, items, JOB.model_copy(update={"score_kind": "relevance"}))
    words = [result.certificate.facts["scores"] for result in (plain, mapped, relevant)]
    assert words == [
        "probabilities, as given", "logistic of the logit", "relevance, as given: its unit stands for a click",
    ]
    assert mapped.certificate.clicks_before == pytest.approx(plain.certificate.clicks_before)
    assert not any(result.certificate.facts["score_warnings"] for result in (plain, mapped, relevant))


@pytest.mark.parametrize("kind", ["probability", "logit", "relevance"])
def test_clicks_recover_the_probabilities_behind_distorted_scores(kind: str):
    candidates, items = shop(3_000)
    truth = candidates["score"].to_numpy()
    # any rising distortion keeps the order and loses the scale
    distorted = {"probability": np.sqrt(truth), "logit": 3 * logit(truth) + 5, "relevance": 40 * truth**2}[kind]
    scored = candidates.assign(score=distorted)
    job = JOB.model_copy(update={"score_kind": kind})
    clicks = log_of(candidates, truth)
    fitted = ExposureReranker(job).fit(scored, items=items, clicks=clicks)
    found = fitted.fitted_.rankings.merge(candidates, on=["request_id", "item_id"], suffixes=("", "_true"))
    assert np.abs(found["score"] - found["score_true"]).mean() < 0.02
    raw = rerank(scored, items, job).certificate.clicks_before
    true = rerank(candidates, items, JOB).certificate.clicks_before
    calibrated = fitted.fitted_.certificate.clicks_before
    assert abs(calibrated / true - 1) < 0.05 < abs(raw / true - 1)
    n_clicks = int((clicks["event"] == "click").sum())
    assert fitted.fitted_.certificate.facts["scores"] == (
        f"isotonic map fitted on {n_clicks:,} clicks of 36,000 impressions (36,000 were logged), "
        "each weighted by the attention at its rank (log2)"
    )
    # the map is kept for other lists
    again = fitted.rerank(scored.head(1_200), items=items)
    assert again.certificate.facts["scores"] == fitted.fitted_.certificate.facts["scores"]
    assert again.rankings["score"].max() < 1


def test_forgetting_the_rank_would_make_the_scores_too_low():
    candidates, _ = shop(2_000)
    truth = candidates["score"].to_numpy()
    clicks = log_of(candidates, truth)
    right = score_scale(candidates, JOB, clicks=clicks)
    blind = score_scale(candidates, JOB, clicks=clicks.drop(columns="rank"))
    assert right(truth).mean() == pytest.approx(truth.mean(), rel=0.05)
    assert blind(truth).mean() < 0.65 * truth.mean()
    assert "no rank was logged" in blind.words


def test_a_log_with_its_own_scores_calibrates_the_lists_of_another_day(tmp_path: Path):
    yesterday, items = shop(2_000, seed=1)
    truth = yesterday["score"].to_numpy()
    squared = yesterday.assign(score=yesterday["score"].pow(2))
    write_frame(log_of(yesterday, truth).merge(squared, on=["request_id", "item_id"]), tmp_path / "log.parquet")
    today, _ = shop(300, seed=2)
    today["request_id"] = "t" + today["request_id"]
    scored = today.assign(score=today["score"].pow(2))
    job = JOB.model_copy(update={"calibrate": tmp_path / "log.parquet"})
    result = rerank(scored, items, job)
    true = rerank(today, items, JOB).certificate.clicks_before
    assert result.certificate.clicks_before == pytest.approx(true, rel=0.06)
    assert "isotonic map fitted on" in result.certificate.facts["scores"]
    points = frontier(scored.assign(score_std=0.001), items, job, n_points=2)
    assert points.clicks_before == pytest.approx(result.certificate.clicks_before)
    assert (points.points["score_high"] > points.points["score_low"]).iloc[-1]  # at no loss there is nothing to doubt


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda log: log.assign(request_id="x" + log["request_id"]), "no pair of request_id and item_id matches"),
        (lambda log: log[log["event"] == "click"], "holds no impression"),
        (lambda log: log[log["event"] == "impression"], "none of .* usable impressions was clicked"),
        (lambda log: log.assign(score=np.nan), "none of 240 impressions has a score"),
        (lambda log: log.drop(columns="event"), "lacks 'event'"),
        (lambda log: log.assign(event="hug"), "not a known event"),
        (lambda log: log.assign(rank=0), "not a rank"),
        (lambda log: log.iloc[:0], "is empty"),
    ],
)
def test_logs_that_say_nothing_are_refused(change: Callable[[pd.DataFrame], pd.DataFrame], message: str):
    candidates, _ = shop(20)
    log = log_of(candidates, np.full(len(candidates), 0.5))
    with pytest.raises(InputError, match=message):
        score_scale(candidates, JOB, clicks=change(log))


def test_only_slots_that_a_table_of_attention_describes_are_used():
    candidates, _ = shop(200)
    log = log_of(candidates, np.full(len(candidates), 0.3))
    job = RerankSettings(k=3, attention=(0.9, 0.6, 0.4))
    shallow = int(((log["event"] == "impression") & (log["rank"] <= 3)).sum())
    words = score_scale(candidates, job, clicks=log).words
    assert f"of {shallow:,} impressions (2,400 were logged)" in words
    with pytest.raises(TableError, match="no impression stands in the first k = 3"):
        score_scale(candidates, job, clicks=log.assign(rank=9))


def normalised(scores: pd.DataFrame, how: str) -> pd.DataFrame:
    by_request = scores.groupby("request_id")["score"]
    if how == "min-max":
        low, high = by_request.transform("min"), by_request.transform("max")
        return scores.assign(score=(scores["score"] - low) / (high - low))
    if how == "softmax":
        return scores.assign(score=scores["score"] / by_request.transform("sum"))
    return scores.assign(score=(scores["score"] > 0.1).astype(float))


@pytest.mark.parametrize(
    ("how", "message"),
    [("min-max", "best score of nearly every request is 1"), ("softmax", "sum to 1"), ("labels", "exactly 0 or 1")],
)
def test_scores_that_do_not_compare_across_lists_are_doubted(
    how: str, message: str, caplog: pytest.LogCaptureFixture
):
    candidates, items = shop()
    scored = normalised(candidates, how)
    with caplog.at_level(logging.WARNING, logger="ltexpo"):
        certificate = rerank(scored, items, JOB).certificate
    assert any(message in warning for warning in certificate.facts["score_warnings"])
    assert any(message in record.getMessage() for record in caplog.records)
    assert message in str(certificate)
    assert json.loads(json.dumps(certificate.to_dict(), default=str))["score_warnings"]
    # relevance and calibrated scores are taken at their word
    relevance = JOB.model_copy(update={"score_kind": "relevance"})
    assert not rerank(scored, items, relevance).certificate.facts["score_warnings"]
    if how != "labels":
        log = log_of(candidates, candidates["score"].to_numpy())
        assert not rerank(scored, items, JOB, clicks=log).certificate.facts["score_warnings"]


def test_good_scores_are_not_doubted(caplog: pytest.LogCaptureFixture):
    candidates, items = shop()
    # a bestseller list: the same items with the same scores for everybody
    same = candidates[candidates["request_id"] == "r0000"]
    bestsellers = pd.concat([same.assign(request_id=f"r{n:03d}") for n in range(50)], ignore_index=True)
    rounded = candidates.assign(score=candidates["score"].round(1))
    few = normalised(candidates[candidates["request_id"] < "r0010"], "min-max")
    for scored in (candidates, bestsellers, rounded, few):
        encoded = encode(scored, items, JOB)
        assert not rerank(scored, items, JOB).certificate.facts["score_warnings"], encoded.scale
    assert not caplog.records
