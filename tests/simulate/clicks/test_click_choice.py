"""Perplexity, the choice among models, examination curves, and the verb that writes them."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from made_logs import NAMES, as_events, make_log

from ltexpo.cli import main
from ltexpo.data import Dataset
from ltexpo.errors import ConfigError, TableError
from ltexpo.metrics.attention import attention_weights
from ltexpo.simulate.clicks import (
    MODELS,
    Cascade,
    PositionBased,
    choose,
    examination,
    examination_by_propensity,
    perplexity,
)
from ltexpo.simulate.clicks.examination import file_name, never_rising


class Constant:
    """Says the same of every slot."""

    name = "constant"

    def __init__(self, chance: float) -> None:
        self.chance = chance

    def click_probabilities(self, items, *, surface=None):
        return np.where(items >= 0, self.chance, np.nan)

    def conditional(self, items, clicks, *, surface=None):
        return self.click_probabilities(items)


def test_perplexity_worked_by_hand() -> None:
    made = make_log("pbm", lists=50, k=2, ragged=True).sessions
    found = perplexity(Constant(0.5), made)
    assert found.table["perplexity"].to_numpy() == pytest.approx(2) and found.conditional == pytest.approx(2)
    assert found.table["rank"].tolist() == [0, 1, 2]
    shown, clicks = made.shown, made.clicks
    found = perplexity(Constant(0.2), made)
    for rank, slots in ((0, shown), (2, shown & [False, True])):
        share = clicks[slots].mean()
        expected = 2 ** -(share * np.log2(0.2) + (1 - share) * np.log2(0.8))
        line = found.table[found.table["rank"] == rank].iloc[0]
        assert line["perplexity"] == pytest.approx(expected) and line["impressions"] == slots.sum()
        assert line["low"] < expected < line["high"]
    # what cannot happen is counted at 1e-6
    surprised = 2 ** (clicks[shown].mean() * -np.log2(1e-6))
    assert perplexity(Constant(0.0), made).overall == pytest.approx(surprised, rel=1e-4)
    assert "all" in str(found)


def test_intervals_of_perplexity_cover() -> None:
    big = make_log("dcm", lists=60_000, keys=30, seed=99).sessions
    whole = perplexity(Constant(0.15), big).overall
    parts = [big.rows(np.arange(len(big)) // 300 == n) for n in range(200)]
    tables = [perplexity(Constant(0.15), part).table.iloc[0] for part in parts]
    hits = np.mean([table["low"] < whole < table["high"] for table in tables])
    assert abs(hits - 0.95) < 3.3 * np.sqrt(0.95 * 0.05 / 200)


@pytest.mark.parametrize("name", NAMES)
def test_the_true_model_is_chosen_or_a_simpler_one_that_is_as_good(name: str) -> None:
    made = make_log(name, lists=30_000, seed=4)
    choice = choose(made.sessions)
    table = choice.table.set_index("model")
    assert choice.best.name == name
    _, test = made.sessions.split()
    truth = made.conditional(test)
    right = np.where(test.clicks, truth, 1 - truth)[test.shown]
    perfect = 2 ** -np.log2(np.clip(right, 1e-6, 1)).mean()
    # at most 0.5% above the truth's, and not below by more than chance
    assert 0.998 < table["conditional"][name] / perfect < 1.005
    assert list(table.index) == list(MODELS) and "← chosen" in str(choice)
    assert choice.best.log_likelihood_ < 0 and choice.held_out["fitted on"] + choice.held_out["held out"] == 30_000


def test_ties_go_to_the_simpler_model() -> None:
    """UBM and DBN can express what PBM and DCM say, and are not taken for it."""
    made = make_log("pbm", lists=4_000, seed=8).sessions
    choice = choose(made, models=["ubm", "pbm"])
    assert choice.best.name == "pbm" and choice.table["model"].tolist() == ["pbm", "ubm"]
    with pytest.raises(ConfigError, match=r"models holds \['svm'\]"):
        choose(made, models=["svm"])


def test_models_that_a_log_cannot_tell_are_left_out_with_the_reason() -> None:
    made = make_log("dcm", lists=2_000, keys=6)
    stuck = replace(made.sessions, items=np.tile(np.arange(6, dtype=np.int32), (2_000, 1)))
    choice = choose(stuck)
    assert set(choice.left_out) == {"pbm", "ubm"} and "always at the same rank" in str(choice)
    with pytest.raises(TableError, match="always at the same rank"):
        choose(stuck, models=["pbm"])


def test_the_curve_of_the_position_based_model() -> None:
    made = make_log("pbm", lists=20_000, seed=6)
    curves = examination(PositionBased().fit(made.sessions), made.sessions, groups=10)
    curve = curves.of()
    assert list(curve.columns) == ["rank", "examination", "low", "high", "surface"]
    assert curve["examination"].iloc[0] == curve["low"].iloc[0] == curve["high"].iloc[0] == 1
    assert (np.diff(curve["examination"]) <= 0).all()
    assert ((curve["low"] <= made.slots + 0.02) & (made.slots - 0.02 <= curve["high"])).all()
    # the jackknife agrees with the information
    model = PositionBased().fit(made.sessions)
    width = (curve["high"] - curve["low"]).to_numpy()[1:] / (2 * 2.26)
    assert (width / model.slot_errors_[1:] > 0.4).all() and (width / model.slot_errors_[1:] < 2.2).all()
    with pytest.raises(ConfigError, match="surface 'mail' has no curve"):
        curves.of("mail")
    with pytest.raises(ConfigError, match="groups is 1"):
        examination(model, made.sessions, groups=1)


@pytest.mark.parametrize("name", ["cm", "dcm", "dbn", "ubm"])
def test_the_curve_of_the_others_is_the_mean_over_the_logged_lists(name: str) -> None:
    made = make_log(name, lists=4_000, seed=6, ragged=True).sessions
    model = MODELS[name]().fit(made)
    curve = examination(model, made, groups=4).to_pandas()
    chance = model.examination_probabilities(made.items)
    assert curve["fitted"].to_numpy() == pytest.approx(np.nanmean(chance, axis=0))
    assert (curve["low"] <= curve["fitted"]).all() and (curve["fitted"] <= curve["high"]).all()


def test_a_curve_that_rises_is_levelled_and_said() -> None:
    made = make_log("pbm", lists=6_000, k=4, seed=2).sessions
    turned = replace(made, items=made.items[:, [0, 3, 2, 1]], clicks=made.clicks[:, [0, 3, 2, 1]])
    curves = examination(PositionBased().fit(turned), turned, groups=3)
    assert "levelled at rank 2, 3, 4" in str(curves)
    assert curves.of()["examination"].iloc[1:].nunique() == 1
    assert never_rising(np.array([1.0, 0.2, 0.4]), np.array([1.0, 3.0, 1.0])) == pytest.approx([1.0, 0.25, 0.25])


def test_propensities_see_through_a_policy_that_flatters_rank_1() -> None:
    """Users of two tastes see what they like rather on top: the click model is misled, the propensities are not."""
    rng = np.random.default_rng(1)
    n, n_items, k, curve = 20_000, 300, 3, np.array([1.0, 0.6, 0.4])
    liked = np.arange(n_items) % 2 == rng.integers(0, 2, n)[:, None]
    items, propensity, every = np.empty((n, k), dtype=np.int32), np.empty((n, k)), np.arange(n)
    shown = np.zeros(liked.shape, dtype=bool)
    for slot, love in enumerate((6.0, 2.0, 0.7)):
        weight = np.where(shown, 0.0, np.where(liked, love, 1.0))
        items[:, slot] = np.argmax(weight / rng.exponential(size=weight.shape), axis=1)
        propensity[:, slot] = weight[every, items[:, slot]] / weight.sum(axis=1)
        shown[every, items[:, slot]] = True
    attraction = np.where(np.take_along_axis(liked, items, axis=1), 0.5, 0.05)
    clicks = rng.random(items.shape) < attraction * curve
    sessions = replace(
        make_log("pbm", lists=n, k=k).sessions, items=items, clicks=clicks, propensity=propensity,
        keys=pd.DataFrame({"item_id": [f"i{m:03d}" for m in range(n_items)]}),
    )
    misled = PositionBased().fit(sessions).slot_values_
    assert misled[1] < 0.5 and misled[2] < 0.3
    found = examination_by_propensity(sessions)
    half = (found["high"] - found["low"]).to_numpy() / 2
    assert (np.abs(found["examination"] - curve) <= 1.7 * half + 1e-12).all()  # 3.3 standard errors
    assert half.max() < 0.04
    with pytest.raises(TableError, match="no propensity"):
        examination_by_propensity(replace(sessions, propensity=None))


def test_file_names_are_plain_and_differ() -> None:
    taken: set[str] = set()
    assert [file_name(name, taken) for name in ("a/b", "a_b", "Ä b")] == [
        "examination-a_b.parquet", "examination-a_b-2.parquet", "examination-Ä_b.parquet",
    ]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log of two surfaces, as a dataset folder."""
    folder = tmp_path_factory.mktemp("examine") / "data"
    made = make_log("pbm", lists=3_000, seed=3).sessions
    events = as_events(made)
    events["page"] = np.where(events["request_id"].str[-1] < "5", "home", "mail/x")
    Dataset.of(made.keys.assign(title="T"), events).save(folder)
    return folder


