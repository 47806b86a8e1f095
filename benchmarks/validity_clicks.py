"""Click models: simulate → fit → parameters recovered, held-out perplexity beside the truth's, times; made shops.

    python benchmarks/validity_clicks.py [--logs 12] [--lists 50000] [--shops 2]

Per model, LOGS logs of LISTS lists of 10 slots are drawn from known parameters (300 items, attraction from Beta(3, 12),
satisfaction from Beta(4, 6), lists by popularity without regard to attraction) and fitted with the defaults. z is
(fitted − true) / standard error on log-odds, the scale that intervals are made on. Perplexity is conditional, on as
many new lists. Times are of logs of 100,000 lists.
A made shop's truth is a position-based model whose attraction differs by user, under a policy that follows popularity
and taste: a click model with one attraction per item need not be right there; inverse propensity needs none.
"""

import argparse
import time
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import logit
from scipy.stats import norm

from ltexpo.data.synthetic import make_shop
from ltexpo.simulate.clicks import (
    MODELS,
    ClickParameters,
    Sessions,
    SlotModel,
    examination,
    examination_by_propensity,
    kernels,
)

Floats = npt.NDArray[np.float64]
K, ITEMS = 10, 300


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--logs", type=int, default=12)
    parser.add_argument("--lists", type=int, default=50_000)
    parser.add_argument("--shops", type=int, default=2)
    options = parser.parse_args()
    print("| model | parameters | a log | within 1.96 errors % | within 3 % | root mean z² | largest z | Bonferroni 5% "
          "| perplexity | truth's | above it % |")
    print("| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    for name in MODELS:
        recovered(name, options.logs, options.lists)
    print("\n| model | impressions | E-steps | s to fit | s with errors |\n| --- | ---: | ---: | ---: | ---: |")
    for name in MODELS:
        timed(name, 100_000)
    print("\n| shop | rank | truth | position-based | interval | inverse propensity | interval |")
    print("| ---: | ---: | ---: | ---: | --- | ---: | --- |")
    for seed in range(options.shops):
        shop_curve(seed)


def true_parameters(name: str) -> ClickParameters:
    rank, last = np.arange(K)[:, None], np.arange(K)[None, :]
    browsing = np.tril(np.clip(np.linspace(0.95, 0.4, K)[:, None] - 0.03 * (rank - last), 0.05, 0.95))
    browsing[0, 0] = 1.0
    return {
        "pbm": ClickParameters.pbm(1 / np.log2(np.arange(2, K + 2))), "cm": ClickParameters.cm(K),
        "dcm": ClickParameters.dcm(np.linspace(0.7, 0.4, K)), "ubm": ClickParameters.ubm(browsing),
        "dbn": ClickParameters.dbn(0.85, K),
    }[name]


def true_slots(made: ClickParameters) -> Floats:
    return {
        "pbm": made.examination[:, 0], "ubm": made.examination[np.tril_indices(K)], "cm": np.zeros(0),
        "dcm": made.after_click, "dbn": made.after_skip[:1],
    }[made.name]


class World:
    """Items with known attraction, and lists of them with clicks."""

    def __init__(self, name: str, seed: int, n_items: int = ITEMS) -> None:
        self.rng = np.random.default_rng([seed, 7])
        self.made = true_parameters(name)
        self.attraction, self.satisfaction = self.rng.beta(3, 12, n_items), self.rng.beta(4, 6, n_items)
        self.popularity = -0.5 * np.log(self.rng.permutation(n_items) + 1)

    def lists(self, n: int) -> npt.NDArray[np.int32]:
        """K items without replacement, in the order of their draw."""
        keys = -(self.popularity + self.rng.gumbel(size=(n, len(self.popularity))))
        best = np.argpartition(keys, K, axis=1)[:, :K]
        order = np.argsort(np.take_along_axis(keys, best, axis=1), axis=1)
        return np.take_along_axis(best, order, axis=1).astype(np.int32)

    def log(self, lists: int) -> Sessions:
        made = self.made
        items = np.concatenate([self.lists(10_000) for _ in range(-(-lists // 10_000))])[:lists]
        clicks = np.zeros(items.shape, dtype=np.bool_)
        surface = np.zeros(lists, dtype=np.int64)
        kernels.simulate(
            made.kind, made.examination[None], made.after_click[None], made.after_skip[None], self.attraction,
            self.satisfaction, surface, items, self.rng.random((lists, 2 * K)), clicks,
        )
        keys = pd.DataFrame({"item_id": [f"i{n:05d}" for n in range(len(self.attraction))]})
        return Sessions(items, clicks, surface, keys, ("all",), pd.Index(np.arange(lists)), None, None, None, {})

    def loss(self, sessions: Sessions) -> float:
        out = np.empty(sessions.items.shape)
        made = self.made
        kernels.conditional(
            made.kind, made.examination[None], made.after_click[None], made.after_skip[None], self.attraction,
            self.satisfaction, sessions.surface, sessions.items, sessions.clicks, out,
        )
        return surprise(out, sessions)


def surprise(chance: Floats, sessions: Sessions) -> float:
    inside = np.clip(chance, 1e-6, 1 - 1e-6)
    return float(-np.where(sessions.clicks, np.log2(inside), np.log2(1 - inside)).mean())


def recovered(name: str, logs: int, lists: int) -> None:
    found: dict[str, list[Floats]] = {}
    losses = []
    for seed in range(logs):
        world = World(name, seed)
        model = MODELS[name]().fit(world.log(lists))
        for kind, z in distances(model, world):
            found.setdefault(kind, []).append(z)
        test = world.log(lists)
        fitted = surprise(model.conditional(test.items, test.clicks), test)
        losses.append((fitted, world.loss(test)))
    fitted, truth = 2.0 ** np.mean(losses, axis=0)
    for n, (kind, parts) in enumerate(found.items()):
        z = np.concatenate(parts)
        bound = norm.ppf(1 - 0.025 / len(z))
        tail = f"{fitted:.5f} | {truth:.5f} | {100 * (fitted / truth - 1):+.3f}" if n == 0 else " | | "
        print(f"| {name} | {kind} | {len(parts[0])} | {100 * (np.abs(z) < 1.96).mean():.1f} "
              f"| {100 * (np.abs(z) < 3).mean():.2f} | {np.sqrt(np.square(z).mean()):.3f} | {np.abs(z).max():.2f} "
              f"| {bound:.2f} | {tail} |", flush=True)


def distances(model: SlotModel, world: World) -> Iterator[tuple[str, Floats]]:
    """z of every learnt parameter, by kind."""
    yield "attraction", odds_z(model.attraction_, model.attraction_error_, world.attraction)
    if model.name == "dbn":
        yield "satisfaction", odds_z(model.satisfaction_, model.satisfaction_error_, world.satisfaction)
    learnt = model.slot_errors_ > 0
    if learnt.any():
        yield model.shape, odds_z(
            model.slot_values_[learnt], model.slot_errors_[learnt], true_slots(world.made)[learnt]
        )


def odds_z(values: Floats, errors: Floats, truth: Floats) -> Floats:
    z: Floats = (logit(values) - logit(truth)) / (errors / (values * (1 - values)))
    return z


def timed(name: str, lists: int) -> None:
    sessions = World(name, 0).log(lists)
    MODELS[name]().fit(sessions.rows(np.arange(lists) < 50))
    started = time.perf_counter()
    model = MODELS[name]().fit(sessions, errors=False)
    bare = time.perf_counter() - started
    started = time.perf_counter()
    MODELS[name]().fit(sessions)
    whole = time.perf_counter() - started
    print(f"| {name} | {sessions.impressions:,} | {model.rounds_} | {bare:.2f} | {whole:.2f} |", flush=True)


def shop_curve(seed: int) -> None:
    shop = make_shop(n_items=5_000, n_users=10_000, n_days=14, rng=seed)
    assert shop.dataset.events is not None
    sessions = Sessions.of(shop.dataset.events)
    curve = examination(MODELS["pbm"]().fit(sessions, errors=False), sessions).of()
    weighted = examination_by_propensity(sessions)
    for row, other, truth in zip(
        curve.itertuples(), weighted.itertuples(), shop.truth.examination[: sessions.k], strict=True
    ):
        print(f"| {seed} | {row.rank} | {truth:.3f} | {row.examination:.3f} | {row.low:.3f} to {row.high:.3f} "
              f"| {other.examination:.3f} | {other.low:.3f} to {other.high:.3f} |", flush=True)


if __name__ == "__main__":
    main()
