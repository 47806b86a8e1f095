from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ltexpo.cli import main
from ltexpo.columns import Columns
from ltexpo.data.dataset import Dataset
from ltexpo.data.files import read_json
from ltexpo.data.tables import read_frame, write_frame
from ltexpo.errors import ConfigError, TableError
from ltexpo.jobs.monitoring import MonitorJob, run_monitor
from ltexpo.jobs.reranking import RerankJob, run_rerank
from ltexpo.rerank import Goal

N_ITEMS, N_USERS, DAYS = 60, 60, 18
FIRST = pd.Timestamp("2026-03-02", tz="UTC")
LAST = "2026-03-19"


def write_shop(folder: Path) -> Path:
    """data, candidates and rankings; the rankings' lists are what the log of the last day shows."""
    rng = np.random.default_rng(3)
    items = pd.DataFrame({
        Columns.Item: [f"p{n:02d}" for n in range(N_ITEMS)], Columns.Title: "a product",
        Columns.Category: np.where(np.arange(N_ITEMS) % 2, "shoes", "bags"),
        Columns.Image: [f"images/{n}.png" for n in range(N_ITEMS)],
        Columns.CreatedAt: FIRST + pd.to_timedelta(np.where(np.arange(N_ITEMS) < 3, 16, -30), unit="D"),
    })
    (folder / "data" / "images").mkdir(parents=True)
    for n in range(N_ITEMS):
        (folder / "data" / "images" / f"{n}.png").write_bytes(b"x")
    rows = [
        (f"u{user:02d}", f"p{item:02d}", 0.4 * np.exp(-item / 30) * rng.uniform(0.7, 1))
        for user in range(N_USERS) for item in np.sort(rng.choice(N_ITEMS, 20, replace=False))
    ]
    candidates = pd.DataFrame(rows, columns=[Columns.User, Columns.Item, Columns.Score])
    candidates.insert(0, Columns.Request, candidates[Columns.User])
    write_frame(candidates, folder / "candidates.parquet", metadata={"trained_until": "2026-03-01"})
    bought = pd.DataFrame({  # what makes the head
        Columns.User: "u00", Columns.Item: [f"p{n:02d}" for n in range(8)] * 40, Columns.Event: "purchase",
        Columns.Timestamp: FIRST - pd.Timedelta(days=60),
    })
    Dataset.of(items, bought).save(folder / "data0")
    job = RerankJob(
        data=folder / "data0", candidates=folder / "candidates.parquet", out=folder / "rankings", k=5,
        goals=(Goal(group="tail", min_share=0.6),),
    )
    run_rerank(job)
    lists = read_frame(folder / "rankings" / "rankings.parquet")
    seen = []
    for day in range(DAYS):
        visits = rng.integers(0, N_USERS, 300)
        shown = lists.set_index(Columns.User).loc[[f"u{user:02d}" for user in visits]].reset_index()
        shown[Columns.Request] = [f"{day}-{n}" for n in np.arange(300).repeat(5)]
        shown[Columns.Timestamp] = FIRST + pd.Timedelta(days=day, hours=9) + pd.to_timedelta(np.arange(1_500), unit="s")
        shown[Columns.Event] = "impression"
        clicked = shown[rng.random(1_500) < shown["score"] / np.log2(shown["rank"] + 1)]
        seen += [shown, clicked.assign(event="click", timestamp=clicked["timestamp"] + pd.Timedelta(seconds=5))]
    kept = [Columns.User, Columns.Item, Columns.Event, Columns.Timestamp, Columns.Request, Columns.Rank]
    events = pd.concat([bought, *(part[kept] for part in seen)], ignore_index=True)
    write_frame(items, folder / "data" / "items.parquet")
    write_frame(events, folder / "data" / "events.parquet")
    return folder


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_shop(tmp_path_factory.mktemp("shop"))


def job_of(shop: Path, out: Path, **given: object) -> MonitorJob:
    return MonitorJob(data=shop / "data", rankings=shop / "rankings", out=out, **given)  # type: ignore[arg-type]


