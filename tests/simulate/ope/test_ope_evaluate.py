"""Whole evaluations: right on average under a known truth, honest intervals, real logs, files and refusals."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from made_slates import Slates

from ltexpo.cli import main
from ltexpo.data import Dataset
from ltexpo.data.files import read_json
from ltexpo.data.importers.open_bandit import import_open_bandit
from ltexpo.data.synthetic.shop import make_shop
from ltexpo.data.tables import write_frame
from ltexpo.errors import ConfigError
from ltexpo.metrics.intervals import mean_estimate
from ltexpo.simulate.ope import OpeSettings, evaluate_policy, policy_of_log, read_log, read_policy

LISTS = ("ips", "rips", "snrips", "cascade_dr", "iips")


def draws(slates: Slates, names: tuple[str, ...], *, n: int, times: int) -> pd.DataFrame:
    """`times` logs of `n` requests: estimator, error against the truth, whether the interval holds it."""
    table, truth, rows = slates.table(), slates.truth(), []
    for seed in range(times):
        log = slates.log(n, np.random.default_rng([5, seed]))
        result = evaluate_policy(log, read_policy(table, log), OpeSettings(estimator=names), rng=seed)
        rows += [
            (row.estimator, row.value.value - truth, row.value.low <= truth <= row.value.high) for row in result.rows
        ]
    return pd.DataFrame(rows, columns=["estimator", "off", "held"])


def z_of(found: pd.DataFrame) -> "pd.Series[float]":
    off = found.groupby("estimator")["off"]
    return off.mean() / off.sem()


@pytest.fixture(scope="module")
def cascades() -> pd.DataFrame:
    slates = Slates.make("cascade", n_items=6, k=3, apart=1.0, rng=np.random.default_rng(0), clicks=0.5)
    return draws(slates, LISTS, n=1000, times=40)


def test_lists_are_unbiased_where_their_assumption_holds(cascades: pd.DataFrame):
    z = z_of(cascades)
    assert (z[["ips", "rips", "snrips", "cascade_dr"]].abs() < 3).all()
    assert abs(z["iips"]) > 3


def test_cascade_dr_errs_less_than_rips_and_ips(cascades: pd.DataFrame):
    error = cascades.assign(square=cascades["off"] ** 2).groupby("estimator")["square"].mean()
    assert error["rips"] / error["cascade_dr"] > 1.3
    assert error["ips"] / error["cascade_dr"] > 1.3


def test_intervals_hold_the_truth(cascades: pd.DataFrame):
    assert cascades[cascades["estimator"] != "iips"]["held"].mean() == pytest.approx(0.95, abs=0.05)


def test_single_slots_are_unbiased_and_covered():
    slates = Slates.make("own item", n_items=8, k=1, apart=1.0, rng=np.random.default_rng(1))
    found = draws(slates, ("ips", "snips", "dr", "dr_shrinkage"), n=2000, times=40)
    assert (z_of(found).abs() < 3).all()
    assert found["held"].mean() == pytest.approx(0.95, abs=0.05)


def test_the_logs_own_policy_earns_what_the_log_did():
    """Every weight is 1, so that weighted estimators give the log's own value, and the change is 0."""
    slates = Slates.make("cascade", n_items=6, k=3, apart=0.0, rng=np.random.default_rng(2))
    log = slates.log(500, np.random.default_rng(3))
    result = evaluate_policy(log, read_policy(slates.table(), log), OpeSettings(estimator=("ips", "rips", "snrips")))
    for row in result.rows:
        assert row.value.value == pytest.approx(result.on_policy.value)
        assert row.change.value == pytest.approx(0)
        assert row.change.high == pytest.approx(0, abs=1e-9)
        assert row.weights is not None
        assert row.weights.effective == pytest.approx(500)
        assert row.weights.largest == pytest.approx(1)


