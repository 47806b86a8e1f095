"""Made lists with known truth → how often the frontier's 95% intervals hold it, as Markdown.

Run: python benchmarks/validity_frontier.py [--draws 200] [--size 0.3]
Over requests: samples of 400 lists out of 100,000; the truth is the loss that the same tail share costs on all of them.
Over scores: 400 lists with known chances of a click and scores that err; the truth is the loss of the lists that the
re-ranker chose, by those chances. Calibrated scores are posterior means: the chance is the score plus an error.
Estimates are the chance plus an error. Errors are each candidate's own, or one for all candidates of an item; twice as
large for tail items. The tail share asked is that of all plain lists plus 20 points.
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from ltexpo.rerank import GuardrailSettings, RerankSettings, frontier, rerank
from ltexpo.rerank.settings import Goal

Floats = npt.NDArray[np.float64]
LISTS, CANDIDATES, ITEMS, K = 400, 20, 300, 5
IN_TAIL = np.arange(ITEMS) >= ITEMS // 4
MORE_TAIL = 0.20
IDS = np.array([f"i{n:03d}" for n in range(ITEMS)])
CATALOGUE = pd.DataFrame({"item_id": IDS, "title": IDS, "tier": np.where(IN_TAIL, "tail", "head")})
SETTINGS = RerankSettings(k=K, score_kind="relevance", guardrails=GuardrailSettings(min_score_ratio=None))


@dataclass(frozen=True)
class Noise:
    """Standard errors and errors of candidates (n,), in units of 0.1."""

    size: float
    tail_times: float
    shared: bool

    def draw(self, item: npt.NDArray[np.int64], rng: np.random.Generator) -> tuple[Floats, Floats]:
        std = self.size * 0.1 * np.where(IN_TAIL[item], self.tail_times, 1.0)
        drawn = rng.standard_normal(ITEMS)[item] if self.shared else rng.standard_normal(len(item))
        return std, std * drawn

    def __str__(self) -> str:
        tail = "" if self.tail_times == 1 else f", tail ×{self.tail_times:g}"
        return f"{self.size:.0%} of 0.1{tail}, {'an item’s' if self.shared else 'a candidate’s'} own"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=200)
    parser.add_argument("--size", type=float, default=0.3, help="standard error of a score, in tenths")
    options = parser.parse_args()
    item, chance = make_lists(100_000, np.random.default_rng(0))
    pool = table(item, chance)
    share = frontier(pool, CATALOGUE, SETTINGS, shares=[0.0]).share_before + MORE_TAIL
    print("| interval | errors | scores are | taken as | held % | loss | bias, points | width, points |")
    print("| :-- | :-- | :-- | :-- | --: | --: | --: | --: |")
    show("over requests", "–", "–", "–", over_requests(pool, share, min(options.draws, 250)))
    for noise in (Noise(options.size, 2, False), Noise(options.size, 2, True)):
        for truth, taken in (("calibrated",) * 2, ("estimates", "calibrated"), ("estimates",) * 2):
            show("over scores", str(noise), truth, taken, over_scores(noise, truth, taken, share, options.draws))


def over_requests(pool: pd.DataFrame, share: float, draws: int) -> Iterator[tuple[float, float, float, float]]:
    """loss, low, high, truth of every sample."""
    truth = frontier(pool, CATALOGUE, SETTINGS, shares=[share]).points["loss"].iloc[0]
    for n in range(draws):
        sample = pool.iloc[n * LISTS * CANDIDATES : (n + 1) * LISTS * CANDIDATES]
        point = frontier(sample, CATALOGUE, SETTINGS, shares=[share]).points.iloc[0]
        yield point["loss"], point["loss_low"], point["loss_high"], truth


def over_scores(
    noise: Noise, truth: str, taken: str, share: float, draws: int
) -> Iterator[tuple[float, float, float, float]]:
    """The same for scores that err; the loss is the middle of the interval."""
    asked = SETTINGS.model_copy(update={"goals": (Goal(group="tail", min_share=share),)})
    for n in range(draws):
        rng = np.random.default_rng([1, n])
        item, middle = make_lists(LISTS, rng)
        std, error = noise.draw(item, rng)
        score, chance = (middle, middle + error) if truth == "calibrated" else (middle + error, middle)
        candidates = table(item, score, std)
        point = frontier(candidates, CATALOGUE, SETTINGS, shares=[share], scores_are=taken, rng=n).points.iloc[0]
        made = rerank(candidates, CATALOGUE, asked)
        known = candidates.assign(chance=chance)[["request_id", "item_id", "chance"]]
        had, has = (
            lists.merge(known, on=["request_id", "item_id"])[["exposure", "chance"]].prod(axis=1).sum()
            for lists in (made.control, made.rankings)
        )
        yield (point["score_low"] + point["score_high"]) / 2, point["score_low"], point["score_high"], 1 - has / had


def make_lists(n: int, rng: np.random.Generator) -> tuple[npt.NDArray[np.int64], Floats]:
    """Items and their middle scores, about 0.1 and lower for the tail: an item's quality, and the fit to the list."""
    item = rng.random((n, ITEMS)).argsort(axis=1)[:, :CANDIDATES].ravel()
    quality = np.random.default_rng(7).gamma(4, 0.025, ITEMS) * np.where(IN_TAIL, 0.7, 1.2)
    # far enough above zero that a score with its error hardly ever falls below
    return item, 0.15 + quality[item] * rng.gamma(4, 0.25, len(item))


def table(item: npt.NDArray[np.int64], score: Floats, std: Floats | None = None) -> pd.DataFrame:
    request = np.repeat(np.arange(len(item) // CANDIDATES), CANDIDATES)
    made = pd.DataFrame({
        "request_id": np.char.add("r", np.char.zfill(request.astype(str), 6)), "item_id": IDS[item],
        "score": np.maximum(score, 0.0),
    })
    return made if std is None else made.assign(score_std=std)


def show(
    interval: str, errors: str, truth: str, taken: str, draws: Iterator[tuple[float, float, float, float]]
) -> None:
    loss, low, high, true = np.array(list(draws)).T
    print(
        f"| {interval} | {errors} | {truth} | {taken} | {100 * ((low <= true) & (true <= high)).mean():.1f} "
        f"| {true.mean():.2%} | {100 * (loss - true).mean():+.3f} | {100 * (high - low).mean():.3f} |",
        flush=True,
    )


if __name__ == "__main__":
    main()
