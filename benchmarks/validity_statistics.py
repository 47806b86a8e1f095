"""Made users of known truth → how often the statistics of the A/B test are right, as Markdown.

Run: python benchmarks/validity_statistics.py [--runs 10000]
     [--parts aa tails gini effect relative peeking cuped srm power speed]
Users are drawn, independently and with replacement, from 100,000 made ones: visits overdispersed Poisson, lists of 10
out of 10,000 items by taste and popularity, clicks by position, purchases with log-normal prices, return within 7 days.
What these 100,000 do on average is the truth. Every run draws 4,000 users, 2,000 an arm (seed 0), and calls the
functions of ltexpo.simulate.stats that an experiment calls.
"""

import argparse
import time
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from ltexpo.metrics.intervals import Ratio
from ltexpo.simulate.stats import (
    Baseline,
    Cap,
    Effect,
    Shown,
    always_valid,
    compare,
    compare_coverage,
    compare_gini,
    compare_permuted,
    compare_studentised,
    cuped,
    linearised,
    power,
    sample_ratio,
    sample_ratio_sequence,
)

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
PEOPLE, ITEMS, K, DAYS = 100_000, 10_000, 10, 30
ATTENTION = 1 / np.log2(np.arange(2, K + 2))
METRICS = {
    "CTR": ("clicks", "impressions"),
    "tail share of exposure": ("tail_exposure", "exposure"),
    "retention": ("returned", "came"),
    "value per user": ("revenue", "users"),
    "conversion": ("purchases", "impressions"),
}


@dataclass(frozen=True)
class People:
    """Everyone under one policy: totals (PEOPLE,) by name, and what each is shown."""

    totals: dict[str, Floats]
    lists: npt.NDArray[np.int32]

    def ratio(self, metric: str, drawn: Integers, first: int = 0) -> Ratio:
        """The metric of the people `drawn`, who are users first, first + 1, …"""
        numerator, denominator = METRICS[metric]
        users = np.arange(first, first + len(drawn))
        return Ratio.of(self.totals[numerator][drawn], self.totals[denominator][drawn], users)

    def truth(self, metric: str) -> float:
        numerator, denominator = METRICS[metric]
        return float(self.totals[numerator].sum() / self.totals[denominator].sum())

    def shown(self, drawn: Integers, first: int = 0) -> Shown:
        weights = self.totals["visits"][drawn, None] * ATTENTION
        users = np.arange(first, first + len(drawn))
        return Shown.of_lists(self.lists[drawn], ITEMS, users=users, weights=weights)

    def coverage(self, n: int) -> float:
        """Expected coverage by n users."""
        there = self.totals["visits"] > 0
        reach = np.bincount(self.lists[there].ravel(), minlength=ITEMS) / PEOPLE
        return float((1 - (1 - reach) ** n).mean())


