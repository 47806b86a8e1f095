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

import numpy as np
import pandas as pd
from made_users import METRICS, PEOPLE, Integers, People, both, draw, make_people
from scipy import stats
from statistics_exposure import coverage, gini, permuted_gini
from statistics_looks import peeking, srm
from statistics_rows import held, report, row, table

from ltexpo.metrics.intervals import Ratio
from ltexpo.simulate.stats import (
    Baseline,
    Cap,
    Effect,
    compare,
    compare_studentised,
    cuped,
    linearised,
    power,
    resampled_power,
)


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
    return compare_studentised(metric, *arms, runs=199, rng=seed)


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


def power_part(plain: People, treated: People, runs: int, users: int) -> None:
    table(
        "power", "true relative", "by formula", f"in {runs:,} runs", "formula's points apart", "`resampled_power`",
        "its points apart",
    )
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
            resampled = resampled_power(
                plain.ratio(metric, everyone), relative=lift, users=users, runs=min(runs, 4_000), rng=1
            )[0]
            row(
                metric, f"{lift:+.2%}", f"{formula:.2%}", f"{found:.2%}", f"{100 * (formula - found):+.2f}",
                f"{resampled:.2%}", f"{100 * (resampled - found):+.2f}",
            )


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