def run(*words: object) -> int:
    with pytest.raises(SystemExit) as left:
        main([str(word) for word in words])
    return int(left.value.code or 0)


def test_the_verb_writes_what_rerank_reads(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert run("examine", "--data", data, "--out", out, "--model", "pbm", "--surface", "page") == 0
    said = capsys.readouterr().out
    assert "3,000 lists" in said and "95% interval: the model fitted again without each of 20 groups" in said
    assert {path.name for path in out.iterdir()} >= {
        "examination.parquet", "examination-home.parquet", "examination-mail_x.parquet", "attraction.parquet",
        "clicks.json",
    }
    for name in ("examination", "examination-home", "examination-mail_x"):
        curve = attention_weights(str(out / f"{name}.parquet"), 6)
        assert curve[0] == 1 and 0.2 < curve[5] < 0.6
    facts = json.loads((out / "clicks.json").read_text())
    assert facts["model"]["model"] == "pbm" and facts["log"]["requests"] == 3_000
    assert facts["files"]["mail/x"] == "examination-mail_x.parquet"
    assert {line["surface"] for line in facts["examination"]["curves"]} == {"all", "home", "mail/x"}
    assert facts["comparison"]["models"][0]["conditional"] > 1
    # one number, one interval: bounds stand with the curves alone, and each error says what it assumes
    assert not {"low", "high"} & set(facts["model"]["parameters"][1]) and facts["model"]["parameters"][1]["error"] > 0
    assert "independent" in facts["model"]["errors"] and "20 groups of users" in facts["examination"]["intervals"]
    curve = facts["examination"]["curves"][1]
    held = pd.read_parquet(out / "examination.parquet").iloc[1]
    assert (curve["low"], curve["high"]) == (held["low"], held["high"])
    first = (out / "examination.parquet").read_bytes()
    assert run("examine", "--data", data, "--out", out, "--model", "pbm", "--surface", "page") == 0
    assert (out / "examination.parquet").read_bytes() == first


@pytest.mark.parametrize(("words", "says"), [
    (["--model", "svm"], "'model' is 'svm'"),
    (["--surface", "shelf"], "lacks 'shelf'"),
    (["--k", "0"], "'k' is 0"),
])
def test_the_verb_refuses(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], says: str
) -> None:
    assert run("examine", "--data", data, "--out", tmp_path / "out", *words) == 2
    assert says in capsys.readouterr().err and not (tmp_path / "out").exists()


def test_a_cascade_is_told_what_it_cannot_say() -> None:
    made = make_log("pbm", lists=2_000).sessions
    model = Cascade().fit(made)
    assert "which the cascade model rules out" in str(model) and np.isfinite(model.log_likelihood_)
