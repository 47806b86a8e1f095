"""A run folder → everything the report states, checked and in one place."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from ltexpo.columns import Columns, Tier
from ltexpo.data.dataset import Dataset, describe, read_facts
from ltexpo.data.files import read_json
from ltexpo.data.schema import RANKINGS, read_table
from ltexpo.data.split import as_utc
from ltexpo.data.tables import TRAINED_UNTIL, read_frame, read_metadata
from ltexpo.data.tail import TailSpec
from ltexpo.errors import ColumnError, TableError
from ltexpo.metrics.attention import attention_weights
from ltexpo.report.monitored import DECISION_COLUMNS, METRIC_COLUMNS, Days
from ltexpo.report.simulated import Simulated

RANKINGS_FILE = Path("rankings/rankings.parquet")
CONTROL_FILE = Path("rankings/control.parquet")
CERTIFICATE_FILE = Path("rankings/certificate.json")
PROMOTIONS_FILE = Path("rankings/promotions.parquet")
CANDIDATES_FILE = Path("candidates/candidates.parquet")
CANDIDATES_FACTS_FILE = Path("candidates/recommend.json")
METRICS_FILE = Path("evaluation/metrics.parquet")
METRICS_FACTS_FILE = Path("evaluation/metrics.json")
FRONTIER_FILE = Path("frontier/frontier.parquet")
FRONTIER_FACTS_FILE = Path("frontier/frontier.json")
EXPERIMENT_FOLDER = Path("experiment")
OFF_POLICY_FILE = Path("ope/ope.json")
MONITOR_FOLDER = Path("monitor")

IN_TAIL = "in_tail"
"""Column of `Facts.control` and `Facts.rankings`: the row's product is not in the head."""


@dataclass(frozen=True)
class Facts:
    """What a run folder holds; tables of stages that were not run are None."""

    name: str
    dataset: Dataset
    described: Mapping[str, Any]
    """Counts of the data: its dataset.json, or worked out now."""
    tiers: pd.DataFrame
    """item_id, interactions, tier of the full catalogue."""
    tail: TailSpec
    trained_until: pd.Timestamp | None
    """Tiers count events before this moment; None: all events."""
    control: pd.DataFrame
    """request_id, rank, item_id, exposure, in_tail, [score, user_id]: the lists before."""
    rankings: pd.DataFrame
    """The same columns: the lists after."""
    certificate: Mapping[str, Any]
    promotions: pd.DataFrame | None
    """request_id, item_id, rank_before, rank, goal, price, displaced, clicks_given_up."""
    frontier: pd.DataFrame | None
    """share, clicks, upper_bound, loss, loss_low, loss_high, feasible, [price, score_low, score_high]: what every tail
    share would cost."""
    frontier_facts: Mapping[str, Any]
    experiment: Simulated | None
    off_policy: Mapping[str, Any]
    """What ope.json holds: the estimators' answers."""
    monitored: Days | None
    """Real traffic, day by day."""
    evaluation: pd.DataFrame | None
    """arm, metric, k, tier, value, low, high, n."""
    evaluation_facts: Mapping[str, Any]
    candidates_facts: Mapping[str, Any]


def gather(run: Path, *, data: Path | None = None, tail: TailSpec | None = None) -> Facts:
    """Read the run folder `run`; `data` is its dataset (default RUN/data).

    Raises `TableError` or `ColumnError` when the rankings or their control are missing, broken, or of different
    requests, and when they show products that the dataset does not hold.
    """
    run = Path(run)
    spec = tail or TailSpec()
    if not run.is_dir():
        raise TableError(f"--run {run}: no such folder. Give the folder of a run.")
    for needed, what in ((RANKINGS_FILE, "re-ranked lists"), (CONTROL_FILE, "lists before re-ranking")):
        if not (run / needed).exists():
            raise TableError(
                f"{run / needed}: is missing, and a report needs the {what}. "
                f"Run 'ltexpo rerank' with --out {run / needed.parent} first."
            )
    dataset = Dataset.load(data or run / "data")
    trained_until = _trained_until(run)
    tiers = _tiers(dataset, spec, trained_until)
    certificate = _json(run / CERTIFICATE_FILE)
    control, rankings = (
        _lists(run / path, tiers, certificate.get("attention", "log2")) for path in (CONTROL_FILE, RANKINGS_FILE)
    )
    _refuse_other_requests(control, rankings, run)
    return Facts(
        name=run.resolve().name,
        dataset=dataset,
        described=read_facts(dataset.root or run) or describe(dataset),
        tiers=tiers,
        tail=spec,
        trained_until=trained_until,
        control=control,
        rankings=rankings,
        certificate=certificate,
        promotions=_frame(run / PROMOTIONS_FILE, ("item_id", "rank", "goal", "displaced", "clicks_given_up")),
        frontier=_frame(
            run / FRONTIER_FILE, ("share", "clicks", "upper_bound", "loss", "loss_low", "loss_high", "feasible")
        ),
        frontier_facts=_json(run / FRONTIER_FACTS_FILE),
        experiment=_tested(run / EXPERIMENT_FOLDER),
        off_policy=_json(run / OFF_POLICY_FILE),
        monitored=_monitored(run / MONITOR_FOLDER),
        evaluation=_frame(run / METRICS_FILE, ("arm", "metric", "k", "tier", "value", "low", "high")),
        evaluation_facts=_json(run / METRICS_FACTS_FILE),
        candidates_facts=_json(run / CANDIDATES_FACTS_FILE),
    )


