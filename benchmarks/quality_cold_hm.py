"""A tenth of H&M's products hidden from training events entirely → how many of their purchases lists find.

Run: python benchmarks/quality_cold_hm.py --hm PATH --vectors DIR (--validate | --test) [--seeds 0,1,2]
Tested as quality_hm.py does, on the hidden products alone.
"""

import argparse
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from hm_days import Day, Shop
from made_shops import drawn
from rivals import TitleCosine

from ltexpo.columns import Columns
from ltexpo.data import Dataset
from ltexpo.data.history import History
from ltexpo.metrics.intervals import Ratio, estimate
from ltexpo.ranking.content import Content
from ltexpo.ranking.model import Model, ModelSettings
from ltexpo.sparse import csr

HIDDEN, FIRST = 0.1, (12, 100)
_AT_ONCE = 256


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hm", type=Path, required=True, help="folder with articles, transactions, or a saved dataset")
    parser.add_argument("--vectors", type=Path, required=True, help="folder of item vectors of H&M, with 'text'")
    parser.add_argument("--seeds", default="0,1,2")
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--validate", action="store_true", help="the 17th; nothing of later days is read")
    which.add_argument("--test", action="store_true", help="the 18th and 19th")
    options = parser.parse_args()
    shop = Shop.open(options.hm, options.vectors, validate=options.validate)
    on_hm(shop, [int(seed) for seed in options.seeds.split(",")])


def on_hm(shop: Shop, seeds: list[int]) -> None:
    """Print recall of hidden products in lists of everything, and in lists of hidden products alone."""
    found: dict[tuple[str, str, int], list[Ratio]] = {}
    for seed in seeds:
        size = len(shop.dataset.items)
        hidden = drawn(size, HIDDEN, np.random.default_rng(2_000 + seed))
        gone = pd.Index(shop.dataset.items.loc[hidden, Columns.Item])
        events = shop.dataset.require_events("the benchmark")
        left = replace(shop.dataset, events=events[~events[Columns.Item].isin(gone)].reset_index(drop=True))
        for day in shop.days:
            wanted = day.wanted[day.wanted[Columns.Item].isin(gone)]
            users = pd.Index(np.sort(wanted[Columns.User].unique()))
            print(f"seed {seed}, {day.day}: {len(gone):,} hidden of {size:,}, {len(wanted):,} of them bought by "
                  f"{len(users):,} users", flush=True)
            for method, among, lists in _hm_lists(shop, left, day, users, gone, seed):
                for k in FIRST:
                    hit = lists[lists[Columns.Rank] <= k].merge(wanted).groupby(Columns.User).size()
                    found.setdefault((method, among, k), []).append(Ratio.of(
                        hit.reindex(users).fillna(0), wanted.groupby(Columns.User).size().reindex(users),
                        (users + f"#{seed}").to_numpy(),
                    ))
    print(f"\n| lists of | method | {' | '.join(f'recall@{k} %' for k in FIRST)} |")
    print("| --- | --- |" + " ---: |" * len(FIRST))
    hidden_size = round(HIDDEN * len(shop.dataset.items))
    for among, pool in (("everything", len(shop.dataset.items)), ("hidden products", hidden_size)):
        for method in dict.fromkeys(name for name, which, _ in found if which == among):
            cells = []
            for k in FIRST:
                parts = found[method, among, k]
                one = estimate(Ratio(*(np.concatenate([getattr(part, name) for part in parts])
                                       for name in ("numerator", "denominator", "clusters"))))
                cells.append(f"{100 * one.value:.2f} ({100 * one.low:.2f}–{100 * one.high:.2f})")
            print(f"| {among} | {method} | {' | '.join(cells)} |")
        print(f"| {among} | random | {' | '.join(f'{100 * min(k / pool, 1):.2f}' for k in FIRST)} |")


def _hm_lists(
    shop: Shop, left: Dataset, day: Day, users: "pd.Index[str]", gone: "pd.Index[str]", seed: int
) -> Iterator[tuple[str, str, pd.DataFrame]]:
    """Method, what its lists are of, and user_id, item_id, rank of the first 100."""
    settings = ModelSettings(until=day.day, k=400, users="known", explore=0.5)
    content = shop.content()
    begin = time.perf_counter()
    model = Model(settings).fit(left, content, rng=seed)
    made = model.recommend(left, content, user_ids=users).candidates
    print(f"model: {time.perf_counter() - begin:.0f} s", flush=True)
    yield "model", "everything", made
    only = made[made[Columns.Item].isin(gone)]
    rank = only.groupby(Columns.User, sort=False).cumcount() + 1
    yield "model", "hidden products", only.assign(**{Columns.Rank: rank})
    events = left.require_events("the benchmark")
    history = History.of(left.items, events[events[Columns.Timestamp] < pd.Timestamp(day.day, tz="UTC")]).also(users)
    items = history.in_code_order(left.items)
    hidden = np.isin(np.arange(history.n_items), history.item_ids.codes(gone))
    for name, scorer in (("title cosine", TitleCosine(shop.matrix("text"))), ("content", Content())):
        fitted: Any = scorer.fit(history, items)
        for among, barred in (("everything", None), ("hidden products", np.flatnonzero(~hidden))):
            yield name, among, pd.concat([
                _first(fitted, history, users[start : start + _AT_ONCE], barred)
                for start in range(0, len(users), _AT_ONCE)
            ])


def _first(
    scorer: Any, history: History, users: "pd.Index[str]", barred: "npt.NDArray[np.int64] | None"
) -> pd.DataFrame:
    """The first 100 of each user without the items `barred`."""
    skip = None
    if barred is not None:
        skip = csr(
            (np.ones(len(users) * len(barred), dtype=np.float32), np.tile(barred, len(users)),
             np.arange(len(users) + 1) * len(barred)), shape=(len(users), history.n_items),
        )
    scores = scorer.score(history.user_ids.codes(users), max(FIRST), skip=skip)
    user = np.repeat(np.arange(len(users)), np.diff(scores.indptr))
    order = np.lexsort((scores.indices, -scores.data, user))
    return pd.DataFrame({
        Columns.User: users[user[order]], Columns.Item: history.item_ids.decode(scores.indices[order]),
        Columns.Rank: np.arange(len(order)) - scores.indptr[user[order]] + 1,
    })


if __name__ == "__main__":
    main()
