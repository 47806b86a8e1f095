"""The report judges what it says it judges, and its card holds what was measured."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

pytest.importorskip("torch", reason="extra 'model' is not installed")

from tiny_ranking import tiny_settings

from ltexpo.columns import Columns, EventKind, Tier
from ltexpo.data.synthetic import Shop
from ltexpo.encoders.item_vectors import Content
from ltexpo.ranking.model import Model, ModelSettings
from ltexpo.ranking.model_card import model_card
from ltexpo.ranking.train_report import TrainReport, train_report


@pytest.fixture(scope="module", params=[20, 10**6], ids=["clicks", "taken"])
def trained(request: pytest.FixtureRequest, shop: Shop, content: Content) -> tuple[Model, TrainReport]:
    settings = ModelSettings.model_validate(tiny_settings(min_clicks=request.param, validation_k=5))
    model = Model(settings).fit(shop.dataset, content, rng=0)
    return model, train_report(model, shop.dataset)


def _naive_map(model: Model, scores: list[np.ndarray], tier: str) -> tuple[float, int]:
    """MAP at 5 over users' days, one list at a time."""
    found = []
    for day, score in zip(model.label_days_, scores, strict=True):
        taken = day.wanted.toarray() > 0
        for user in range(len(day.user_ids)):
            wanted = {item for item in np.flatnonzero(taken[user]) if tier in ("all", day.tier[item])}
            if not wanted:
                continue
            rows = np.flatnonzero(day.candidates.user == user)
            best = sorted(rows, key=lambda row: (-score[row], day.candidates.item[row]))[:5]
            hits = [day.candidates.item[row] in wanted for row in best]
            precision = [sum(hits[: at + 1]) / (at + 1) for at, hit in enumerate(hits) if hit]
            found.append(sum(precision) / min(len(wanted), 5))
    return float(np.mean(found)), len(found)


@pytest.mark.parametrize("tier", ["all", "head", "tail", "new"])
def test_map_is_that_of_the_naive_loop(trained: tuple[Model, TrainReport], tier: str):
    model, report = trained
    row = report.measures.set_index(["metric", "tier"]).loc[("map@5", tier)]
    blend = [day.candidates.features["s_blend"].to_numpy(dtype=float) for day in model.label_days_]
    assert (row["blend"], row["n"]) == pytest.approx(_naive_map(model, blend, tier))
    assert row["model"] == pytest.approx(_naive_map(model, model.ranker_.unseen_, tier)[0])
    assert row["value"] == pytest.approx(row["model"] - row["blend"])
    assert row["low"] <= row["value"] <= row["high"] and row["model_low"] <= row["model"] <= row["model_high"]


def test_auc_is_there_where_impressions_are(trained: tuple[Model, TrainReport]):
    model, report = trained
    rows = report.measures[report.measures["metric"] == "auc"].set_index("tier")
    assert report.shown == (len(rows) > 0)
    if not report.shown:
        return
    outcome = np.concatenate([day.outcome for day in model.label_days_])
    weight = np.where(outcome > 0, 1, np.concatenate([day.examined for day in model.label_days_]))
    expected = roc_auc_score(outcome, np.concatenate(model.ranker_.unseen_), sample_weight=weight)
    assert rows.loc["all", "model"] == pytest.approx(expected)


def test_calibration_counts_every_row_once(shop: Shop, trained: tuple[Model, TrainReport]):
    model, report = trained
    table = report.calibration
    outcome = np.concatenate([day.outcome for day in model.label_days_])
    assert table["n"].sum() == len(outcome) == report.rows
    examined = [np.ones(len(day.outcome)) if day.examined is None else day.examined for day in model.label_days_]
    looks, weight = np.concatenate(examined), np.ones(len(outcome))
    assert report.weighted == (model.label_days_[0].propensity is not None)
    if report.weighted:
        shown = np.concatenate([day.propensity for day in model.label_days_])
        weight = 1 / np.maximum(shown, np.median(shown) / 10)
    predicted = np.concatenate(model.ranker_.unseen_)
    share = table["weight"].to_numpy()
    assert share @ table["observed"] == pytest.approx((weight @ outcome) / (weight @ looks))
    assert share @ table["predicted"] == pytest.approx((weight * looks) @ predicted / (weight @ looks))
    assert table["interactions_low"].iloc[0] == 0
    # The first decile holds the rows of products that nobody had taken before the day.
    events = shop.dataset.events
    acted = events[events[Columns.Event] != EventKind.Impression]
    ids = np.sort(shop.dataset.items[Columns.Item].to_numpy())
    new = sum(
        int((~pd.Series(ids[day.candidates.item]).isin(
            acted.loc[acted[Columns.Timestamp] < day.day, Columns.Item])).sum()) for day in model.label_days_
    )
    assert table["interactions_high"].iloc[0] == 0 and table["n"].iloc[0] == new


def test_it_prints_a_page_and_a_card(
    shop: Shop, content: Content, trained: tuple[Model, TrainReport]
):
    model, report = trained
    lines = str(report).splitlines()
    assert len(lines) <= 12 and max(map(len, lines)) <= 100
    card = model_card(model, report, shop.dataset, content, seed=3)
    there = int(content["image"][1].sum())
    assert f"vectors `image`, 6 wide: {there} products have them, {300 - there} do not" in card
    assert str(model.settings.tail) in card
    counted = model.settings.tail.assign(shop.dataset.items, shop.dataset.events)
    unseen = int(((counted[Columns.Tier] == Tier.New).to_numpy() & ~content["image"][1]).sum())
    assert unseen and f"- {unseen} new products have no vector of any kind" in card
    assert "continued" not in card
    assert model.ranker_.means[1:] in card
    assert f"{report.measures['model'].iloc[0]:.4f}" in card
    assert "ltexpo recommend --data DATA --model THIS_FOLDER --vectors VECTORS --out OUT" in card
    assert "seed 3" in card and "nan" not in card
    assert ("log2" in card) == report.shown
    carries = card.split("## What carries it")[1].splitlines()
    gains = [line.split("|")[1:-1] for line in carries if line.startswith("| ")]
    for column in range(1, len(gains[0])):
        shares = [float(row[column].strip().rstrip("%")) for row in gains[2:]]
        assert sum(shares) == pytest.approx(100, abs=0.5)
    own = model_card(model, report, shop.dataset, content, seed=3, own_words=True)
    assert "--vectors" not in own and "TF-IDF" in own
