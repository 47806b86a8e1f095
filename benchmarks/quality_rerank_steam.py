"""Steam scores of FairDiverse → our lists against the LP optimum by HiGHS, publishers and single games as goals.

Run: python benchmarks/quality_rerank_steam.py [--data ../shared/data/steam_fairdiverse]. 1,645 requests × 200
candidates, top 10, log2 attention. Every publisher gets at least `--share` of what its candidates would get by lot.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np

from ltexpo.rerank.attain import attainable
from ltexpo.rerank.exact import solve_exact
from ltexpo.rerank.problem import Goals, Problem
from ltexpo.rerank.solve import solve


def steam_problem(folder: Path, *, k: int, share: float, item_share: float) -> Problem:
    """Floors for all 43 publishers, and for every game that has candidates if `item_share` > 0."""
    stored = np.load(folder / "log" / "ranking_scores.npz", allow_pickle=False)
    publisher = {int(i): int(p) for i, p in json.loads((folder / "iid2pid.json").read_text()).items()}
    n_items = int(stored["shape"][1])
    # some requests hold a game twice: the first by score counts
    order = np.lexsort((-stored["data"], stored["col"], stored["row"]))
    pair = stored["row"][order].astype(np.int64) * n_items + stored["col"][order]
    order = order[np.concatenate([[True], np.diff(pair) > 0])]
    row, items = stored["row"][order], stored["col"][order]
    scores = stored["data"][order]
    if scores.min() < 0 or scores.max() > 1:
        scores = 1.0 / (1.0 + np.exp(-scores))
    counts = np.unique(row, return_counts=True)[1]
    indptr = np.concatenate([[0], np.cumsum(counts)])
    codes = np.array([publisher.get(i, -1) for i in range(n_items)])
    n_publishers = int(codes.max()) + 1
    games = np.unique(items)
    total = len(counts) * (1 / np.log2(np.arange(2, k + 2))).sum()
    offered = np.bincount(items, minlength=n_items)
    of_publisher = np.bincount(codes[items[codes[items] >= 0]], minlength=n_publishers)
    target = [share * total * of_publisher / len(items)]
    group = [np.arange(n_publishers)]
    if item_share > 0:
        target.append(item_share * total * offered[games] / len(items))
        group.append(n_publishers + games)
    pairs = [(codes[codes >= 0], np.flatnonzero(codes >= 0)), (n_publishers + games, games)]
    ids, members = (np.concatenate(part) for part in zip(*pairs, strict=True))
    by_item = np.argsort(members, kind="stable")
    return Problem.build(
        indptr, items, scores, attention=1 / np.log2(np.arange(2, k + 2)),
        group_indptr=np.concatenate([[0], np.cumsum(np.bincount(members, minlength=n_items))]), group_ids=ids[by_item],
        goals=Goals(np.concatenate(group), np.ones(sum(map(len, group)), np.int8), np.concatenate(target)),
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/steam_fairdiverse"))
    parser.add_argument("--k", type=int, default=10)
    parser.add_argument("--share", type=float, default=0.5)
    parser.add_argument("--item-share", type=float, default=0.0)
    parser.add_argument("--exact", action="store_true", help="also solve the LP by HiGHS (minutes)")
    options = parser.parse_args()
    problem = steam_problem(options.data, k=options.k, share=options.share, item_share=options.item_share)
    solve(problem)  # compiles
    answer = solve(problem)
    line = {
        "lists": problem.n_lists, "goals": len(problem.goals), "met": int(answer.met.sum()),
        "attainable": int((attainable(problem) >= problem.goals.target).sum()), "clicks_before": answer.clicks_before,
        "clicks_after": answer.clicks_after, "upper_bound": answer.upper_bound, "gap": answer.gap,
        "passes": answer.passes, "seconds": answer.seconds,
    }  # fmt: skip
    if options.exact:
        began = time.perf_counter()
        exact = solve_exact(problem)
        line |= {"lp": exact.clicks, "share_of_lp": answer.clicks_after / exact.clicks}
        line |= {"highs_seconds": time.perf_counter() - began}
    print(json.dumps(line, indent=1))


if __name__ == "__main__":
    main()
