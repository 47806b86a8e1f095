"""Made shops whose truth is known → how far candidates' scores are from P(click | examined), by tier.

Run: python benchmarks/quality_calibration.py [--seeds 0 1 2 3 4]. Ratios are mean score over mean truth; 1 is right.
"""

import argparse

import pandas as pd

from ltexpo.columns import Columns
from ltexpo.data import TailSpec
from ltexpo.data.split import as_utc
from ltexpo.data.synthetic import make_shop
from ltexpo.ranking import RecommendSettings, recommend

UNTIL = "2026-01-17"
"""The shop's last two days are held out, as in the demo."""


def ratios(seed: int) -> dict[str, float]:
    shop = make_shop(n_items=6_000, n_users=4_000, n_days=14, rng=seed)
    events = shop.dataset.require_events("the benchmark")
    tiers = TailSpec().assign(shop.dataset.items, events[events[Columns.Timestamp] < as_utc(UNTIL)])
    candidates = recommend(shop.dataset, RecommendSettings(until=UNTIL), rng=seed).candidates
    truth = shop.truth.attraction(candidates[Columns.User], candidates[Columns.Item])
    tier = candidates[Columns.Item].map(tiers.set_index(Columns.Item)[Columns.Tier])
    frame = pd.DataFrame({"tier": tier, "score": candidates[Columns.Score], "truth": truth})
    first = frame[candidates[Columns.Rank] <= 10]
    means = frame.groupby("tier")[["score", "truth"]].mean()
    return {
        **(means["score"] / means["truth"]).to_dict(),
        "all": frame["score"].mean() / frame["truth"].mean(),
        "first 10": first["score"].mean() / first["truth"].mean(),
        "true clicks of the first 10": first["truth"].sum() / candidates[Columns.Request].nunique(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    columns = ["head", "tail", "new", "all", "first 10", "true clicks of the first 10"]
    print(f"| seed | {' | '.join(columns)} |\n| ---: |{' ---: |' * len(columns)}")
    for seed in parser.parse_args().seeds:
        found = ratios(seed)
        print(f"| {seed} | {' | '.join(f'{found[column]:.2f}' for column in columns)} |", flush=True)


if __name__ == "__main__":
    main()
