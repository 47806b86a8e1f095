"""A tenth of the products hidden from training events entirely → how well they, and all others, are scored.

On a made shop, whose truth is known (--out keeps it):
    python benchmarks/quality_cold.py --out DIR [--items 6000 --users 4000 --days 14] [--label-days 3] [--seeds 0,1,2]
trained without the last two days. Printed: scores of the impressions of these two days against their clicks and
against the truth, by popularity decile; how often the 90% interval of a score (score_spread) holds the truth; and what
lists that are re-ranked to a tail share promise in clicks, against the truth.
"""

import argparse
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from made_shops import Made, Mask, drawn, tiers_of
from scipy.special import logit

from ltexpo.columns import Columns, Tier
from ltexpo.data import Dataset
from ltexpo.data.history import History
from ltexpo.encoders.item_vectors import Content as Vectors
from ltexpo.jobs.demo import SMALL_MODEL
from ltexpo.metrics.calibration import calibration_by_popularity, expected_calibration_error, score_interval
from ltexpo.metrics.intervals import Ratio, estimate
from ltexpo.metrics.logit_normal import location
from ltexpo.ranking.click_ranker import ClickRanker
from ltexpo.ranking.model import Model, ModelSettings
from ltexpo.ranking.shown import Shown
from ltexpo.rerank import Goal, RerankSettings, rerank
from ltexpo.sparse import csr

HIDDEN, LEVEL, BINS = 0.1, 0.9, 10
TAIL_SHARE, SLOTS = 0.25, 12
_AT_ONCE = 256


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder that keeps the made shops")
    parser.add_argument("--items", type=int, default=6_000)
    parser.add_argument("--users", type=int, default=4_000)
    parser.add_argument("--days", type=int, default=14)
    parser.add_argument("--label-days", type=int, default=3, help="past days that the model's trees learn from")
    parser.add_argument("--people", type=int, default=1_000, help="users whose candidates are judged")
    parser.add_argument("--epochs", type=int, default=8, help="of the training of the pair, at most")
    parser.add_argument("--seeds", default="0,1,2")
    options = parser.parse_args()
    on_made_shops(options, [int(seed) for seed in options.seeds.split(",")])


def on_made_shops(options: argparse.Namespace, seeds: list[int]) -> None:
    """Print the tables of all seeds together; an interval is over users, each seed's users are others."""
    shown, candidates, unseen, listed = [], [], [], []
    for seed in seeds:
        made = Made.of(
            options.out, items=options.items, users=options.users, days=options.days, seed=seed, epochs=options.epochs
        )
        for kept, rows in zip((shown, candidates, unseen, listed), _one_shop(made, seed, options), strict=True):
            kept.append(rows.assign(user=rows["user"] + f"#{seed}", seed=seed))
    print(f"\n{options.items:,} products, {options.users:,} users, {options.days} days, "
          f"{options.label_days} label days, seeds {', '.join(map(str, seeds))}")
    _print_calibration(pd.concat(shown))
    _print_coverage({
        "candidates": pd.concat(candidates), "impressions": pd.concat(shown), "hidden, drawn at random":
        pd.concat(unseen),
    })
    _print_lists(pd.concat(listed))


