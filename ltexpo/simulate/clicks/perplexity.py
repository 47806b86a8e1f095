"""A fitted model + held-out lists → how well it foresees their clicks, by rank and overall, with intervals."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from ltexpo.metrics.intervals import Ratio, estimate
from ltexpo.simulate.clicks.em import Floats
from ltexpo.simulate.clicks.fitted_model import FLOOR, ClickModel
from ltexpo.simulate.clicks.sessions import Sessions


@dataclass(frozen=True)
class Perplexity:
    """2^(mean −log2 P(what happened in a slot)): 1 is certainty, 2 a coin. Lower is better."""

    model: str
    table: pd.DataFrame
    """One row per rank, and rank 0 for all impressions: impressions; perplexity, low, high (no click of the list is
    known); conditional, conditional_low, conditional_high (the clicks above are known)."""
    loss: Ratio
    """Conditional −log2 over slots, by list: what the overall conditional figure is made of."""

    @property
    def overall(self) -> float:
        """Over all impressions, clicks above unknown."""
        return float(self.table["perplexity"].iloc[0])

    @property
    def conditional(self) -> float:
        """Over all impressions, clicks above known."""
        return float(self.table["conditional"].iloc[0])

    def to_pandas(self) -> pd.DataFrame:
        """The table."""
        return self.table

    def __str__(self) -> str:
        lines = [f"{self.model:<6}{'perplexity':>12}{'interval':>20}{'conditional':>13}{'interval':>20}"]
        for row in self.table.itertuples():
            lines.append(
                f"{'all' if row.rank == 0 else row.rank!s:<6}{row.perplexity:>12.4f}"
                f"{f'{row.low:.4f} to {row.high:.4f}':>20}{row.conditional:>13.4f}"
                f"{f'{row.conditional_low:.4f} to {row.conditional_high:.4f}':>20}"
            )
        return "\n".join(lines)


def perplexity(model: ClickModel, sessions: Sessions, *, level: float = 0.95) -> Perplexity:
    """Perplexity of `model` on lists that it was not fitted on; intervals over users, or over lists without users.

    By rank and with clicks above unknown it is that of Dupret & Piwowarski 2008. The overall figure weighs every
    impression alike, where some papers average the ranks. The conditional figure is 2^(−log-likelihood / impressions)
    of whole lists, so it also judges what the model says of clicks that follow one another. Every probability is kept
    1e-6 from 0 and 1.
    """
    items, clicks, surface = sessions.items, sessions.clicks, sessions.surface
    losses = [
        _loss(chance, clicks)
        for chance in (
            model.click_probabilities(items, surface=surface), model.conditional(items, clicks, surface=surface)
        )
    ]
    shown = sessions.shown
    clusters = sessions.clusters
    rows = []
    for rank in range(sessions.k + 1):
        slots = shown if rank == 0 else shown[:, rank - 1:rank]
        count = slots.sum(axis=1).astype(np.float64)
        here = count > 0
        if not here.any():
            continue
        row: dict[str, float] = {"rank": rank, "impressions": int(count.sum())}
        for loss, names in zip(losses, _NAMES, strict=True):
            total = np.where(slots, loss if rank == 0 else loss[:, rank - 1:rank], 0.0).sum(axis=1)
            found = estimate(Ratio.of(total[here], count[here], clusters[here]), level=level)
            row |= dict(zip(names, (2.0**found.value, 2.0**found.low, 2.0**found.high), strict=True))
        rows.append(row)
    whole = Ratio.of(np.where(shown, losses[1], 0.0).sum(axis=1), shown.sum(axis=1), clusters)
    table = pd.DataFrame(rows).astype({"rank": np.int64, "impressions": np.int64})
    return Perplexity(model.name, table, whole)


_NAMES = (("perplexity", "low", "high"), ("conditional", "conditional_low", "conditional_high"))


def _loss(chance: Floats, clicks: npt.NDArray[np.bool_]) -> Floats:
    """−log2 P of what happened in every slot."""
    inside = np.clip(chance, FLOOR, 1 - FLOOR)
    loss: Floats = -np.where(clicks, np.log2(inside), np.log2(1 - inside))
    return loss
