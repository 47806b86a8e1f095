"""Amazon Beauty, PGPR split, first 10, training items left out; run: python benchmarks/quality_beauty.py --data PATH.

Weights, trees and the bonus of tail products are chosen on a fifth of each user's training items, drawn at random (the
data has no times). Means over all test users, in %, as in the code of PGPR: nDCG with binary relevance, recall, hit
rate, precision; recall of head and of tail products over the users who have such test products. The second table adds
the also_bought, also_viewed and bought_together edges, as attributes and as edges: they were collected over the test
purchases too and may leak them.

The rule of the last rows, fixed beforehand: every tail or new product's score is raised by one number, the largest of
0, 0.05 … 3 at which the ranker's nDCG@10 on the validation part falls by no more than a tenth (`beauty_model.DEAREST`).
All columns of such a row come from the same lists. What is random there (the network, the users that the trees learn
from, their negatives, the trees) is drawn with three seeds: mean ± largest half interval, and the spread of the seeds.
"""

import argparse
import os
import platform
import resource
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from beauty_model import LABEL_USERS, Catalogue, K, Model, Trees, cosine_lists

from ltexpo.columns import Columns
from ltexpo.data import Dataset, TailSpec, time_split
from ltexpo.data.importers import IMPORTERS
from ltexpo.data.importers.amazon_kg import SOURCE, TEST_TIME
from ltexpo.metrics.accuracy import accuracy_table
from ltexpo.ranking.content import ContentSettings
from ltexpo.ranking.cooccurrence import CooccurrenceSettings
from ltexpo.ranking.holdout import hold_out
from ltexpo.ranking.recommend import RecommendSettings, fit_recommender
from ltexpo.ranking.taste import TasteSettings

TABLES = ("without", "with")
MEASURES = (("ndcg", "all"), ("recall", "all"), ("hit_rate", "all"), ("precision", "all"), ("recall", "head"),
            ("recall", "tail"))
# Baskets are whole histories here, since order and time are unknown; there are no texts.
SETTINGS = RecommendSettings(
    k=K, until=TEST_TIME, users="known", exclude_seen=True, explore=0, validation_k=K,
    validation_users=5000,
    components=("cooccurrence", "content", "taste"),
    cooccurrence=CooccurrenceSettings(window_positions=300, neighbours=1000),
    content=ContentSettings(text_weight=0, max_share=0.02, neighbours=500, popularity=0.4),
    taste=TasteSettings(text_weight=0, max_share=0.5),
)
HEAD = ("| | weight | nDCG@10 | recall@10 | hit@10 | precision@10 | recall@10 head | recall@10 tail | coverage | s |\n"
        "| --- |" + " ---: |" * 9)