def make_people(boost: float, lift: float, rng: np.random.Generator) -> People:
    """`boost` is added to the tail's log-odds of being listed; clicks, return and spend are `lift` more likely."""
    person = np.random.default_rng(1)
    taste, kind = person.integers(0, 20, PEOPLE), person.integers(0, 20, ITEMS)
    activity, fondness = person.gamma(1.5, 2.0, PEOPLE), person.beta(4, 16, PEOPLE)
    wealth = np.exp(0.8 * person.standard_normal(PEOPLE))
    quality = person.beta(3, 5, ITEMS)
    tail = np.arange(ITEMS) >= ITEMS // 5
    popularity = np.arange(1, ITEMS + 1) ** -0.9 * np.exp(boost * tail)
    odds = popularity * np.exp(1.5 * (kind == np.arange(20)[:, None]))
    lists = np.empty((PEOPLE, K), dtype=np.int32)
    for start in range(0, PEOPLE, 2_000):
        some = slice(start, start + 2_000)
        # The first K of exponential clocks are K drawn one after the other by their odds (Efraimidis & Spirakis 2006).
        rings = rng.standard_exponential((2_000, ITEMS), dtype=np.float32) / odds[taste[some]].astype(np.float32)
        first = np.argpartition(rings, K, axis=1)[:, :K]
        lists[some] = np.take_along_axis(first, np.argsort(np.take_along_axis(rings, first, 1), axis=1), 1)
    visits = rng.poisson(activity)
    clicked = np.minimum(fondness[:, None] * quality[lists] * ATTENTION * (1 + lift), 1.0)
    clicks = rng.binomial(visits[:, None], clicked).sum(axis=1)
    purchases = rng.binomial(clicks, 0.12)
    # A sum of log-normal prices per person, with a person's own level: many zeros and a long tail.
    buyer = np.repeat(np.arange(PEOPLE), purchases)
    price = np.exp(3.0 + 1.0 * rng.standard_normal(len(buyer))) * wealth[buyer]
    before = rng.poisson(activity)
    exposure = visits[:, None] * ATTENTION
    totals = {
        "users": np.ones(PEOPLE), "visits": visits, "impressions": visits * K, "clicks": clicks,
        "exposure": exposure.sum(axis=1), "tail_exposure": (exposure * tail[lists]).sum(axis=1),
        "purchases": purchases, "revenue": np.bincount(buyer, weights=price, minlength=PEOPLE),
        "came": visits > 0,
        "returned": (visits > 0) & (rng.random(PEOPLE) < (1 - np.exp(-0.25 * activity)) * 0.6 * (1 + lift)),
        "impressions_before": before * K,
        "clicks_before": rng.binomial(before * K, 0.375 * ATTENTION.mean() * fondness),
        # Pareto with a finite variance and hardly more: what a few business customers do to revenue.
        "heavy": (rng.random(PEOPLE) < 0.1) * rng.pareto(2.2, PEOPLE) * 20,
    }
    return People({name: np.asarray(total, dtype=np.float64) for name, total in totals.items()}, lists)


