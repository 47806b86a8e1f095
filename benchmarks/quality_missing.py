"""A made shop with pictures, titles and histories hidden → what the model's lists are worth by the truth, row by row.

    python benchmarks/quality_missing.py --out DIR [--items 3000 --users 3000 --days 14] [--seeds 0,1,2]
0, 30, 60 and 90% of the products lose one part, then 60% lose each of the three (drawn apart). Every
run (row, seed) is kept in DIR, so that they can be made one by one: the tables are of all that are there.

Beside the model stand the parts alone, under the same hiding: cosine of texts and of pictures with what the user took,
co-occurrence and popularity; where one of them knows too few products, its list goes on by popularity, and then by
item_id. The model's lists are its scores' order with nothing kept free for tail or new products. A score is an honest
chance of a click: what nobody was ever shown has the chance of the average product of its kind, and stands below what
clicks have proved, however good it may be. A list that is to find such products must pay for it, and the single parts
pay by not knowing what clicks prove. 'exploring' is the same model with a fifth of each list of 50 kept free for new
products (`explore_new: 0.2`), in the order of scores. Beside both stands how true the scores of new products are.
"""

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from made_shops import Made, Mask, tiers_of
from rivals import TitleCosine

from ltexpo.columns import Columns, Tier
from ltexpo.data import Dataset
from ltexpo.data.history import History
from ltexpo.encoders.item_vectors import Content
from ltexpo.jobs.demo import SMALL_MODEL
from ltexpo.metrics.attention import attention_weights
from ltexpo.metrics.intervals import Estimate, Ratio, difference, estimate
from ltexpo.ranking.cooccurrence import Cooccurrence
from ltexpo.ranking.explore import best_with_tail
from ltexpo.ranking.model import Model, ModelSettings
from ltexpo.ranking.popularity import Popularity
from ltexpo.sparse import Csr

K, BEST, ALL, FREE = 10, 50, 500, 0.2
"""Length of the lists; of each user's truly best products that are to be found; the most candidates of a user; and the
share of the first 50 that the exploring lists keep free for new products."""
SHARES = (0.3, 0.6, 0.9)
PARTS = {"image": "pictures", "text": "titles", "history": "histories"}
ROWS: dict[str, dict[str, float]] = {
    "nothing": {},
    **{f"{share:.0%} of {name}": {part: share} for part, name in PARTS.items() for share in SHARES},
    "60% of each": dict.fromkeys(PARTS, 0.6),
}
SINGLES = ("text", "image", "cooccurrence", "popularity")
FEW = {"rolling": {"days": 5, "min_users": 20, "min_clicks": 100}}
"""So that a log of which 90% are hidden is still learnt from as a log of impressions."""
Codes = npt.NDArray[np.int64]