class Table:
    """Rows of one table, printed as they come."""

    def __init__(self, wanted: pd.DataFrame, tiers: pd.DataFrame) -> None:
        self.wanted, self.tiers = wanted, tiers

    def judge(self, lists: pd.DataFrame) -> npt.NDArray[np.float64]:
        """(measures + 1, 2): value and half interval in %, last the share of the catalogue that is shown."""
        measured = accuracy_table(lists, self.wanted, self.tiers, k=(K,)).set_index(["metric", "tier"])
        rows = [measured.loc[(f"{metric}@{K}", tier)] for metric, tier in MEASURES]
        coverage = lists[Columns.Item].nunique() / len(self.tiers)
        return 100 * np.array([*((row.value, (row.high - row.low) / 2) for row in rows), (coverage, 0.0)])

    def show(self, name: str, each: list[npt.NDArray[np.float64]], seconds: float, weight: str = "") -> None:
        """One row; several runs are averaged, with the largest half interval and the spread between them."""
        value, half = np.mean([run[:, 0] for run in each], axis=0), np.max([run[:, 1] for run in each], axis=0)
        spread = np.std([run[:, 0] for run in each], axis=0, ddof=1) if len(each) > 1 else None
        cells = [
            f"{value[at]:.2f}" + (f" ± {half[at]:.2f}" if at < len(MEASURES) else "")
            + (f" (seeds {spread[at]:.2f})" if spread is not None else "")
            for at in range(len(value))
        ]
        print(f"| {name} | {weight} | {' | '.join(cells)} | {seconds:.0f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with pgpr/ and cafe/")
    parser.add_argument("--seeds", type=int, default=3, help="runs of what is random")
    parser.add_argument("--tables", nargs="+", choices=TABLES, default=TABLES, help="without and with also_* edges")
    options = parser.parse_args()
    begin = time.perf_counter()
    imported = IMPORTERS[SOURCE](options.data)
    # The rarest category already stands in the path: twice is worse on validation.
    items = imported.items.drop(columns=Columns.Category)
    dataset = Dataset.of(items, imported.events)
    split = time_split(dataset.require_events("the benchmark"), TEST_TIME)
    wanted = split.test.assign(request_id=split.test[Columns.User])
    print(f"{len(dataset.items):,} items, {wanted[Columns.User].nunique():,} users, {len(split.train):,} training and "
          f"{len(wanted):,} test pairs; trees learn from {LABEL_USERS:,} users; {options.seeds} seeds, "
          f"{os.cpu_count()} cores, {platform.machine()}\n")
    given = imported.extra["edges"]
    edges = given.groupby(["relation", "source"])["target"].agg(list).unstack("relation")
    table = Table(wanted, TailSpec().assign(dataset.items, split.train))
    catalogues = dict(zip(TABLES, (
        Catalogue(dataset.items, None), Catalogue(dataset.items.join(edges, on=Columns.Item), given)
    ), strict=True))
    for name in options.tables:
        print(f"\n{name} also_* edges{' (may leak)' if name == 'with' else ''}\n\n{HEAD}", flush=True)
        measure(table, catalogues[name], dataset, split.train, options.seeds)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"\n± is half a 95% interval over users; {time.perf_counter() - begin:.0f} s in all, "
          f"peak memory {peak:.2f} GiB")


def measure(table: Table, catalogue: Catalogue, dataset: Dataset, train: pd.DataFrame, seeds: int) -> None:
    """Print one table: the components, the blend, the network alone, the ranker without and with it."""
    start = time.perf_counter()
    fitted = fit_recommender(Dataset.of(catalogue.items, dataset.events), SETTINGS, 0)
    weights = fitted.report["weights"]
    for name in (*weights, "blend"):
        lists = fitted.recommend(part=None if name == "blend" else name).candidates
        table.show(name, [table.judge(lists)], time.perf_counter() - start,
                   f"{weights[name]:.3f}" if name in weights else "")
        start = time.perf_counter()
    # The same part is held out for all seeds: it is that on which the weights were chosen.
    holdout = hold_out(train, SETTINGS.event_weights, days=None, rng=np.random.default_rng(0))
    notes: list[str] = []
    for network in (False, True):
        start = time.perf_counter()
        alone, plain, lifted, chosen = [], [], [], []
        earlier = later = None
        for seed in range(seeds):
            if network or earlier is None or later is None:
                earlier = Model.fit(catalogue, holdout.earlier, SETTINGS, weights, network=network, seed=seed)
                later = Model.fit(catalogue, train, SETTINGS, weights, network=network, seed=seed)
            trees = Trees.fit(earlier, holdout, seed=seed)
            if network:
                alone.append(table.judge(cosine_lists(later)))
            first, second = trees.lists(later)
            plain.append(table.judge(first))
            lifted.append(table.judge(second))
            chosen.append(trees.bonus)
        seconds = (time.perf_counter() - start) / seeds
        if network:
            table.show("graph network, cosine", alone, seconds)
        name = "ranker with graph network" if network else "ranker without graph network"
        table.show(name, plain, seconds)
        table.show(f"{name}, tail bonus {' '.join(f'{bonus:.2f}' for bonus in chosen)}", lifted, seconds)
        frontier = trees.frontier
        cost = frontier[np.isclose(frontier["bonus"], 0) | np.isclose(frontier["bonus"], trees.bonus)]
        gain = ", ".join(f"{feature} {share:.2f}" for feature, share in trees.gbm.importance().head(10).items())
        notes.append(f"{name}: on validation (last seed)\n{cost.round(4).to_string(index=False)}\ngain: {gain}")
    print("\n" + "\n".join(notes), flush=True)


if __name__ == "__main__":
    main()