def _one_shop(
    made: Made, seed: int, options: argparse.Namespace
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Scores and truth of: impressions of the last two days, candidates, random pairs of a user and a hidden product,
    and the slots of lists before and after re-ranking."""
    rng = np.random.default_rng(2_000 + seed)
    whole = made.shop.dataset
    hidden = drawn(len(whole.items), HIDDEN, rng)
    events = whole.require_events("the benchmark")
    until = events[Columns.Timestamp].max().floor("D") - pd.Timedelta(days=1)
    dataset, content = made.without({"history": hidden})
    settings = ModelSettings(
        until=until, k=100, explore_new=0.0, rolling={"days": options.label_days}, **SMALL_MODEL
    )
    begin = time.perf_counter()
    model = Model(settings).fit(dataset, content, rng=seed)
    if not isinstance(model.ranker_, ClickRanker) or model.ranker_.spread_ is None:
        raise SystemExit(f"seed {seed}: too few clicks on products shown again. Make a larger shop.")
    print(f"seed {seed}: {time.perf_counter() - begin:.0f} s, {model.ranker_.spread_}", flush=True)

    def judged(frame: pd.DataFrame, spread: str = Columns.ScoreSpread) -> pd.DataFrame:
        item = frame[Columns.Item]
        known = tiers.reindex(item)
        low, high = score_interval(frame[Columns.Score], frame[spread], level=LEVEL)
        return pd.DataFrame({
            "user": frame[Columns.User].to_numpy(), "score": frame[Columns.Score].to_numpy(),
            "truth": made.shop.truth.attraction(frame[Columns.User], item), "low": low, "high": high,
            "std": frame[Columns.ScoreStd].to_numpy(), "tau": _tau(model, known[Columns.Tier].to_numpy(dtype=object)),
            "interactions": known[Columns.Interactions].to_numpy(), "tier": known[Columns.Tier].to_numpy(),
            "hidden": item.isin(gone).to_numpy(),
        })

    past = dataset.require_events("the benchmark")
    tiers = tiers_of(dataset, past[past[Columns.Timestamp] < until])
    gone = pd.Index(whole.items.loc[hidden, Columns.Item])
    people = pd.Index(np.sort(rng.choice(whole.users[Columns.User], min(options.people, len(whole.users)), False)))
    candidates = model.recommend(dataset, content, user_ids=people).candidates
    later = events[events[Columns.Timestamp] >= until]
    history = History.of(whole.items, past).also(later[Columns.User].unique())
    shown = Shown.of(later, history, "log2")
    if shown is None or shown.propensity is None:
        raise SystemExit("the shop's log has no impressions with propensities.")
    pairs = pd.DataFrame({
        Columns.User: history.user_ids.decode(shown.user), Columns.Item: history.item_ids.decode(shown.item),
    })
    random = pd.DataFrame({
        Columns.User: rng.choice(people, 20_000), Columns.Item: rng.choice(gone, 20_000),
    }).drop_duplicates()
    scored = _scored(model, dataset, content, pd.concat([pairs, random]).drop_duplicates())
    seen = judged(pairs.merge(scored, how="left")).assign(clicked=shown.clicked, examined=shown.examined)
    lists = rerank(candidates, whole.items.assign(**{Columns.Tier: tiers[Columns.Tier].reindex(
        whole.items[Columns.Item]).to_numpy()}), RerankSettings(
            k=SLOTS, goals=[Goal(group="tail", min_share=TAIL_SHARE)], score_kind="probability"))
    slots = pd.concat([lists.control.assign(lists="before"), lists.rankings.assign(lists="re-ranked")])
    rows = judged(slots[[Columns.User, Columns.Item]].merge(candidates, how="left"))
    rows = rows.assign(exposure=slots[Columns.Exposure].to_numpy(), lists=slots["lists"].to_numpy())
    return seen.assign(propensity=shown.propensity), judged(candidates), judged(random.merge(scored, how="left")), rows


def _tau(model: Model, tier: npt.NDArray[np.object_]) -> npt.NDArray[np.float64]:
    return model.ranker_.spread_.tau_of(tier)  # type: ignore[union-attr]


def _scored(model: Model, dataset: Dataset, content: Vectors, pairs: pd.DataFrame) -> pd.DataFrame:
    """`pairs` (user_id, item_id) with score, score_std and score_spread."""
    today = model.today(dataset, content)
    visited = today.history_.also(pairs[Columns.User].unique())
    today.adopt(visited)
    user, item = visited.user_ids.codes(pairs[Columns.User]), visited.item_ids.codes(pairs[Columns.Item])
    every, frames = np.unique(user), []
    for start in range(0, len(every), _AT_ONCE):
        codes = every[start : start + _AT_ONCE]
        mine = np.isin(user, codes)
        wanted = csr(
            (np.ones(int(mine.sum()), dtype=np.float32), (np.searchsorted(codes, user[mine]), item[mine])),
            shape=(len(codes), visited.n_items),
        )
        found = today.table(codes, pairs=wanted)
        scores = model.ranker_.score(found, today.tier_)
        frames.append(pd.DataFrame({
            Columns.User: visited.user_ids.decode(codes[found.user]),
            Columns.Item: visited.item_ids.decode(found.item),
            Columns.Score: scores.score, Columns.ScoreStd: scores.std, Columns.ScoreSpread: scores.spread,
        }))
    return pd.concat(frames, ignore_index=True)


def _print_calibration(shown: pd.DataFrame) -> None:
    """Score against clicks and truth, by decile of the product's popularity before the test days."""
    rng = np.random.default_rng(0)
    p, a = shown["score"].to_numpy(), shown["examined"].to_numpy()
    users, popularity = shown["user"].to_numpy(), shown["interactions"].to_numpy()
    table = calibration_by_popularity(p, shown["clicked"], popularity, attention=a, clusters=users, bins=BINS)
    # What the error would be on so many clicks if every score were right.
    chance = [
        calibration_by_popularity(p, rng.random(len(p)) < a * p, popularity, attention=a, bins=BINS)["error"]
        for _ in range(5)
    ]
    print("\n| decile | interactions | impressions | score | clicks / looks | truth | gap | calibration error "
          "| of which chance |\n|" + " ---: |" * 9)
    edges = np.r_[table["interactions_low"], np.inf]
    for number, (row, noise) in enumerate(zip(table.itertuples(), np.mean(chance, axis=0), strict=True)):
        here = (popularity >= edges[number]) & (popularity < edges[number + 1])
        truth = np.average(shown["truth"][here], weights=a[here])
        print(f"| {row.decile} | {row.interactions_low:.0f}–{row.interactions_high:.0f} | {row.n:,} "
              f"| {row.predicted:.4f} | {row.observed:.4f} ({row.low:.4f}–{row.high:.4f}) | {truth:.4f} "
              f"| {row.observed - row.predicted:+.4f} | {row.error:.4f} | {noise:.4f} |")
    inside, alone = (float((table["weight"] * error).sum()) for error in (table["error"], np.mean(chance, axis=0)))
    print(f"\nwith {BINS} bins of scores in each decile: {inside:.4f} (chance alone: {alone:.4f}); all impressions in "
          f"{BINS} bins: {expected_calibration_error(p, shown['clicked'], attention=a):.4f}")
    print("\n| shop | impressions | as shown: by clicks | by the truth | by inverse propensity: by clicks "
          "| by the truth |\n| --- | --- |" + " ---: |" * 4)
    found = [_errors(one, edges) for _, one in shown.groupby("seed")]
    for seed, one in zip(shown["seed"].unique(), found, strict=True):
        for name, cells in one.items():
            print(f"| {seed} | {name} | {' | '.join(_cell(*cell) for cell in cells)} |")
    for name in found[0]:
        means = np.mean([[cell[0] for cell in one[name]] for one in found], axis=0)
        print(f"| mean | {name} | {' | '.join(f'**{mean:.4f}**' for mean in means)} |")
    hidden = shown[shown["hidden"]]
    one = estimate(Ratio.of(hidden["clicked"], hidden["examined"], hidden["user"].to_numpy()))
    print(f"\nhidden products: {len(hidden):,} impressions, score {_mean(hidden, 'score'):.4f}, clicks / looks "
          f"{one.value:.4f} ({one.low:.4f}–{one.high:.4f}), truth {_mean(hidden, 'truth'):.4f}")


def _errors(shown: pd.DataFrame, edges: npt.NDArray[Any]) -> dict[str, list[tuple[float, ...]]]:
    """Of one shop: the calibration error over the deciles, by clicks (with its interval) and by the truth, unweighted
    and weighted."""
    rng = np.random.default_rng(0)
    decile = np.searchsorted(edges[:-1], shown["interactions"], side="right") - 1
    known = ~shown["hidden"].to_numpy()
    found: dict[str, list[tuple[float, ...]]] = {}
    for name, rows in (("all", np.ones(len(shown), dtype=bool)), ("without hidden products", known)):
        one = shown[rows]
        for weight in (np.ones(len(one)), _inverse(one["propensity"])):
            looks = weight * one["examined"].to_numpy()
            told = (looks, one["score"].to_numpy(), decile[rows], one["user"].to_numpy(), rng)
            clicks, truth = weight * one["clicked"].to_numpy(), looks * one["truth"].to_numpy()
            found.setdefault(name, []).extend([_gap(clicks, *told), _gap(truth, *told)[:1]])
    return found


def _cell(value: float, low: float | None = None, high: float | None = None) -> str:
    return f"{value:.4f}" if low is None else f"{value:.4f} ({low:.4f}–{high:.4f})"


def _gap(
    clicks: npt.NDArray[Any], looks: npt.NDArray[Any], score: npt.NDArray[Any], decile: npt.NDArray[np.int64],
    users: npt.NDArray[Any], rng: np.random.Generator,
) -> tuple[float, float, float]:
    """Σ over deciles of |clicks − looks · score| / Σ looks, with the middle 95% of 500 bootstraps over users."""
    user = np.unique(users, return_inverse=True)[1]
    shape = (user.max() + 1, decile.max() + 1)
    cell = user * shape[1] + decile
    size = shape[0] * shape[1]
    off = np.bincount(cell, weights=clicks - looks * score, minlength=size).reshape(shape)
    total = np.bincount(user, weights=looks)
    drawn_users = rng.multinomial(shape[0], np.full(shape[0], 1 / shape[0]), size=500)
    again = np.abs(drawn_users @ off).sum(axis=1) / (drawn_users @ total)
    low, high = np.quantile(again, [0.025, 0.975])
    return float(np.abs(off.sum(axis=0)).sum() / total.sum()), float(low), float(high)


def _inverse(propensity: "pd.Series[float]") -> npt.NDArray[np.float64]:
    """Weights as scores are calibrated with: capped at ten times that of the median."""
    return np.asarray(1 / np.maximum(propensity, propensity.median() / 10), dtype=np.float64)


def _mean(rows: pd.DataFrame, name: str) -> float:
    return float(np.average(rows[name], weights=rows["examined"]))


def _print_lists(slots: pd.DataFrame) -> None:
    """Expected clicks of the lists before and after a tail share was asked for: by the scores, and by the truth."""
    clicks = slots.assign(score=slots["exposure"] * slots["score"], truth=slots["exposure"] * slots["truth"])
    print(f"\n| shop | lists | of | clicks by score | by the truth | by score / by the truth |\n"
          f"| --- | --- | --- |{' ---: |' * 3}")
    for seed, shop in [*clicks.groupby("seed"), ("all", clicks)]:
        change = {}
        for name, one in shop.groupby("lists"):
            change[name] = one[["score", "truth"]].sum()
            for tier, rows in [("all", one), *one.groupby("tier")]:
                part = estimate(Ratio.of(rows["score"], rows["truth"], rows["user"].to_numpy()))
                print(f"| {seed} | {name} | {tier} | {rows['score'].sum():,.1f} | {rows['truth'].sum():,.1f} | "
                      f"{part.value:.3f} ({part.low:.3f}–{part.high:.3f}) |")
        loss = 100 * (change["re-ranked"] / change["before"] - 1)
        print(f"| {seed} | change | all | {loss['score']:+.2f}% | {loss['truth']:+.2f}% | |")


def _print_coverage(tables: dict[str, pd.DataFrame]) -> None:
    """How often the truth lies inside the 90% interval of the score, and on which side it is missed."""
    print("\n| rows | of | pairs | score | truth | τ learnt | τ true | below % | inside % | above % | inside ± 1.645 "
          "score_std % |\n| --- | --- |" + " ---: |" * 9)
    for name, rows in tables.items():
        for part, here in _parts(rows):
            if here.sum() < 100:
                continue
            one = rows[here]
            inside = ((one["truth"] >= one["low"]) & (one["truth"] <= one["high"])).to_numpy(dtype=float)
            covered = estimate(Ratio.mean(inside, one["user"].to_numpy()))
            true = np.std(logit(one["truth"]) - location(one["score"], one["tau"]))
            plain = ((one["truth"] - one["score"]).abs() <= 1.645 * one["std"]).mean()
            print(f"| {name} | {part} | {len(one):,} | {one['score'].mean():.4f} | {one['truth'].mean():.4f} "
                  f"| {one['tau'].mean():.2f} | {true:.2f} | {100 * (one['truth'] < one['low']).mean():.1f} "
                  f"| {100 * covered.value:.1f} ({100 * covered.low:.1f}–{100 * covered.high:.1f}) "
                  f"| {100 * (one['truth'] > one['high']).mean():.1f} | {100 * plain:.1f} |")


def _parts(rows: pd.DataFrame) -> Iterator[tuple[str, Mask]]:
    yield "all", np.ones(len(rows), dtype=bool)
    for seed in rows["seed"].unique():
        yield f"shop {seed}", (rows["seed"] == seed).to_numpy()
    if rows["hidden"].all():
        return
    for tier in Tier.All:
        yield tier, (rows["tier"] == tier).to_numpy()
    yield "hidden", rows["hidden"].to_numpy()
    place = pd.Series(rows["interactions"].to_numpy()).rank(method="average").to_numpy()
    decile = np.floor(10 * (place - 0.5) / len(rows))
    for number in np.unique(decile):
        here = decile == number
        few, many = rows["interactions"][here].min(), rows["interactions"][here].max()
        yield f"{few:.0f}–{many:.0f} interactions", here


if __name__ == "__main__":
    main()