def run(made: Made, row: str, seed: int, people: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Of one hiding: what each user's lists are worth by method, and the model's scores against the truth by decile."""
    rng = np.random.default_rng(1_000 + seed)
    # The same draw for every row, so that 60% of the titles are among 90% of them.
    order = {part: rng.permutation(len(made.shop.dataset.items)) for part in PARTS}
    size = len(made.shop.dataset.items)
    hidden = {part: order[part] < round(share * size) for part, share in ROWS[row].items()}
    dataset, content = made.without(hidden)
    active = made.shop.dataset.require_events("the benchmark").query("event != 'impression'")[Columns.User].unique()
    users = pd.Index(np.sort(rng.choice(np.sort(active), min(people, len(active)), replace=False)))
    ids = np.sort(dataset.items[Columns.Item].to_numpy(dtype=object))
    truth = made.shop.truth.attraction_matrix(users, ids)
    either = np.any([*hidden.values()], axis=0) if hidden else np.zeros(size, dtype=bool)
    gone = pd.Series(either, index=dataset.items[Columns.Item]).reindex(ids).to_numpy()

    begin = time.perf_counter()
    settings = ModelSettings(k=ALL, explore=0.0, explore_new=0.0, **SMALL_MODEL, **FEW)
    model = Model(settings).fit(dataset, content, rng=seed)
    candidates = model.recommend(dataset, content, user_ids=users).candidates
    seconds = time.perf_counter() - begin
    interactions = tiers_of(dataset, dataset.require_events("the benchmark"))
    new = candidates[Columns.Item].map(interactions[Columns.Tier]).to_numpy() == Tier.New
    lists = {
        "model": _matrix(candidates, users, ids), "exploring": _matrix(_exploring(candidates, new), users, ids),
        **dict(_singles(dataset, content, users, ids)),
    }
    each = pd.concat([_worth(found, truth, gone).assign(method=name, user=users) for name, found in lists.items()])
    best = candidates[Columns.Rank] <= BEST
    deciles = _deciles(candidates[best], made, interactions[Columns.Interactions])
    return each.assign(seconds=seconds), pd.concat([deciles, _deciles(candidates[new], made, None)])


def _exploring(candidates: pd.DataFrame, new: npt.NDArray[np.bool_]) -> pd.DataFrame:
    """The first 50 of each user when a fifth of them is kept free for `new` (n,) products, and what follows them."""
    user, item = (pd.factorize(candidates[name], sort=True)[0] for name in (Columns.User, Columns.Item))
    score = candidates[Columns.Score].to_numpy()
    kept = best_with_tail(user, item, score, np.zeros(len(new), bool), k=BEST, share=0, in_new=new, new_share=FREE)
    rest = np.setdiff1d(np.arange(len(new)), kept)
    ordered = candidates.iloc[np.concatenate([kept, rest])].copy()
    ordered[Columns.Rank] = ordered.groupby(Columns.User, sort=False).cumcount() + 1
    return ordered


def _worth(lists: Codes, truth: npt.NDArray[np.float64], gone: Mask) -> pd.DataFrame:
    """Expected clicks of the first 10 and of the best 10, and how many of the best 50 are found; of hidden products
    too, once in lists of everything, once in lists of them alone."""
    curve = attention_weights("log2", K)
    best = np.argsort(-truth, axis=1, kind="stable")

    def clicks(chosen: Codes) -> npt.NDArray[np.float64]:
        # −1, an empty slot, is worth nothing
        return np.asarray(np.take_along_axis(np.c_[truth, np.zeros(len(truth))], chosen[:, :K], axis=1) @ curve)

    hit = (best[:, :BEST, None] == lists[:, None, :BEST]).any(axis=2)
    theirs = gone[best[:, :BEST]]
    found = {
        "clicks": clicks(lists), "possible": clicks(best), "found": hit.sum(axis=1), "wanted": BEST,
        "found_hidden": (hit & theirs).sum(axis=1), "wanted_hidden": theirs.sum(axis=1),
        "clicks_hidden": 0.0, "possible_hidden": 0.0,
    }
    if gone.any():
        alone = [_only(chosen, np.r_[gone, False]) for chosen in (lists, best)]
        found |= {"clicks_hidden": clicks(alone[0]), "possible_hidden": clicks(alone[1])}
    return pd.DataFrame(found)


def _only(lists: Codes, kept: Mask) -> Codes:
    """The first 10 that are `kept` (I + 1,) of each list, −1 where there are fewer."""
    # A stable sort brings what is kept to the front, in its order.
    order = np.argsort(~kept[lists], axis=1, kind="stable")[:, :K]
    chosen = np.take_along_axis(lists, order, axis=1)
    return np.where(kept[chosen], chosen, -1)


def _matrix(candidates: pd.DataFrame, users: "pd.Index[str]", ids: npt.NDArray[np.object_]) -> Codes:
    """(B, 500) item codes, best first; −1 where a list is shorter."""
    lists = np.full((len(users), ALL), -1)
    lists[users.get_indexer(candidates[Columns.User]), candidates[Columns.Rank] - 1] = np.searchsorted(
        ids.astype(str), candidates[Columns.Item].to_numpy(dtype=str)
    )
    return lists


def _singles(
    dataset: Dataset, content: Content, users: "pd.Index[str]", ids: npt.NDArray[np.object_]
) -> Iterator[tuple[str, Codes]]:
    history = History.of(dataset.items, dataset.require_events("the benchmark")).also(users)
    items = history.in_code_order(dataset.items)
    codes = history.user_ids.codes(users)
    row = pd.Index(dataset.items[Columns.Item]).get_indexer(ids)
    taken = _rows(Popularity().fit(history, items).score(codes, len(ids)), len(ids))
    popular = _filled(taken, np.tile(np.arange(len(ids)), (len(users), 1)))
    for name in SINGLES:
        if name == "popularity":
            yield name, popular
            continue
        if name == "cooccurrence":
            found = _rows(Cooccurrence().fit(history, items).score(codes, len(ids)), len(ids))
        else:
            vectors, there = content[name][0][row], content[name][1][row]
            length = np.linalg.norm(vectors, axis=1, keepdims=True)
            unit = (vectors / np.maximum(length, 1e-9)).astype(np.float32)
            scores = TitleCosine(unit).fit(history, items).score(codes, len(ids))
            # A product without a vector is as far from everything as it can be told; 1 is its score.
            scores.data[(scores.data <= 1) | ~there[scores.indices]] = 0
            scores.eliminate_zeros()
            found = _rows(scores, len(ids))
        yield name, _filled(found, popular)


def _rows(scores: Csr, n: int) -> Codes:
    """Best `n` columns of each row, best first, ties by column; −1 where there are fewer."""
    out = np.full((scores.shape[0], n), -1)
    user = np.repeat(np.arange(scores.shape[0]), np.diff(scores.indptr))
    order = np.lexsort((scores.indices, -scores.data, user))
    place = np.arange(len(order)) - scores.indptr[user]
    kept = place < n
    out[user[kept], place[kept]] = scores.indices[order][kept]
    return out


def _filled(lists: Codes, popular: Codes) -> Codes:
    for mine, common in zip(lists, popular, strict=True):
        short = int((mine < 0).sum())
        if short:
            rest = common[~np.isin(common, mine)][:short]
            mine[len(mine) - short : len(mine) - short + len(rest)] = rest
    return lists


def _deciles(candidates: pd.DataFrame, made: Made, interactions: "pd.Series[int] | None") -> pd.DataFrame:
    """Mean score and mean truth of the candidates by decile of their products' popularity; none: by tenths of the
    scores, from −10 on."""
    score = candidates[Columns.Score].to_numpy()
    truth = made.shop.truth.attraction(candidates[Columns.User], candidates[Columns.Item])
    count = score if interactions is None else candidates[Columns.Item].map(interactions).to_numpy(dtype=float)
    decile = np.floor(10 * (pd.Series(count).rank(method="average").to_numpy() - 0.5) / len(count))
    decile -= 10 * (interactions is None)
    frame = pd.DataFrame({"decile": decile, "score": score, "truth": truth})
    return frame.groupby("decile").agg(n=("score", "size"), score=("score", "mean"), truth=("truth", "mean"))


def show(out: Path) -> None:
    """Print the tables of all runs in `out`."""
    runs = {path.stem.removesuffix(".each"): path for path in sorted(out.glob("*.each.parquet"))}
    read = pd.concat([pd.read_parquet(path) for path in runs.values()])
    methods = ("model", "exploring", *SINGLES)
    print("\n| hidden | seeds | " + " | ".join(methods) + " | model − best single | exploring − best single |")
    print("| --- | ---: |" + " ---: |" * (len(methods) + 2))
    tables = {
        "clicks of the first 10, % of the best possible": ("clicks", "possible"),
        "recall@50 of the truly best 50, %": ("found", "wanted"),
        "the same of products with a hidden part, %": ("found_hidden", "wanted_hidden"),
        "lists of products with a hidden part alone: clicks of the first 10, % of the best possible":
        ("clicks_hidden", "possible_hidden"),
    }
    for title, (top, bottom) in tables.items():
        print(f"| **{title}** |" + " |" * (len(methods) + 3))
        for row in ROWS:
            here = read[read["row"] == row]
            if here.empty or here[bottom].sum() == 0:
                continue
            parts = {
                name: Ratio.of(one[top], one[bottom], (one["user"] + one["seed"].astype(str)).to_numpy())
                for name, one in here.groupby("method")
            }
            best = max(SINGLES, key=lambda name: parts[name].value)
            gains = [_cell(difference(parts[name], parts[best])) for name in ("model", "exploring")]
            print(f"| {row} | {here['seed'].nunique()} | "
                  + " | ".join(_cell(estimate(parts[name])) for name in methods)
                  + f" | {gains[0]} ({best}) | {gains[1]} |")
    print("\n| hidden | error by popularity decile | worst decile | mean score | mean truth "
          "| new: mean score | mean truth | best tenth by score | its truth | s |")
    print("| --- |" + " ---: |" * 9)
    for row in ROWS:
        here = read[read["row"] == row]
        found = [pd.read_parquet(out / f"{_name(row, seed)}.deciles.parquet") for seed in here["seed"].unique()]
        if found:
            known, new = ([one[(one.index < 0) == which] for one in found] for which in (False, True))
            gaps = [_mean((one["score"] - one["truth"]).abs(), one["n"]) for one in known]
            worst = max((one["score"] - one["truth"]).abs().max() for one in known)
            means = [np.mean([_mean(one[name], one["n"]) for one in part])
                     for part in (known, new, [one.tail(1) for one in new]) for name in ("score", "truth")]
            print(f"| {row} | {np.mean(gaps):.4f} | {worst:.4f} | " + " | ".join(f"{mean:.4f}" for mean in means)
                  + f" | {here['seconds'].mean():.0f} |")


def _mean(values: "pd.Series[float]", weight: "pd.Series[int]") -> float:
    return float((values * weight).sum() / weight.sum())


def _cell(one: Estimate) -> str:
    return f"{100 * one.value:.1f} ({100 * one.low:.1f} to {100 * one.high:.1f})"


def _name(row: str, seed: int) -> str:
    return f"{row.replace(' ', '_').replace('%', '')}-{seed}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder that keeps shops and runs")
    parser.add_argument("--items", type=int, default=3_000)
    parser.add_argument("--users", type=int, default=3_000)
    parser.add_argument("--days", type=int, default=14)
    parser.add_argument("--people", type=int, default=500, help="users whose lists are judged")
    parser.add_argument("--epochs", type=int, default=8, help="of the training of the pair, at most")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--rows", default=",".join(ROWS), help="names with commas between, or none: the tables alone")
    options = parser.parse_args()
    asked = [] if options.rows == "none" else options.rows.split(",")
    for seed in map(int, options.seeds.split(",")):
        todo = [row for row in asked if not (options.out / f"{_name(row, seed)}.each.parquet").exists()]
        if not todo:
            continue
        made = Made.of(
            options.out, items=options.items, users=options.users, days=options.days, seed=seed, epochs=options.epochs
        )
        for row in todo:
            each, deciles = run(made, row, seed, options.people)
            deciles.to_parquet(options.out / f"{_name(row, seed)}.deciles.parquet")
            each.assign(row=row, seed=seed).to_parquet(options.out / f"{_name(row, seed)}.each.parquet")
            print(f"{row}, seed {seed}: {each['seconds'].iloc[0]:.0f} s", flush=True)
    print(f"\n{options.items:,} products, {options.users:,} users, {options.days} days; {options.people} users judged")
    show(options.out)


if __name__ == "__main__":
    main()
