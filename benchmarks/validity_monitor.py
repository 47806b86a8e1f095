"""60 days under prices, quiet days, and every alarm's own incident → Markdown tables and a figure.

python benchmarks/validity_monitor.py [--out DIR] [--quiet-days 200] [--seeds 3] [--only control|quiet|alarms|choice]

Without --only, all but choice, which compares controllers.

The shop: ltexpo.data.synthetic's catalogue, users and truth; every day new requests with new candidates, scored by the
truth with errors of its own and noise that changes daily; lists by ExposureReranker.apply_prices; clicks by the truth.
"""

import argparse
import copy
import re
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from importlib import resources
from pathlib import Path

import numpy as np
import pandas as pd
from monitored_shop import Incident, World, run, steered

from ltexpo.columns import Columns
from ltexpo.data.tables import write_frame
from ltexpo.monitor import ControllerSettings, Monitored, MonitorSettings
from ltexpo.monitor.alarms import KINDS
from ltexpo.report.monitor_section import monitor_section
from ltexpo.report.monitored import Days

SHIFT, OUTAGE, WRONG, BREACH = 20, range(30, 33), 40, range(48, 53)
WARM = 28
"""Days before the first of the quiet days that count, so that every kind of alarm is judged on all of them."""


def control(seed: int, settings: MonitorSettings) -> Monitored:
    """60 days: a demand shift that stays, three days without a log, a price file times 30, five bad days of clicks."""
    incidents = {day: Incident(shift=0.6) for day in range(SHIFT, 60)}
    for day in OUTAGE:
        incidents[day] = Incident(shift=0.6, log=lambda events, rng: events.iloc[:0])
    incidents[WRONG] = Incident(shift=0.6, prices=lambda prices: prices.assign(price=30 * prices["price"]))
    for day in BREACH:
        incidents[day] = Incident(shift=0.6, tail_quality=0.35)
    return run(World.make(seed, n_users=5_000), 60, settings, incidents)