def test_two_days_from_the_command_line(shop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    base = ["monitor", "--data", str(shop / "data"), "--rankings", str(shop / "rankings")]
    with pytest.raises(SystemExit) as done:
        main([*base, "--day", "2026-03-18", "--out", str(tmp_path / "m1")])
    assert done.value.code == 0
    assert "2026-03-18: no alarms" in capsys.readouterr().out
    with pytest.raises(SystemExit) as done:
        main([*base, "--history", str(tmp_path / "m1"), "--out", str(tmp_path / "m2")])
    assert done.value.code == 0
    told = read_json(tmp_path / "m2" / "monitor.json")
    assert told["day"] == LAST and told["alarms"] == [] and told["breached"] is False
    assert told["decision"]["action"] == "keep"  # the lists were made at these prices
    metrics = read_frame(tmp_path / "m2" / "metrics.parquet")
    assert list(metrics.columns[:8]) == ["day", "metric", "group", "value", "low", "high", "target", "alarm"]
    today = metrics[metrics["day"] == LAST].set_index(["metric", "group"])["value"]
    assert today["exposure", "tail min_share"] == pytest.approx(0.6, abs=0.06)
    assert today["calibration", "all"] == pytest.approx(1.0, abs=0.3)
    assert today["slots not as published", "all"] == 0
    assert today["missing pictures", "all"] == 0
    assert today["days to first exposure", "all"] < 3
    decisions = read_frame(tmp_path / "m2" / "decisions.parquet")
    assert decisions["day"].tolist() == ["2026-03-18", LAST]
    prices = read_frame(tmp_path / "m2" / "prices.parquet")
    served = read_frame(shop / "rankings" / "prices.parquet")
    assert list(prices.columns) == list(served.columns)
    assert prices["price"].tolist() == decisions["price_after"].tolist()[-1:]
    assert "# TYPE ltexpo_exposure gauge" in (tmp_path / "m2" / "metrics.prom").read_text()


def test_tomorrow_starts_from_the_prices(shop: Path, tmp_path: Path):
    run_monitor(job_of(shop, tmp_path / "m", day=LAST))
    for name in ("prices", "warm_start"):
        made = run_rerank(RerankJob(
            data=shop / "data0", candidates=shop / "candidates.parquet", out=tmp_path / name, k=5,
            goals=(Goal(group="tail", min_share=0.6),), **{name: tmp_path / "m" / "prices.parquet"},
        ))
        assert made.certificate.goals["achieved"].iloc[0] == pytest.approx(0.6, abs=0.03)


def test_pictures_that_are_gone(shop: Path, tmp_path: Path):
    run_monitor(job_of(shop, tmp_path / "m1", day="2026-03-18"))
    hidden = shop / "data" / "images"
    hidden.rename(shop / "data" / "elsewhere")
    try:
        result = run_monitor(job_of(shop, tmp_path / "m2", history=tmp_path / "m1"))
    finally:
        (shop / "data" / "elsewhere").rename(hidden)
    assert [alarm.metric for alarm in result.alarms] == ["missing pictures"]
    assert result.action == "keep"


def test_a_broken_log_is_an_alarm_and_not_the_end(shop: Path, tmp_path: Path):
    broken = tmp_path / "data"
    broken.mkdir()
    (broken / "items.parquet").write_bytes((shop / "data" / "items.parquet").read_bytes())
    (broken / "events.parquet").write_bytes(b"not parquet")
    with pytest.raises(TableError, match="give --day"):
        run_monitor(MonitorJob(data=broken, rankings=shop / "rankings", out=tmp_path / "m"))
    result = run_monitor(MonitorJob(data=broken, rankings=shop / "rankings", out=tmp_path / "m", day=LAST))
    assert result.action == "hold"
    assert result.alarms[0].metric == "unreadable log"
    served = read_frame(shop / "rankings" / "prices.parquet")
    pd.testing.assert_frame_equal(
        read_frame(tmp_path / "m" / "prices.parquet"), served, check_dtype=False
    )


def test_refusals_leave_nothing(shop: Path, tmp_path: Path):
    run_monitor(job_of(shop, tmp_path / "m1", day=LAST))
    with pytest.raises(TableError, match=f"holds no events after {LAST}"):
        run_monitor(job_of(shop, tmp_path / "m2", history=tmp_path / "m1"))
    with pytest.raises(ConfigError, match="Give the same tail"):
        run_monitor(job_of(shop, tmp_path / "m2", tail={"head_share": 0.5}))
    with pytest.raises(TableError, match=r"certificate\.json"):
        run_monitor(MonitorJob(data=shop / "data", rankings=tmp_path / "m1", out=tmp_path / "m2"))
    assert not (tmp_path / "m2").exists()


def test_unreadable_prices_go_back_to_the_last_good(shop: Path, tmp_path: Path):
    first = run_monitor(job_of(shop, tmp_path / "m1", day="2026-03-18"))
    other = tmp_path / "rankings"
    other.mkdir()
    for name in ("certificate.json", "rankings.parquet"):
        (other / name).write_bytes((shop / "rankings" / name).read_bytes())
    (other / "prices.parquet").write_bytes(b"PAR1 no")
    result = run_monitor(MonitorJob(
        data=shop / "data", rankings=other, history=tmp_path / "m1", out=tmp_path / "m2",
    ))
    assert result.action == "rollback"
    assert result.prices["price"].tolist() == first.decided["price_before"].tolist()