def _trained_until(run: Path) -> pd.Timestamp | None:
    """When training ended, as the maker of the lists or of their candidates noted it."""
    for path in (run / RANKINGS_FILE, run / CANDIDATES_FILE):
        noted = read_metadata(path).get(TRAINED_UNTIL) if path.exists() else None
        if noted:
            return as_utc(noted)
    return None


def _tiers(dataset: Dataset, spec: TailSpec, trained_until: pd.Timestamp | None) -> pd.DataFrame:
    events = dataset.events
    if events is None:
        events = pd.DataFrame({Columns.Item: [], Columns.Event: []})
    elif trained_until is not None:
        events = events[events[Columns.Timestamp] < trained_until]
    return spec.assign(dataset.items, events)


def _lists(path: Path, tiers: pd.DataFrame, attention: str | list[float]) -> pd.DataFrame:
    frame = read_table(path, RANKINGS).frame
    tier = frame[Columns.Item].map(tiers.set_index(Columns.Item)[Columns.Tier])
    if tier.isna().any():
        unknown = frame.loc[tier.isna(), Columns.Item]
        raise TableError(
            f"{path}: item_id '{unknown.iloc[0]}' is not in items ({len(unknown)} such rows). "
            "Give the dataset that the lists were made from."
        )
    if Columns.Exposure not in frame.columns:
        ranks = frame[Columns.Rank].to_numpy()
        frame[Columns.Exposure] = attention_weights(attention, int(ranks.max()))[ranks - 1]
    frame[IN_TAIL] = (tier != Tier.Head).to_numpy()
    return frame


def _refuse_other_requests(control: pd.DataFrame, rankings: pd.DataFrame, run: Path) -> None:
    before, after = (set(lists[Columns.Request].unique()) for lists in (control, rankings))
    if before != after:
        raise TableError(
            f"{run / RANKINGS_FILE}: holds {len(after - before)} requests that control.parquet lacks and lacks "
            f"{len(before - after)} of its requests. Re-rank the same candidates for both."
        )


def _tested(folder: Path) -> Simulated | None:
    """The simulated test; None where there is none, `TableError` where a part of it is missing."""
    effects = _frame(
        folder / "experiment.parquet", ("arm", "reading", "by", "segment", "metric", "control", "difference", "p_holm")
    )
    if effects is None:
        return None
    looks = _frame(folder / "looks.parquet", ("arm", "metric", "day", "difference", "low", "high", "fixed_low"))
    days = _frame(folder / "days.parquet", ("arm", "day", "users", "active", "stay", "visits", "clicks"))
    items = _frame(folder / "items.parquet", ("arm", "item_id", "exposure"))
    if looks is None or days is None or items is None:
        raise TableError(f"{folder}: lacks looks.parquet, days.parquet or items.parquet. Run 'ltexpo simulate' again.")
    if effects.empty:
        raise TableError(f"{folder / 'experiment.parquet'}: holds no effect. Run 'ltexpo simulate' again.")
    return Simulated(
        effects, looks, days, items,
        _frame(folder / "validity.parquet", ("arm", "check", "metric", "asked", "got", "low", "high", "passed")),
        _frame(folder / "fidelity.parquet", ("what", "by", "group", "predicted", "actual", "low", "high")),
        _frame(folder / "designs.parquet", ("design", "outcome", "estimate", "low", "high", "total", "factor")),
        _json(folder / "experiment.json"),
    )


def _monitored(folder: Path) -> Days | None:
    """What a monitor found; None where there is none, `TableError` where a part of it is missing."""
    metrics = _frame(folder / "metrics.parquet", METRIC_COLUMNS)
    if metrics is None:
        return None
    decisions = _frame(folder / "decisions.parquet", DECISION_COLUMNS)
    told = _json(folder / "monitor.json")
    if decisions is None or "day" not in told or metrics.empty:
        raise TableError(f"{folder}: lacks decisions.parquet or monitor.json. Run 'ltexpo monitor' again.")
    return Days(metrics, decisions, told)


def _frame(path: Path, columns: tuple[str, ...]) -> pd.DataFrame | None:
    if not path.exists():
        return None
    frame = read_frame(path)
    missing = [column for column in columns if column not in frame.columns]
    if missing:
        raise ColumnError(
            f"{path}: lacks '{missing[0]}'; found {', '.join(map(str, frame.columns))}. Run that stage again."
        )
    return frame


def _json(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    held = read_json(path)
    if not isinstance(held, dict):
        raise TableError(f"{path}: holds a {type(held).__name__}, expected named values. Run that stage again.")
    return held