def control_table(result: Monitored) -> list[str]:
    """What happened in each part of the 60 days."""
    log = result.decisions.assign(n=_numbers(result.decisions["day"]))
    missed = _missed(log)
    parts: list[tuple[str, Sequence[int]]] = [
        ("quiet", range(SHIFT)), ("demand shift", range(SHIFT, OUTAGE[0])), ("log lost", OUTAGE),
        ("quiet again", range(OUTAGE[-1] + 1, WRONG)), ("price file × 30", [WRONG]),
        ("back to the last good prices", range(WRONG + 1, BREACH[0])), ("tail's clicks × 0.35", BREACH),
        ("clicks are back", range(BREACH[-1] + 1, 60)),
    ]
    lines = [
        "| days | what happens | worst goal off by, first day | last 3 days | within 5% after | decisions | alarms |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    alarms = result.metrics[result.metrics["alarm"]]
    for name, days in parts:
        mine = log[log["n"].isin(list(days))]
        mean = missed.reindex(list(days))
        begin, last = mean.iloc[0].abs().max(), mean.iloc[-3:].mean().abs().max()
        first = f"{begin:.1%}" if np.isfinite(begin) else "not known"
        actions = mine.groupby("n")["action"].agg(
            lambda kinds: next(action for action in ("rollback", "step", "keep", "hold") if action in set(kinds))
        )
        told = ", ".join(f"{n} × {kind}" for kind, n in Counter(actions).items())
        raised = alarms[_numbers(alarms["day"]).isin(list(days))]
        kinds = ", ".join(dict.fromkeys(raised["metric"]))
        lines.append(
            f"| {days[0]}–{days[-1]} | {name} | {first} | {f'{last:.1%}' if np.isfinite(last) else 'not known'} | "
            f"{_settled(missed, days)} | {told} | {kinds or '–'} |"
        )
    return lines


def _missed(log: pd.DataFrame) -> pd.DataFrame:
    """Days × goals: the share of its target that each goal lacks; 0 where it has more and costs nothing."""
    sign = np.where(log["kind"].astype(str).str.startswith("max"), -1.0, 1.0)
    deviation = log["deviation"].to_numpy(float)
    off = np.where((sign * deviation < 0) & (log["price_before"].to_numpy(float) == 0), 0.0, deviation)
    goal = log["group"].astype(str) + " " + log["kind"].astype(str)
    return log.assign(off=off, goal=goal).pivot_table(index="n", columns="goal", values="off", dropna=False)


def _settled(missed: pd.DataFrame, days: Sequence[int]) -> str:
    """Days until every goal's mean over three days stays within 5%."""
    smooth = missed.reindex(range(days[0], days[-1] + 1)).rolling(3, min_periods=1).mean().abs().max(axis=1)
    if not smooth.notna().any():
        return "–"
    beyond = np.flatnonzero(smooth.to_numpy() > 0.05)
    if not len(beyond):
        return "0 days"
    return f"{beyond[-1] + 1} days" if beyond[-1] + 1 < len(smooth) else "not yet"


def _numbers(days: "pd.Series[str]") -> "pd.Series[int]":
    return (pd.to_datetime(days, utc=True) - pd.Timestamp("2026-03-02", tz="UTC")).dt.days


def quiet(seeds: Sequence[int], days: int, settings: MonitorSettings) -> list[str]:
    """False alarms by kind, in `days` quiet days of each seed."""
    found: Counter[str] = Counter()
    bad_days, judged = 0, 0
    actions: Counter[str] = Counter()
    for seed in seeds:
        keep: list[Monitored] = []
        run(World.make(seed), WARM + days, settings, {}, keep=keep)
        for result in keep[WARM:]:
            judged += 1
            bad_days += bool(result.alarms)
            found.update({alarm.kind for alarm in result.alarms})
            actions[result.action] += 1
        print(f"seed {seed}: {bad_days} of {judged} days with an alarm so far", file=sys.stderr, flush=True)
    lines = ["| kind of alarm | quiet days with it | share |", "| --- | --- | --- |"]
    lines += [f"| {kind} | {found[kind]} of {judged} | {found[kind] / judged:.2%} |" for kind in KINDS]
    lines.append(f"| any | {bad_days} of {judged} | {bad_days / judged:.2%} |")
    return [*lines, "", "decisions: " + ", ".join(f"{n} days {name}" for name, n in actions.items())]


def incidents() -> dict[str, Incident]:
    """What goes wrong, by its name."""
    def some(share: float, change: Callable[[pd.DataFrame], pd.DataFrame]) -> Callable[..., pd.DataFrame]:
        def wrong(events: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
            hit = rng.random(len(events)) < share
            return pd.concat([events[~hit], change(events[hit])], ignore_index=True)
        return wrong

    def click_clock(events: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
        late = (events[Columns.Event] == "click") & (rng.random(len(events)) < 0.5)
        return events.assign(timestamp=events[Columns.Timestamp].where(~late, events[Columns.Timestamp] - _MINUTE))

    def other_lists(events: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
        names = events[Columns.Item].unique()
        return events.assign(item_id=events[Columns.Item].map(dict(zip(names, rng.permutation(names), strict=True))))

    def no_category(items: pd.DataFrame) -> pd.DataFrame:
        return items.assign(category=items["category"].where(np.arange(len(items)) % 4 > 0))

    return {
        "40% of the traffic": Incident(traffic=0.4),
        "no events": Incident(log=lambda events, rng: events.iloc[:0]),
        "10% of the log twice": Incident(log=some(0.1, lambda hit: pd.concat([hit, hit]))),
        "5% unknown items": Incident(log=some(0.05, lambda hit: hit.assign(item_id="gone-" + hit[Columns.Item]))),
        "rank empty in 20%": Incident(log=some(0.2, lambda hit: hit.assign(rank=pd.NA))),
        "half of the clicks a minute early": Incident(log=click_clock),
        "4% dated a year ahead": Incident(
            log=some(0.04, lambda hit: hit.assign(timestamp=hit[Columns.Timestamp] + pd.Timedelta(days=365)))
        ),
        "other lists shown": Incident(log=other_lists),
        "other lists shown, clicks × 0.75": Incident(log=other_lists, clicks=0.75),
        "category missing for 25% of items": Incident(items=no_category),
        "half of the prices × 5": Incident(
            items=lambda items: items.assign(price=items["price"] * np.where(np.arange(len(items)) % 2, 5.0, 1.0))
        ),
        "clicks × 0.75": Incident(clicks=0.75),
        "scores × 1.5": Incident(scores=lambda scores: np.minimum(1.5 * scores, 1.0)),
        "tastes move by 1.5": Incident(shift=1.5),
        "prices lost (all 0)": Incident(prices=lambda prices: prices.assign(price=0.0)),
    }


_MINUTE = pd.Timedelta(minutes=1)


def alarms(seed: int, settings: MonitorSettings, *, days: int = 4) -> list[str]:
    """Each incident after the same 28 quiet days: which alarms it raises, and on which of its days first."""
    world, keep = World.make(seed), []
    before = run(world, WARM, settings, {}, keep=keep)
    lines = ["| incident | alarms, with the day of the incident on which they fire first | prices |",
             "| --- | --- | --- |"]
    for name, incident in incidents().items():
        after: list[Monitored] = []
        run(copy.deepcopy(world), days, settings, {WARM + n: incident for n in range(days)}, keep=after, past=before,
            first=WARM)
        first: dict[str, int] = {}
        for n, result in enumerate(after, 1):
            for alarm in result.alarms:
                first.setdefault(f"{alarm.metric}" + (f" ({alarm.group})" if alarm.group != "all" else ""), n)
        told = ", ".join(f"{alarm}: {n}" for alarm, n in list(first.items())[:6]) or "none"
        lines.append(f"| {name} | {told} | {', '.join(result.action for result in after)} |")
        print(lines[-1], file=sys.stderr, flush=True)
    return lines


GRID = [
    ControllerSettings(method="dual", step=0.3), ControllerSettings(method="dual", step=0.6),
    ControllerSettings(method="dual", step=1.0), ControllerSettings(method="dual", step=1.6),
    ControllerSettings(method="dual", step=2.5), ControllerSettings(method="pid", ki=0.6, kp=0.6),
    ControllerSettings(method="pid", ki=1.0, kp=0.5), ControllerSettings(method="pid", ki=1.6, kp=0.8),
    ControllerSettings(method="pid", ki=1.0, kp=0.5, kd=0.25),
]


def choice(seeds: Sequence[int]) -> list[str]:
    """Each controller through a demand shift on day 12 of 32: how fast, how far off before, how far off after."""
    lines = ["| controller | days until within 5% | off on quiet days | off in the last 10 days |",
             "| --- | --- | --- | --- |"]
    worlds = [World.make(seed) for seed in seeds]
    for chosen in GRID:
        settled, calm, late = [], [], []
        for world in worlds:
            log = steered(copy.deepcopy(world), 32, chosen, {day: Incident(shift=0.6) for day in range(12, 32)})
            missed = _missed(log.assign(n=_numbers(log["day"])))
            settled.append(_settled(missed, range(12, 32)))
            calm.append(float(np.sqrt(np.square(missed.loc[2:11]).mean().mean())))
            late.append(float(np.sqrt(np.square(missed.loc[22:]).mean().mean())))
        words = ", ".join(f"{name} {getattr(chosen, name):g}" for name in
                          (("step",) if chosen.method == "dual" else ("ki", "kp", "kd")))
        lines.append(f"| {chosen.method}: {words} | {', '.join(settled)} | {np.mean(calm):.1%} | {np.mean(late):.1%} |")
        print(lines[-1], file=sys.stderr, flush=True)
    return lines


def main() -> None:
    """Run what is asked for and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, help="folder for metrics.parquet, decisions.parquet of the 60 days")
    parser.add_argument("--quiet-days", type=int, default=200)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", choices=["control", "quiet", "alarms", "choice"])
    given = parser.parse_args()
    settings, started = MonitorSettings(), time.perf_counter()
    steps: Mapping[str, Callable[[], list[str]]] = {
        "control": lambda: _control(given.out, settings),
        "quiet": lambda: quiet(range(1, given.seeds + 1), given.quiet_days, settings),
        "alarms": lambda: alarms(1, settings),
        "choice": lambda: choice((2, 3)),
    }
    for name, step in steps.items():
        if given.only == name or (given.only is None and name != "choice"):
            print("\n".join([f"### {name}", "", *step(), ""]), flush=True)
    print(f"{time.perf_counter() - started:.0f} s", file=sys.stderr)


def picture(result: Monitored) -> str:
    """The 60 days as one SVG: each goal's exposure and price, and clicks; days held are grey, rollbacks are dots."""
    days = Days(result.metrics, result.decisions, result.to_dict())
    figures = re.findall(
        r"<svg class=\"figure\".*?</svg>(?=<figcaption|</figure>)", monitor_section(days), flags=re.DOTALL
    )
    titles = [re.search(r"<title>(.*?)</title>", figure) for figure in figures]
    style = resources.files("ltexpo.report").joinpath("style.css").read_text(encoding="utf-8")
    width, height, gap = 440, 325, 40
    rows = -(-len(figures) // 2)
    parts = []
    for n, (figure, title) in enumerate(zip(figures, titles, strict=True)):
        x, y = (n % 2) * (width + gap), (n // 2) * (height + gap)
        parts.append(f'<text x="{x}" y="{y + 16}" style="font:600 14px sans-serif;fill:var(--ink)">'
                     f"{title.group(1) if title else ''}</text>")
        parts.append(figure.replace('class="figure"', f'class="figure" x="{x}" y="{y + 22}" width="{width}" '
                                                      f'height="{height - 10}"', 1))
    box = f"-12 -8 {2 * width + gap + 24} {rows * (height + gap) + 16}"
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{box}"><style><![CDATA[{style}]]></style>'
            f'<rect x="-12" y="-8" width="100%" height="100%" style="fill:var(--paper)"/>{"".join(parts)}</svg>\n')


def _control(out: Path | None, settings: MonitorSettings) -> list[str]:
    result = control(1, settings)
    if out is not None:
        write_frame(result.metrics, out / "metrics.parquet")
        write_frame(result.decisions, out / "decisions.parquet")
        (out / "control.svg").write_text(picture(result), encoding="utf-8")
    return control_table(result)


if __name__ == "__main__":
    main()
