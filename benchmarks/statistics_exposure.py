"""Coverage and Gini of samples of the made users: their tests, and other errors of Gini that were tried."""

import numpy as np
from made_users import ITEMS, Floats, Integers, K, People, draw
from scipy import stats
from statistics_rows import report, row, table

from ltexpo.simulate.stats import Effect, Shown, compare_coverage, compare_gini, compare_permuted


def gini(plain: People, treated: People, runs: int, users: int) -> None:
    table("A/A by permutation", "runs", "rejected at 5%", "KS distance", "mean p", "effects' deviation", "mean error")
    few = max(runs // 10, 100)
    rng = np.random.default_rng(0)
    report("Gini", [permuted_gini(plain, plain, draw(rng, users), n) for n in range(few)])
    rng = np.random.default_rng(0)
    report("items shown to 5 users", [five(plain, plain, draw(rng, users), n) for n in range(few)])
    table("Gini by other errors", "runs", "rejected at 5%")
    rng = np.random.default_rng(0)
    linear, resampled = [], []
    for n in range(min(runs, 1_000)):
        who = draw(rng, users)
        arms = [plain.shown(who[0]), plain.shown(who[1], len(who[0]))]
        difference = gini_of(arms[0].exposure()) - gini_of(arms[1].exposure())
        linear.append(abs(difference) > 1.96 * np.hypot(*(linear_error(arm) for arm in arms)))
        if n < 200:
            resampled.append(abs(difference) > 1.96 * np.hypot(*(bootstrap_error(arm, n) for arm in arms)))
    row("delta method", len(linear), f"{np.mean(linear):.1%}")
    row("Poisson bootstrap of users", len(resampled), f"{np.mean(resampled):.1%}")


def coverage(treated: People, plain: People, who: tuple[Integers, Integers]) -> Effect:
    return compare_coverage("coverage", treated.shown(who[0]), plain.shown(who[1], len(who[0])))


def permuted_gini(treated: People, plain: People, who: tuple[Integers, Integers], seed: int) -> Effect:
    return compare_gini("Gini", treated.shown(who[0]), plain.shown(who[1], len(who[0])), runs=100, rng=seed)


def five(treated: People, plain: People, who: tuple[Integers, Integers], seed: int) -> Effect:
    arms = []
    for people, drawn, first in ((treated, who[0], 0), (plain, who[1], len(who[0]))):
        there = (people.totals["visits"][drawn, None] > 0) * np.ones(K)
        users = np.arange(first, first + len(drawn))
        arms.append(Shown.of_lists(people.lists[drawn], ITEMS, users=users, weights=there))
    return compare_permuted(
        "shown to 5", lambda exposure: (exposure >= 4.5).mean(axis=1), arms[0], arms[1], runs=100, rng=seed
    )


def gini_of(exposure: Floats) -> float:
    ordered = np.sort(exposure)
    return float(ordered @ (2.0 * np.arange(1, ITEMS + 1) - ITEMS - 1) / (ITEMS * ordered.sum()))


def linear_error(arm: Shown) -> float:
    exposure = arm.exposure()
    slope = ((2 * stats.rankdata(exposure) - ITEMS - 1) / ITEMS - gini_of(exposure)) / exposure.sum()
    moved = np.bincount(arm.user, weights=arm.weight * slope[arm.item], minlength=len(arm.users))
    return float(np.sqrt(np.square(moved).sum()))


def bootstrap_error(arm: Shown, seed: int) -> float:
    times = np.random.default_rng([9, seed]).poisson(1.0, (100, len(arm.users)))
    worlds = arm.matrix().T @ times.T.astype(np.float64)
    return float(np.std([gini_of(world) for world in worlds.T]))