def test_the_same_rng_gives_the_same_numbers():
    slates = Slates.make("cascade", n_items=6, k=3, apart=1.0, rng=np.random.default_rng(2))
    log = slates.log(500, np.random.default_rng(3))
    one, other = (evaluate_policy(log, read_policy(slates.table(), log), rng=7).to_pandas() for _ in range(2))
    pd.testing.assert_frame_equal(one, other)


def test_users_widen_the_interval_when_their_requests_are_alike():
    slates = Slates.make("own item", n_items=6, k=2, apart=0.5, rng=np.random.default_rng(2))
    log = slates.log(400, np.random.default_rng(3))
    four = log.take(np.ones(400, dtype=bool), log.shown)
    four = replace(four, users=np.arange(400) // 4, rewards=np.repeat(log.rewards[::4], 4, axis=0))
    by = {
        cluster: evaluate_policy(
            four, read_policy(slates.table(), four), OpeSettings(estimator=("ips",), cluster=cluster)
        ).rows[0].value.error
        for cluster in ("user", "request")
    }
    assert by["user"] > 1.2 * by["request"]


def test_marginal_propensities_refuse_what_they_cannot_tell():
    slates = Slates.make("own item", n_items=6, k=2, apart=0.5, rng=np.random.default_rng(2))
    log = replace(slates.log(2000, np.random.default_rng(3)), kind="marginal")
    rows = {row.estimator: row for row in evaluate_policy(log, read_policy(slates.table(), log)).rows}
    for name in ("ips", "snips", "rips", "snrips", "cascade_dr"):
        assert rows[name].verdict == (
            "cannot say: it needs propensities given what stands above, the log has marginal ones"
        )
    assert rows["iips"].ok


def test_rewards_that_depend_on_what_stands_above_are_found_out():
    slates = Slates.make("cascade", n_items=6, k=3, apart=1.5, rng=np.random.default_rng(2), clicks=0.5)
    log = slates.log(20_000, np.random.default_rng(3))
    rows = {row.estimator: row for row in evaluate_policy(log, read_policy(slates.table(), log)).rows}
    for name in ("iips", "sniips", "dm", "dr"):
        assert rows[name].verdict.startswith("cannot say: cascade_dr, for which rewards may depend on")
    assert rows["cascade_dr"].ok


def test_poor_overlap_is_refused():
    slates = Slates.make("own item", n_items=6, k=3, apart=6.0, rng=np.random.default_rng(2))
    log = slates.log(300, np.random.default_rng(3))
    result = evaluate_policy(log, read_policy(slates.table(), log))
    assert all(row.verdict.startswith("cannot say: ") for row in result.rows)
    assert result.headline is None


def test_one_user_or_no_reward_tells_nothing():
    slates = Slates.make("own item", n_items=6, k=2, apart=0.5, rng=np.random.default_rng(2))
    log = slates.log(500, np.random.default_rng(3))
    policy = read_policy(slates.table(), log)
    alone = evaluate_policy(replace(log, users=np.zeros(500, dtype=np.int64)), policy)
    silent = evaluate_policy(replace(log, rewards=np.zeros(log.rewards.shape)), policy)
    assert all("all requests are of one user" in row.verdict for row in alone.rows)
    assert all("none of the 1,000 slots compared had a click" in row.verdict for row in silent.rows)
    assert silent.on_policy.value == 0


def test_a_constant_reward_is_its_own_value():
    slates = Slates.make("own item", n_items=6, k=1, apart=0.5, rng=np.random.default_rng(2))
    log = slates.log(2000, np.random.default_rng(3))
    result = evaluate_policy(replace(log, rewards=np.ones(log.rewards.shape)), read_policy(slates.table(), log))
    for row in result.rows:
        assert row.value.value == pytest.approx(1, abs=1e-9 if row.estimator != "ips" else 0.1)
        assert row.ok


def test_estimators_must_suit_the_log():
    slates = Slates.make("own item", n_items=6, k=1, apart=0.5, rng=np.random.default_rng(2))
    log = slates.log(50, np.random.default_rng(3))
    with pytest.raises(ConfigError, match="estimator is 'rips', but the log holds single slots"):
        evaluate_policy(log, read_policy(slates.table(), log), OpeSettings(estimator=("rips",)))


def test_the_made_shop_answers_what_its_truth_says():
    """Another policy (every product alike) on a log whose policy knew its users: the reward model alone is fooled."""
    shop = make_shop(n_items=400, n_users=1500, n_days=6, k=5, rng=1, attraction=0.2, exploration=0.3)
    events = shop.dataset.require_events("this test")
    first_day = events["timestamp"].min().floor("D") + pd.Timedelta(days=1)
    ids = np.sort(events[(events["event"] == "impression") & (events["timestamp"] < first_day)]["item_id"].unique())
    log = read_log(shop.dataset)
    table = pd.DataFrame({
        "item_id": np.repeat(ids, 5), "rank": np.tile(np.arange(1, 6), len(ids)), "probability": 1 / len(ids),
    })
    attraction = shop.truth.attraction_matrix(log.user_ids, ids).mean(axis=1)[log.users].mean()
    truth = attraction * shop.truth.examination[:5].sum()
    rows = {row.estimator: row for row in evaluate_policy(log, read_policy(table, log)).rows}
    for name in ("iips", "sniips", "dr", "rips", "cascade_dr"):
        assert abs(rows[name].value.value - truth) < 3 * rows[name].value.error
    assert rows["dm"].value.low > truth
    assert not rows["dm"].ok


def test_open_bandit_agrees_with_what_the_other_policy_earned(shared_data: Path):
    logs = {}
    for name in ("random", "bts"):
        imported = import_open_bandit(shared_data / "obd" / name / "men")
        logs[name] = read_log(Dataset.of(imported.items, imported.events, imported.users))
    for of, target, effective in (("random", "bts", 2869), ("bts", "random", 624)):
        own = mean_estimate(logs[target].rewards.sum(axis=1), logs[target].users)
        result = evaluate_policy(logs[of], read_policy(policy_of_log(logs[target]), logs[of]))
        for row in result.rows:
            assert abs(row.value.value - own.value) < 1.96 * np.hypot(row.value.error, own.error)
        assert result.rows[0].weights is not None
        assert result.rows[0].weights.effective == pytest.approx(effective, abs=1)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """data/ with 600 single slots shown uniformly, of which item b is clicked thrice as often; policy.parquet for b."""
    rng = np.random.default_rng(0)
    item = rng.choice(["a", "b"], size=600)
    shown = pd.DataFrame({
        "user_id": [f"u{n % 200}" for n in range(600)], "item_id": item, "event": "impression",
        "timestamp": pd.Timestamp("2024-01-01", tz="UTC"), "request_id": [f"r{n}" for n in range(600)], "rank": 1,
        "propensity": 0.5,
    })
    clicks = shown[rng.random(600) < np.where(item == "b", 0.6, 0.2)].assign(event="click")
    Dataset.of(pd.DataFrame({"item_id": ["a", "b"], "title": "x"}), pd.concat([shown, clicks])).save(tmp_path / "data")
    write_frame(pd.DataFrame({"item_id": ["b"], "rank": [1], "probability": [1.0]}), tmp_path / "policy.parquet")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(words: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as stop:
        main(words.split())
    said = capsys.readouterr()
    return int(str(stop.value.code)), said.out, said.err


OPE = "ope --data data --policy policy.parquet --out out"


def test_the_verb_writes_and_prints(folder: Path, capsys: pytest.CaptureFixture[str]):
    code, out, err = run(OPE + " --estimator all", capsys)
    assert (code, err) == (0, "")
    assert "clicks per slot, 600 slots; the log's own: 0.4" in out
    held = read_json(folder / "out" / "ope.json")
    assert list(held["estimators"]) == ["ips", "snips", "dm", "dr", "switch_dr", "dr_shrinkage"]
    for row in held["estimators"].values():
        assert {"value", "low", "high", "effective_sample_size", "largest_weight", "verdict"} <= set(row)
        assert row["verdict"] == "ok"
        assert row["low"] < 0.6 < row["high"]
    assert held["estimators"]["ips"]["largest_weight"] == 2
    assert held["on_policy"]["value"] == pytest.approx(0.4, abs=0.05)
    assert held["headline"] == "dr"
    table = pd.read_parquet(folder / "out" / "ope.parquet")
    assert table["estimator"].tolist() == list(held["estimators"])
    first = {path.name: path.read_bytes() for path in (folder / "out").iterdir()}
    assert run(OPE, capsys)[0] == 0
    assert first == {path.name: path.read_bytes() for path in (folder / "out").iterdir()}


def test_a_log_without_any_click_cannot_say(folder: Path, capsys: pytest.CaptureFixture[str]):
    events = pd.read_parquet("data/events.parquet")
    write_frame(events[events["event"] == "impression"], Path("data/events.parquet"))
    # even where nothing else would be refused
    write_frame(pd.DataFrame({"item_id": ["a", "b"], "rank": 1, "probability": 0.5}), Path("policy.parquet"))
    Path("ope.yaml").write_text("min_rewarded: 0\n")
    code, out, err = run(OPE + " --config ope.yaml", capsys)
    assert (code, err) == (0, "")
    reason = "none of the 600 slots compared had a click under its request_id"
    assert f"ips, snips, dm, dr, switch_dr, dr_shrinkage cannot say: {reason}" in out
    held = read_json(folder / "out" / "ope.json")
    assert held["headline"] is None
    assert {row["verdict"] for row in held["estimators"].values()} == {f"cannot say: {reason}"}


def changed(name: str, **columns: object) -> pd.DataFrame:
    return pd.read_parquet(name).assign(**columns)


BAD = [
    ("propensity of 0",
     lambda: write_frame(changed("data/events.parquet", propensity=0.0), Path("data/events.parquet")), OPE,
     "'propensity' row 0 is 0.0, not a probability above 0"),
    ("propensity above 1",
     lambda: write_frame(changed("data/events.parquet", propensity=1.5), Path("data/events.parquet")), OPE, "is 1.5"),
    ("no propensity",
     lambda: write_frame(pd.read_parquet("data/events.parquet").drop(columns="propensity"),
                         Path("data/events.parquet")), OPE, "lacks 'propensity'"),
    ("no impressions", lambda: write_frame(changed("data/events.parquet", event="click"), Path("data/events.parquet")),
     OPE, "holds no impressions, only click"),
    ("no events", lambda: Path("data/events.parquet").unlink(), OPE, "holds no events.parquet"),
    ("no policy", lambda: Path("policy.parquet").unlink(), OPE, "policy.parquet: no such file"),
    ("a policy that sums to 2", lambda: write_frame(
        pd.DataFrame({"item_id": ["a", "b"], "rank": 1, "probability": 1.0}), Path("policy.parquet")), OPE, "sum to 2"),
    ("a policy for other requests",
     lambda: write_frame(changed("policy.parquet", request_id="zzz"), Path("policy.parquet")), OPE, "such as 'zzz'"),
    ("a policy by an unknown column",
     lambda: write_frame(changed("policy.parquet", colour="red"), Path("policy.parquet")), OPE, "'colour' is not a"),
    ("an estimator for lists", lambda: None, OPE + " --estimator rips", "estimator is 'rips'"),
    ("propensities of no kind", lambda: None, OPE + " --propensities odd", "'propensities' is 'odd'"),
]


@pytest.mark.parametrize(("spoil", "words", "message"), [case[1:] for case in BAD], ids=[case[0] for case in BAD])
def test_bad_input_is_one_line(spoil: object, words: str, message: str, folder: Path,
                               capsys: pytest.CaptureFixture[str]):
    spoil()  # type: ignore[operator]
    code, out, err = run(words, capsys)
    assert code == 2, err
    assert message in err
    assert (err.count("\n"), out) == (1, "")
    assert not (folder / "out").exists()
