"""Amazon Beauty, PGPR split, first 10, training items left out; run: python benchmarks/quality_beauty.py --data PATH.

Weights are chosen on a fifth of each user's training items, drawn at random (the data has no times). Means over all
test users, in %, as in the code of PGPR: nDCG with binary relevance, recall, hit rate, precision. The last rows add
the also_bought, also_viewed and bought_together edges as attributes: they were collected over the test purchases too
and may leak them.
"""

import argparse
import os
import platform
import resource
import time
from pathlib import Path

from ltexpo.columns import Columns
from ltexpo.data import Dataset, TailSpec, time_split
from ltexpo.data.importers import IMPORTERS
from ltexpo.data.importers.amazon_kg import SOURCE, TEST_TIME
from ltexpo.metrics.accuracy import accuracy_table
from ltexpo.ranking.content import ContentSettings
from ltexpo.ranking.cooccurrence import CooccurrenceSettings
from ltexpo.ranking.recommend import RecommendSettings, fit_recommender
from ltexpo.ranking.taste import TasteSettings

K = 10
METRICS = ("ndcg", "recall", "hit_rate", "precision")
# Baskets are whole histories here, since order and time are unknown; there are no texts.
SETTINGS = RecommendSettings(
    k=K, until=TEST_TIME, users="known", exclude_seen=True, explore=0, validation_k=K,
    validation_users=5000,
    components=("cooccurrence", "content", "taste"),
    cooccurrence=CooccurrenceSettings(window_positions=300, neighbours=1000),
    content=ContentSettings(text_weight=0, max_share=0.02, neighbours=500, popularity=0.4),
    taste=TasteSettings(text_weight=0, max_share=0.5),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with pgpr/ and cafe/")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    begin = time.perf_counter()
    imported = IMPORTERS[SOURCE](options.data)
    # The rarest category already stands in the path: twice is worse on validation.
    items = imported.items.drop(columns=Columns.Category)
    dataset = Dataset.of(items, imported.events)
    split = time_split(dataset.require_events("the benchmark"), TEST_TIME)
    wanted = split.test.assign(request_id=split.test[Columns.User])
    print(f"{len(dataset.items):,} items, {wanted[Columns.User].nunique():,} users, {len(split.train):,} training and "
          f"{len(wanted):,} test pairs; seed {options.seed}, {os.cpu_count()} cores, {platform.machine()}\n")
    print("| | weight | nDCG@10 | recall@10 | hit@10 | precision@10 | recall@10 tail |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    edges = imported.extra["edges"].groupby(["relation", "source"])["target"].agg(list).unstack("relation")
    with_edges = items.join(edges, on=Columns.Item)
    tiers = TailSpec().assign(dataset.items, split.train)
    for title, data in (("", dataset), (" + also_* edges (may leak)", Dataset.of(with_edges, imported.events))):
        fitted = fit_recommender(data, SETTINGS, options.seed)
        weights = fitted.report["weights"]
        for name in ("blend", *weights) if not title else ("blend", "content", "taste"):
            lists = fitted.recommend(part=None if name == "blend" else name).candidates
            measured = accuracy_table(lists, wanted, tiers, k=(K,)).set_index(["metric", "tier"])
            rows = [measured.loc[(f"{metric}@{K}", "all")] for metric in METRICS]
            rows.append(measured.loc[(f"recall@{K}", "tail")])
            cells = [f"{100 * row.value:.2f} ± {50 * (row.high - row.low):.2f}" for row in rows]
            weight = f"{weights[name]:.3f}" if name in weights else ""
            print(f"| {name}{title} | {weight} | {' | '.join(cells)} |", flush=True)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"\n± is half a 95% interval over users; {time.perf_counter() - begin:.0f} s in all, "
          f"peak memory {peak:.2f} GiB")


if __name__ == "__main__":
    main()
