"""Effects of many runs → rows of Markdown."""

from collections.abc import Iterable

import numpy as np
from scipy import stats

from ltexpo.simulate.stats import Effect


def table(*columns: str) -> None:
    print("\n| " + " | ".join(columns) + " |\n| :-- |" + " --: |" * (len(columns) - 1), flush=True)


def row(*cells: object) -> None:
    print("| " + " | ".join(str(cell) for cell in cells) + " |", flush=True)


def report(metric: str, effects: Iterable[Effect]) -> None:
    values = np.array([(effect.difference, effect.error, effect.p_value) for effect in effects])
    p = values[:, 2]
    row(
        metric, f"{len(p):,}", f"{(p <= 0.05).mean():.2%}", f"{stats.kstest(p, 'uniform').statistic:.4f}",
        f"{p.mean():.3f}", f"{values[:, 0].std():.5g}", f"{values[:, 1].mean():.5g}",
    )


def held(metric: str, effects: list[Effect], treatment: float, control: float) -> None:
    difference, relative = treatment - control, (treatment - control) / control
    absolute = np.mean([one.low <= difference <= one.high for one in effects])
    of_control = np.mean([one.relative_low <= relative <= one.relative_high for one in effects])
    found = np.mean([one.p_value < 0.05 for one in effects])
    row(metric, f"{len(effects):,}", f"{relative:+.2%}", f"{absolute:.2%}", f"{of_control:.2%}", f"{found:.1%}")