def draw(rng: np.random.Generator, users: int) -> tuple[Integers, Integers]:
    return rng.integers(0, PEOPLE, users // 2), rng.integers(0, PEOPLE, users // 2)


def both(metric: str, treated: People, plain: People, who: tuple[Integers, Integers]) -> Effect:
    return compare(metric, treated.ratio(metric, who[0]), plain.ratio(metric, who[1], len(who[0])))


def table(*columns: str) -> None:
    print("\n| " + " | ".join(columns) + " |\n| :-- |" + " --: |" * (len(columns) - 1), flush=True)


def row(*cells: object) -> None:
    print("| " + " | ".join(str(cell) for cell in cells) + " |", flush=True)


def aa(plain: People, treated: People, runs: int, users: int) -> None:
    table("A/A", "runs", "rejected at 5%", "KS distance", "mean p", "effects' deviation", "mean error")
    # Shares of 2,000 and 2,000 users lie on a lattice, one deviation is 25 points: p-values cannot be uniform.
    more = {"retention over all users": ("returned", "users"), "value, Pareto 2.2 tail": ("heavy", "users")}
    METRICS.update(more)
    for metric in METRICS:
        rng = np.random.default_rng(0)
        report(metric, [both(metric, plain, plain, draw(rng, users)) for _ in range(runs)])
    for metric in more:
        del METRICS[metric]
    rng = np.random.default_rng(0)
    report("coverage", [coverage(plain, plain, draw(rng, users)) for _ in range(runs)])


def tails(plain: People, treated: People, runs: int, users: int) -> None:
    METRICS["value, Pareto 2.2 tail"] = ("heavy", "users")
    names = ("value per user", "value, Pareto 2.2 tail")
    table("A/A, studentised permutation", "runs", "rejected at 5%", "KS distance", "mean p", "deviation", "mean error")
    for metric in names:
        rng = np.random.default_rng(0)
        report(metric, [studentised(metric, plain, plain, draw(rng, users), n) for n in range(runs)])
    table("A/A, the delta method again", "runs", "rejected at 5%", "KS distance", "mean p", "deviation", "mean error")
    for metric, column in (("value per user", "revenue"), ("value, Pareto 2.2 tail", "heavy")):
        cap = Cap.of(plain.totals[column])
        capped = People({**plain.totals, column: cap.apply(plain.totals[column])}, plain.lists)
        rng = np.random.default_rng(0)
        effects = [both(metric, capped, capped, draw(rng, users)) for _ in range(runs)]
        report(f"{metric}, {cap.says(plain.totals[column])}", effects)
    rng = np.random.default_rng(0)
    again = (both("retention", plain, plain, draw(rng, users)) for _ in range(10 * runs))
    report("retention, ten times the runs", again)

    table("95% intervals with a true effect", "runs", "true relative", "absolute holds", "relative holds", "power")
    metric = names[0]
    truths = treated.truth(metric), plain.truth(metric)
    rng = np.random.default_rng(0)
    found = [studentised(metric, treated, plain, draw(rng, users), n) for n in range(runs)]
    held(f"{metric}, studentised permutation", found, *truths)
    cap = Cap.of(plain.totals["revenue"])
    capped = [
        People({**people.totals, "revenue": cap.apply(people.totals["revenue"])}, people.lists)
        for people in (treated, plain)
    ]
    rng = np.random.default_rng(0)
    found = [both(metric, capped[0], capped[1], draw(rng, users)) for _ in range(runs)]
    held(f"{metric}, {cap.says(plain.totals['revenue'])}", found, capped[0].truth(metric), capped[1].truth(metric))
    del METRICS["value, Pareto 2.2 tail"]


def studentised(metric: str, treated: People, plain: People, who: tuple[Integers, Integers], seed: int) -> Effect:
    arms = treated.ratio(metric, who[0]), plain.ratio(metric, who[1], len(who[0]))
    return compare_studentised(metric, *arms, runs=399, rng=seed)


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


def report(metric: str, effects: Iterable[Effect]) -> None:
    values = np.array([(effect.difference, effect.error, effect.p_value) for effect in effects])
    p = values[:, 2]
    row(
        metric, f"{len(p):,}", f"{(p <= 0.05).mean():.2%}", f"{stats.kstest(p, 'uniform').statistic:.4f}",
        f"{p.mean():.3f}", f"{values[:, 0].std():.5g}", f"{values[:, 1].mean():.5g}",
    )


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


def effect(plain: People, treated: People, runs: int, users: int) -> None:
    table("95% intervals with a true effect", "runs", "true relative", "absolute holds", "relative holds", "power")
    for metric in METRICS:
        rng = np.random.default_rng(0)
        truths = treated.truth(metric), plain.truth(metric)
        held(metric, [both(metric, treated, plain, draw(rng, users)) for _ in range(runs)], *truths)
    rng = np.random.default_rng(0)
    truths = treated.coverage(users // 2), plain.coverage(users // 2)
    held("coverage", [coverage(treated, plain, draw(rng, users)) for _ in range(runs)], *truths)
    rng = np.random.default_rng(0)
    few = max(runs // 10, 100)
    found = [permuted_gini(treated, plain, draw(rng, users), n) for n in range(few)]
    # No formula gives the expected Gini of so many users: the mean of the runs stands for it.
    means = float(np.mean([one.treatment for one in found])), float(np.mean([one.control for one in found]))
    held("Gini (truth: mean of the runs)", found, *means)


def held(metric: str, effects: list[Effect], treatment: float, control: float) -> None:
    difference, relative = treatment - control, (treatment - control) / control
    absolute = np.mean([one.low <= difference <= one.high for one in effects])
    of_control = np.mean([one.relative_low <= relative <= one.relative_high for one in effects])
    found = np.mean([one.p_value < 0.05 for one in effects])
    row(metric, f"{len(effects):,}", f"{relative:+.2%}", f"{absolute:.2%}", f"{of_control:.2%}", f"{found:.1%}")


def relative(plain: People, treated: People, runs: int, users: int) -> None:
    table(
        "relative 95% interval holds", "users", "Fieller", "misses below, above", "log-delta", "misses below, above",
        "linearised", "misses below, above",
    )
    for size in (users, 200):
        for metric in ("CTR", "retention", "value per user"):
            rng = np.random.default_rng(0)
            truth = treated.truth(metric) / plain.truth(metric) - 1
            bounds: dict[str, list[tuple[float, float]]] = {"fieller": [], "log": [], "linear": []}
            for _ in range(runs):
                one = both(metric, treated, plain, draw(rng, size))
                bounds["fieller"].append((one.relative_low, one.relative_high))
                # Without a single purchase among the control's users no relative effect has bounds.
                if not (one.control > 0 and one.treatment > 0):
                    bounds["log"].append((np.nan, np.nan))
                    bounds["linear"].append((np.nan, np.nan))
                    continue
                ratio = one.treatment / one.control
                spread = np.hypot(one.control_error / one.control, one.treatment_error / one.treatment)
                bounds["log"].append((ratio * np.exp(-1.96 * spread) - 1, ratio * np.exp(1.96 * spread) - 1))
                bounds["linear"].append((ratio * (1 - 1.96 * spread) - 1, ratio * (1 + 1.96 * spread) - 1))
            cells: list[str] = []
            for found in bounds.values():
                low, high = np.array(found).T
                cells += [f"{((low <= truth) & (truth <= high)).mean():.2%}"]
                cells += [f"{(high < truth).mean():.2%}, {(low > truth).mean():.2%}"]
            row(metric, f"{size:,}", *cells)


def peeking(plain: People, treated: People, runs: int, users: int) -> None:
    table(
        f"A/A, {DAYS} looks", "runs", "z-test ever rejects", "sequence ever rejects", "sequence excludes at the end",
        "interval at the end, × the plain one",
    )
    looks(f"{users:,} users, new ones every day", runs, lambda rng: arriving(plain, users, rng))
    looks("1,000 users, the same every day", runs, lambda rng: returning(1_000, rng))
    looks("1,000 users, planned error fixed before", runs, lambda rng: returning(1_000, rng), planned=0.0165)


def looks(
    name: str, runs: int, of_run: Callable[[np.random.Generator], tuple[Floats, Floats]], planned: float | None = None
) -> None:
    rng = np.random.default_rng(0)
    made = [of_run(rng) for _ in range(runs)]
    differences, errors = (np.stack(part) for part in zip(*made, strict=True))
    low, high, p = always_valid(differences, errors, planned_error=planned)
    out = (low > 0) | (high < 0)
    wide = ((high - low)[:, -1] / (2 * 1.96 * errors[:, -1])).mean()
    row(
        name, f"{runs:,}", f"{(np.abs(differences / errors) > 1.96).any(axis=1).mean():.2%}",
        f"{out.any(axis=1).mean():.2%} (p-value: {(p[:, -1] <= 0.05).mean():.2%})", f"{out[:, -1].mean():.2%}",
        f"{wide:.2f}",
    )


def arriving(people: People, users: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """CTR's difference and error (DAYS,) by the delta method on the users of the days so far."""
    ends = (np.arange(1, DAYS + 1) * (users // 2)) // DAYS
    arms = []
    for drawn in draw(rng, users):
        clicks, views = people.totals["clicks"][drawn], people.totals["impressions"][drawn]
        sums = [np.cumsum(part)[ends - 1] for part in (clicks, views, clicks**2, views**2, clicks * views)]
        arms.append(ratio_from_sums(*sums, ends))
    return arms[0][0] - arms[1][0], np.hypot(arms[0][1], arms[1][1])


def returning(users: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """The same when every user comes on about a third of the days and has a taste that stays."""
    arms = []
    for _ in range(2):
        n = users // 2
        views = 10.0 * rng.poisson(0.4, (n, DAYS)).cumsum(axis=1)
        clicks = rng.poisson(np.diff(views, prepend=0, axis=1) * rng.gamma(4, 0.025, (n, 1))).cumsum(axis=1)
        sums = [part.sum(axis=0) for part in (clicks, views, clicks**2, views**2, clicks * views)]
        arms.append(ratio_from_sums(*sums, np.full(DAYS, n)))
    return arms[0][0] - arms[1][0], np.hypot(arms[0][1], arms[1][1])


def ratio_from_sums(
    clicks: Floats, views: Floats, clicks2: Floats, views2: Floats, product: Floats, n: Integers
) -> tuple[Floats, Floats]:
    ratio = clicks / views
    squares = clicks2 - 2 * ratio * product + ratio**2 * views2
    return ratio, np.sqrt(n / (n - 1) * squares) / views


def cuped_part(plain: People, treated: People, runs: int, users: int) -> None:
    table("CUPED", "runs", "bias, Monte-Carlo errors", "variance × (estimated)", "variance × (of the runs)", "1 − ρ²")
    before = Ratio.of(plain.totals["clicks_before"], plain.totals["impressions_before"])
    for metric in ("CTR", "clicks per user"):
        numerator, denominator = METRICS.get(metric, ("clicks", "users"))
        truth = [people.totals[numerator].sum() / people.totals[denominator].sum() for people in (treated, plain)]
        covariate = before.numerator - before.value * before.denominator if metric == "CTR" else before.numerator
        rho2 = np.mean([
            np.corrcoef(people.totals[numerator] - value * people.totals[denominator], covariate)[0, 1] ** 2
            for people, value in zip((treated, plain), truth, strict=True)
        ])
        rng = np.random.default_rng(0)
        found = np.empty((runs, 4))
        for n in range(runs):
            arms, befores = [], []
            for people, drawn, first in zip((treated, plain), draw(rng, users), (0, users), strict=True):
                ids = np.arange(first, first + len(drawn))
                arms.append(Ratio.of(people.totals[numerator][drawn], people.totals[denominator][drawn], ids))
                befores.append(Ratio.of(before.numerator[drawn], before.denominator[drawn], ids))
            x = linearised(*befores) if metric == "CTR" else (befores[0].numerator, befores[1].numerator)
            less, full = cuped(metric, *arms, *x), compare(metric, *arms)
            found[n] = less.difference, less.error, full.difference, full.error
        bias = found[:, 0].mean() - (truth[0] - truth[1])
        row(
            metric, f"{runs:,}", f"{bias / (found[:, 0].std() / np.sqrt(runs)):+.2f}",
            f"{np.mean(found[:, 1] ** 2) / np.mean(found[:, 3] ** 2):.4f}",
            f"{found[:, 0].var() / found[:, 2].var():.4f}", f"{1 - rho2:.4f}",
        )


def srm(plain: People, treated: People, runs: int, users: int) -> None:
    table("sample ratio, a million users", "runs", "broken at 0.001", "in 30 looks, plain", "in 30 looks, sequence")
    for name, share in (("50/50 as planned", 0.5), ("50.1/49.9", 0.501), ("50.5/49.5", 0.505)):
        rng = np.random.default_rng(0)
        daily = rng.binomial(1_000_000 // DAYS, share, (runs, DAYS)).cumsum(axis=1)
        total = np.arange(1, DAYS + 1) * (1_000_000 // DAYS)
        once, ever, sequence = [], [], []
        for n, count in enumerate(daily):
            once.append(not sample_ratio({"a": int(count[-1]), "b": int(total[-1] - count[-1])}).ok)
            sequence.append(sample_ratio_sequence(np.stack([count, total - count], axis=1))[-1] < 0.001)
            if n < 2_000:
                z = (2 * count - total) / np.sqrt(total)
                ever.append((np.abs(z) > stats.norm.ppf(0.9995)).any())
        row(name, f"{runs:,}", f"{np.mean(once):.3%}", f"{np.mean(ever):.2%}", f"{np.mean(sequence):.3%}")


def power_part(plain: People, treated: People, runs: int, users: int) -> None:
    table("power", "true relative", "by formula", f"in {runs:,} runs", "points apart")
    everyone = np.arange(PEOPLE)
    for metric in ("CTR", "retention", "value per user"):
        baseline = Baseline.of(plain.ratio(metric, everyone))
        error = baseline.deviation * np.sqrt(4 / users) / baseline.value
        for target in (0.2, 0.5, 0.8):
            lift = float((1.96 + stats.norm.ppf(target)) * error)
            numerator = METRICS[metric][0]
            better = People({**plain.totals, numerator: plain.totals[numerator] * (1 + lift)}, plain.lists)
            formula = float(power(
                baseline, users, relative=lift, treatment_deviation=baseline.deviation * (1 + lift)
            ))
            rng = np.random.default_rng(0)
            found = np.mean([both(metric, better, plain, draw(rng, users)).p_value < 0.05 for _ in range(runs)])
            row(metric, f"{lift:+.2%}", f"{formula:.2%}", f"{found:.2%}", f"{100 * (found - formula):+.2f}")


def speed(plain: People, treated: People, runs: int, users: int) -> None:
    import tea_tasting as tt

    rng = np.random.default_rng(0)
    who = np.concatenate(draw(rng, users))
    columns = sorted({name for pair in METRICS.values() for name in pair})
    totals = {name: plain.totals[name][who] for name in columns}
    splits = [rng.permutation(users) for _ in range(200)]
    labels = np.arange(users)
    start = time.perf_counter()
    for split in splits:
        first, second = split[: users // 2], split[users // 2 :]
        for metric, (numerator, denominator) in METRICS.items():
            compare(
                metric, Ratio.of(totals[numerator][first], totals[denominator][first], labels[first]),
                Ratio.of(totals[numerator][second], totals[denominator][second], labels[second]),
            )
    ours = len(splits) / (time.perf_counter() - start)
    start = time.perf_counter()
    for _ in range(100):
        drawn = draw(rng, users)
        coverage(plain, plain, drawn)
    with_lists = 100 / (time.perf_counter() - start)
    frame = pd.DataFrame(totals)
    experiment = tt.Experiment({
        metric: tt.RatioOfMeans(numerator, denominator) for metric, (numerator, denominator) in METRICS.items()
    })
    start = time.perf_counter()
    for split in splits[:40]:
        experiment.analyze(frame.assign(variant=np.isin(labels, split[: users // 2]).astype(int)))
    theirs = 40 / (time.perf_counter() - start)
    table(f"A/A replications a second, {users:,} users", "a second")
    row("`compare`, 5 metrics", f"{ours:,.0f}")
    row("tea-tasting, 5 metrics", f"{theirs:,.0f}")
    row("`compare_coverage`", f"{with_lists:,.0f}")


PARTS = {
    "aa": aa, "tails": tails, "gini": gini, "effect": effect, "relative": relative, "peeking": peeking,
    "cuped": cuped_part, "srm": srm, "power": power_part, "speed": speed,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--users", type=int, default=4_000)
    parser.add_argument("--parts", nargs="+", choices=list(PARTS), default=list(PARTS))
    options = parser.parse_args()
    warnings.simplefilter("error", RuntimeWarning)
    plain = make_people(0.0, 0.0, np.random.default_rng(2))
    treated = make_people(0.3, 0.05, np.random.default_rng(3))
    for part in options.parts:
        start = time.perf_counter()
        PARTS[part](plain, treated, options.runs, options.users)
        print(f"\n{part}: {time.perf_counter() - start:.0f} s", flush=True)


if __name__ == "__main__":
    main()
