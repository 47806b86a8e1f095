"""A small run folder, made by hand up to the re-ranker."""

import shutil
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageDraw

from ltexpo.columns import Columns
from ltexpo.data.dataset import Dataset
from ltexpo.data.tables import write_frame, write_json
from ltexpo.data.tail import TailSpec
from ltexpo.rerank import Goal, RerankSettings, frontier, rerank
from ltexpo.simulate.stats.effect import Spread, effect

N_ITEMS, N_USERS, N_CANDIDATES = 120, 60, 30
EVIL_TITLE = '<script>alert("x")</script> & "sons"'


def draw(path: Path, hue: int) -> None:
    picture = Image.new("RGB", (200, 260), "white")
    ImageDraw.Draw(picture).ellipse((30, 40, 170, 220), fill=f"hsl({hue}, 60%, 55%)")
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path)


def make_run(folder: Path) -> Path:
    rng = np.random.default_rng(7)
    item_ids = [f"p{i:03d}" for i in range(N_ITEMS)]
    items = pd.DataFrame({
        Columns.Item: item_ids,
        Columns.Title: [f"Product {i} with a name" for i in range(N_ITEMS)],
        Columns.Brand: [f"Brand {i % 7}" if i % 11 else None for i in range(N_ITEMS)],
        Columns.Seller: [f"s{i % 5}" for i in range(N_ITEMS)],
        Columns.Price: np.round(rng.lognormal(3, 0.6, N_ITEMS), 2),
        Columns.Image: [f"images/{i}.png" if i % 9 else None for i in range(N_ITEMS)],
    })
    items.loc[items.index > 20, Columns.Title] = items[Columns.Title] + " " + EVIL_TITLE
    popularity = 1.0 / np.arange(1, N_ITEMS + 1)
    popularity[100:] = 0
    shown = rng.choice(N_ITEMS, 3_000, p=popularity / popularity.sum())
    events = pd.DataFrame({
        Columns.User: [f"secret-user-{u}" for u in rng.integers(0, N_USERS, len(shown))],
        Columns.Item: [item_ids[i] for i in shown],
        Columns.Event: "click",
        Columns.Timestamp: pd.Timestamp("2024-03-01", tz="UTC") + pd.to_timedelta(np.arange(len(shown)), unit="min"),
    })
    dataset = Dataset.of(items, events)
    dataset.save(folder / "data", source="a made-up shop", left_out={"returned goods": 12})
    for i in range(N_ITEMS):
        if i % 9 and i % 10:
            draw(folder / "data" / "images" / f"{i}.png", 3 * i)
    (folder / "data" / "images" / "40.png").write_bytes(b"not a picture")

    rows = []
    for user in range(N_USERS):
        chosen = np.sort(rng.choice(N_ITEMS, N_CANDIDATES, replace=False))
        score = 0.25 * np.exp(-chosen / 60) * rng.uniform(0.6, 1.0, N_CANDIDATES)
        rows += [
            {Columns.Request: f"secret-user-{user}", Columns.User: f"secret-user-{user}",
             Columns.Item: item_ids[i], Columns.Score: s}
            for i, s in zip(chosen, score, strict=True)
        ]
    candidates = pd.DataFrame(rows)
    until = "2024-03-02T12:00:00+00:00"
    write_frame(candidates, folder / "candidates" / "candidates.parquet", metadata={"trained_until": until})
    train = dataset.require_events("test")
    tiers = TailSpec().assign(dataset.items, train[train[Columns.Timestamp] < pd.Timestamp(until)])
    items = dataset.items.assign(tier=tiers[Columns.Tier].to_numpy())
    result = rerank(candidates, items, RerankSettings(k=10, goals=(Goal(group="tail", min_share=0.4),)))
    write_frame(result.rankings, folder / "rankings" / "rankings.parquet", metadata={"trained_until": until})
    write_frame(result.control, folder / "rankings" / "control.parquet", metadata={"trained_until": until})
    write_frame(result.promotions, folder / "rankings" / "promotions.parquet")
    write_json(result.certificate.to_dict(), folder / "rankings" / "certificate.json")
    drawn = frontier(candidates, items, RerankSettings(k=10), n_points=5)
    write_frame(drawn.points, folder / "frontier" / "frontier.parquet")
    write_json({"knee_row": drawn.knee_row}, folder / "frontier" / "frontier.json")
    write_experiment(folder / "experiment", "treatment")
    _evaluation(folder / "evaluation")
    return folder


METRICS = {
    # control, treatment, then the error of the difference: of the effect, and of a test that has half of the users.
    "clicks per visit": (0.731, 0.728, 0.0026, 0.02),
    "click-through rate": (0.0731, 0.0728, 0.00026, 0.002),
    "tail share of exposure": (0.0001, 0.35, 0.004, 0.03),
    "tail share of clicks": (0.1, 0.16, 0.01, 0.04),
    "tail clicks per visit": (0.0, 0.12, 0.01, 0.02),
    "purchases per visit": (0.08, 0.0801, 0.0017, 0.01),
    "revenue per visit": (2.51, 2.35, 0.03, 0.2),
}
TIER_METRICS = {"share of exposure": (0.3, 0.4, 0.01, 0.03), "clicks per visit": (0.3, 0.2, 0.01, 0.03)}
SEGMENTS = {"tenure": {"new": 12, "earlier": 48}, "activity": {"low": 30, "high": 30}}


