import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from test_report_page import Page, page_of

from ltexpo.data.files import write_json
from ltexpo.data.tables import write_frame
from ltexpo.errors import ColumnError, TableError
from ltexpo.report.gather import gather
from ltexpo.report.monitor_section import monitor_section
from ltexpo.report.monitored import Days
from ltexpo.report.trend_figure import trend_figure

N_DAYS = 12
DAYS = [f"2026-03-{2 + n:02d}" for n in range(N_DAYS)]


def write_monitor(folder: Path) -> Path:
    """Twelve days: one without a log, one with a wrong price file, and a guardrail that breaks on the last."""
    rows, decisions = [], []
    for n, day in enumerate(DAYS):
        lost, wrong = n == 5, n == 8
        if not lost:
            rows.append((day, "exposure", "tail min_share", 0.4 + 0.01 * (n % 3), 0.38, 0.44, 0.41, False))
            rows.append((day, "clicks per request", "all", 0.7, 0.65, 0.75, np.nan, False))
            low, high = (-0.3, 0.2) if n < 11 else (-0.3, -0.1)
            rows.append((day, "change of clicks per request", "all", -0.02, low, high, -0.05, n == 11))
        rows.append((day, "events", "click", 0.0 if lost else 90.0, 70.0, 120.0, 90.0, lost))
        decisions.append({
            "day": day, "group": "tail", "value": None, "kind": "min_share", "price_before": 0.1,
            "price_after": 0.1 + 0.001 * n, "target": 0.41, "achieved": 0.4, "deviation": 0.02, "error": 0.01,
            "action": "hold" if lost else "rollback" if wrong else "step",
            "reason": "no events on this day: held" if lost else "<b>wrong</b> price file" if wrong else "exposure −1%",
            "good": not (lost or wrong),
        })
    columns = ["day", "metric", "group", "value", "low", "high", "target", "alarm"]
    write_frame(pd.DataFrame(rows, columns=columns), folder / "metrics.parquet")
    write_frame(pd.DataFrame(decisions), folder / "decisions.parquet")
    write_json({
        "day": DAYS[-1], "breached": True, "decision": {"action": "step"}, "notes": ["no new items are known."],
        "alarms": [{"kind": "clicks", "metric": "change of clicks per request", "group": "all",
                    "words": "clicks per request changed by <20%>"}],
    }, folder / "monitor.json")
    return folder


@pytest.fixture
def days(own_run: Path) -> Days:
    write_monitor(own_run / "monitor")
    found = gather(own_run).monitored
    assert found is not None
    return found


def words(html: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html)).strip()


def test_the_section_tells_the_days(days: Days):
    drawn = monitor_section(days)
    text = words(drawn)
    assert text.startswith("2026-03-13: 1 alarm. Prices follow what was shown. clicks clicks per request changed by "
                           "&lt;20%&gt; No new items are known.")
    assert "clicks per request 0.7000 0.6500 0.7500" in text
    assert "Tail and new products: exposure shown at least 41.0% of all exposure held rolled back" in text
    assert "2026-03-10 rollback &lt;b&gt;wrong&lt;/b&gt; price file 2026-03-07 hold no events on this day: held" in text
    assert "change of clicks per request 1 2026-03-13 2026-03-13" in text
    assert "events (click) 1 2026-03-07 2026-03-07" in text
    # one held day in each of the goal's figures, one rollback in each, and one broken guardrail
    assert drawn.count('<rect class="held"') == 2
    assert drawn.count('<circle class="rollback"') == 3


def test_days_read_from_the_events_are_drawn_with_the_clicks(days: Days):
    assert "Read from the events" not in monitor_section(days)
    before = pd.DataFrame({
        "day": ["2026-02-27", "2026-02-28", "2026-03-01"], "metric": "clicks per request", "group": "all",
        "value": 0.7, "low": 0.65, "high": 0.75, "target": np.nan, "alarm": False,
    })
    drawn = monitor_section(Days(pd.concat([before, days.metrics], ignore_index=True), days.decisions, days.told))
    text = words(drawn)
    assert "Read from the events, to compare with: the first 3 days. Goals and prices are known from 2026-03-02 on." \
        in text
    assert drawn.count(">27 Feb</text>") == 2  # both figures of clicks have the same days, the goal's what was judged


def test_a_day_that_moves_no_price_is_not_among_the_odd_ones(days: Days):
    kept = days.decisions.assign(action=days.decisions["action"].replace("step", "keep"))
    text = words(monitor_section(Days(days.metrics, kept, {**days.told, "decision": {"action": "keep"}})))
    assert text.startswith("2026-03-13: 1 alarm. No price moves.")
    assert "2026-03-10 rollback" in text and " keep " not in text


def test_clicks_have_one_name(days: Days):
    assert "clicks per list" not in words(monitor_section(days)).lower()


def test_the_page_holds_it_only_where_it_was_run(own_run: Path):
    source, page = page_of(own_run)
    assert "Real traffic" not in page.text
    write_monitor(own_run / "monitor")
    source, page = page_of(own_run)
    assert "Real traffic, day by day" in page.text
    assert '<a href="#monitor">' in source
    Page(source)  # every tag that is opened is closed


def test_broken_folders_are_refused(own_run: Path, tmp_path: Path):
    folder = write_monitor(own_run / "monitor")
    (folder / "decisions.parquet").unlink()
    with pytest.raises(TableError, match=r"lacks decisions\.parquet"):
        gather(own_run)
    shutil.rmtree(folder)
    write_monitor(folder)
    write_frame(pd.DataFrame({"day": ["2026-03-02"]}), folder / "metrics.parquet")
    with pytest.raises(ColumnError, match="lacks 'metric'"):
        gather(own_run)


def test_a_figure_breaks_where_days_are_not_known():
    days = pd.date_range("2026-03-02", periods=6)
    value = np.array([0.2, 0.3, np.nan, 0.25, 0.3, 0.2])
    drawn = trend_figure(
        days, value, title="t", label="l", low=value - 0.02, high=value + 0.02, levels=[(0.25, "equal")],
        held=np.array([False, False, True, False, False, False]),
    )
    assert drawn.count('class="curve treatment"') == 2
    assert drawn.count('class="band"') == 2
    assert ">2 Mar</text>" in drawn and "nan" not in drawn
    assert trend_figure(days, np.full(6, np.nan), title="t", label="l") == ""


def test_a_band_that_is_very_wide_is_cut_off():
    days = pd.date_range("2026-03-02", periods=4)
    value = np.array([0.0, 0.01, 0.0, 0.01])
    low, high = np.array([-9.0, -0.02, -0.02, -0.02]), np.array([np.inf, 0.02, 0.02, 0.02])
    drawn = trend_figure(days, value, title="t", label="l", low=low, high=high)
    ticks = [float(tick.replace("−", "-").rstrip("%")) for tick in re.findall(r">(−?[\d.]+%)</text>", drawn)]
    assert max(ticks) <= 5 and min(ticks) >= -5


def test_what_may_not_be_published_says_so_first(own_run: Path):
    assert "Not to be published" not in page_of(own_run)[0]
    write_monitor(own_run / "monitor")
    page = words(page_of(own_run)[0])
    told = "Not to be published. Guardrail breached: the monitor says so of 2026-03-13 (clicks per request changed by"
    assert 0 < page.index(told) < page.index("Asked for")
