"""Tests that are looked at every day: of the effect, and of the split of the users."""

from collections.abc import Callable

import numpy as np
from made_users import DAYS, Floats, Integers, People, draw
from scipy import stats
from statistics_rows import row, table

from ltexpo.simulate.stats import always_valid, sample_ratio, sample_ratio_sequence


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