def effect_row(
    arm: str, reading: str, by: str, segment: str, metric: str, numbers: tuple[float, float, float, float], users: int
) -> dict[str, object]:
    """As `ltexpo simulate` writes it; half of `users` in each arm of the test."""
    paired = reading == "effect"
    control, treatment, error = numbers[0], numbers[1], numbers[2 if paired else 3]
    spread = Spread(error**2 / 2, error**2 / 2, 0.0, 1e9)
    n = users if paired else users // 2
    method = "delta method, paired users" if paired else "delta method"
    found = asdict(effect(metric, treatment, control, spread, counts=(n, n), level=0.95, method=method))
    return {"arm": arm, "reading": reading, "by": by, "segment": segment, **found, "p_holm": found["p_value"],
            "p_bh": found["p_value"]}


def effects_table(*arms: str) -> pd.DataFrame:
    rows = []
    for arm in arms:
        for reading in ("effect", "test"):
            rows += [effect_row(arm, reading, "all", "all", name, held, 60) for name, held in METRICS.items()]
            for by, segments in SEGMENTS.items():
                for segment, users in segments.items():
                    for name, held in METRICS.items():
                        rows.append(effect_row(arm, reading, by, segment, name, held, users))
            for tier in ("head", "tail", "new"):
                for name, held in TIER_METRICS.items():
                    rows.append(effect_row(arm, reading, "item tier", tier, name, held, 60))
    return pd.DataFrame(rows)


def write_experiment(folder: Path, *arms: str) -> None:
    """An experiment of 60 users and 5 days by hand, with its verdicts."""
    write_frame(effects_table(*arms), folder / "experiment.parquet")
    looks, days, items = [], [], []
    for arm in arms:
        for metric, (control, treatment, _, error) in METRICS.items():
            for day in range(1, 6):
                half, shift = 2 * error * np.sqrt(5 / day), treatment - control
                looks.append({
                    "day": day, "metric": metric, "control": control, "treatment": treatment, "difference": shift,
                    "low": shift - 1.5 * half, "high": shift + 1.5 * half, "p_value": 0.5,
                    "fixed_low": shift - half, "fixed_high": shift + half, "arm": arm,
                })
    for place, arm in enumerate(("control", *arms)):
        for day in range(1, 6):
            days.append({
                "arm": arm, "day": day, "users": 60, "active": 20 + place, "stay": 60 - day, "visits": 30,
                "clicks": 22 - place, "tail_share": 0.1 + 0.1 * place,
            })
        for i in range(N_ITEMS):
            exposure = 100.0 / (i + 1) ** (1.5 - 0.3 * place)
            items.append({"arm": arm, "item_id": f"p{i:03d}", "tier": "tail", "impressions": 2 * exposure,
                          "exposure": exposure, "clicks": 1.0, "purchases": 0.0})
    for name, rows in (("looks", looks), ("days", days), ("items", items)):
        write_frame(pd.DataFrame(rows), folder / f"{name}.parquet")
    rail = {"metric": "clicks per visit", "margin": 0.03, "state": "open", "reason": "too few"}
    write_json({
        "environment": "known", "click_model": "position-based", "source": "the made shop's truth",
        "users": dict.fromkeys(("control", *arms), 30), "visits": dict.fromkeys(("control", *arms), 150), "days": 5,
        "before_days": 2, "level": 0.95, "behaviour": {"fatigue": 0.1, "budget": None}, "retrain_every": None,
        "log": None, "sample_ratio": {"ok": True, "p_value": 0.8}, "seed": 3,
        "verdicts": {
            arm: {"decision": "HOLD", "reason": "too few", "more_users": 240, "more_days": 20,
                  "primary": "tail share of exposure", "guardrails": [rail]}
            for arm in arms
        },
    }, folder / "experiment.json")


def _evaluation(folder: Path) -> None:
    rows = []
    for metric in ("recall@10", "ndcg@10", "coverage@10"):
        for tier, value in (("all", 0.12), ("head", 0.2), ("tail", 0.03), ("new", float("nan"))):
            for arm, shift in (("rankings", 0.01), ("control", 0.0)):
                rows.append((arm, metric, 10, tier, value + shift, value + shift - 0.004, value + shift + 0.004, 60))
            rows.append(("difference", metric, 10, tier, 0.01, 0.004 if tier == "tail" else -0.002, 0.02, 60))
    columns = ["arm", "metric", "k", "tier", "value", "low", "high", "n"]
    write_frame(pd.DataFrame(rows, columns=columns), folder / "metrics.parquet")
    write_json({"health": {"lists": 60}}, folder / "metrics.json")


@pytest.fixture(scope="session")
def made_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Read only: the whole run."""
    return make_run(tmp_path_factory.mktemp("made") / "run")


@pytest.fixture
def own_run(made_run: Path, tmp_path: Path) -> Path:
    """A copy to break."""
    return Path(shutil.copytree(made_run, tmp_path / "run"))
