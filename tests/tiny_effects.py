"""The tables of a simulated A/B test, by hand."""

from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd

from ltexpo.data.files import write_json
from ltexpo.data.tables import write_frame
from ltexpo.simulate.stats.effect import Spread, effect

N_ITEMS = 120

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
