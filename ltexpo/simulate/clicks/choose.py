"""Lists → every model fitted, their held-out perplexities side by side, and the one to use, fitted on all lists."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from ltexpo.errors import ConfigError, TableError
from ltexpo.metrics.intervals import difference
from ltexpo.simulate.clicks.cm import Cascade
from ltexpo.simulate.clicks.dbn import DynamicBayesian
from ltexpo.simulate.clicks.dcm import DependentClick
from ltexpo.simulate.clicks.model import SlotModel
from ltexpo.simulate.clicks.pbm import PositionBased
from ltexpo.simulate.clicks.perplexity import Perplexity, perplexity
from ltexpo.simulate.clicks.sessions import Sessions
from ltexpo.simulate.clicks.ubm import UserBrowsing

MODELS: Mapping[str, type[SlotModel]] = {
    "cm": Cascade, "pbm": PositionBased, "dcm": DependentClick, "ubm": UserBrowsing, "dbn": DynamicBayesian,
}
"""By number of parameters, fewest first: none, K − 1, K − 1, K (K + 1) / 2 − 1, 1 and one per key."""

_SHOWN = ("perplexity", "low", "high", "conditional", "conditional_low", "conditional_high")


@dataclass(frozen=True)
class Choice:
    """The models compared, and the best."""

    best: SlotModel
    """Fitted again on all lists."""
    table: pd.DataFrame
    """One row per model, simplest first: model, perplexity, low, high, conditional, conditional_low, conditional_high,
    behind (conditional −log2 per impression above the lowest), behind_low, behind_high, converged, chosen."""
    perplexities: dict[str, Perplexity]
    """Held out, by model."""
    left_out: dict[str, str]
    """Models that this log cannot tell anything about, and why."""
    held_out: dict[str, int]
    """Lists fitted on and held out."""

    def to_pandas(self) -> pd.DataFrame:
        """The table."""
        return self.table

    def __str__(self) -> str:
        lines = [f"{'model':<7}{'perplexity':>11}{'conditional':>13}{'interval':>20}{'behind, bits':>14}"]
        for row in self.table.itertuples():
            lines.append(
                f"{row.model:<7}{row.perplexity:>11.4f}{row.conditional:>13.4f}"
                f"{f'{row.conditional_low:.4f} to {row.conditional_high:.4f}':>20}{row.behind:>14.5f}"
                + ("  ← chosen" if row.chosen else "") + ("" if row.converged else "  (not converged)")
            )
        lines += [f"{name}: left out, {reason}" for name, reason in self.left_out.items()]
        return "\n".join(lines)

    def facts(self) -> dict[str, Any]:
        """What a report says of the choice."""
        return {
            "chosen": self.best.name, "lists": self.held_out, "left_out": self.left_out,
            "models": self.table.to_dict("records"),
            "by_rank": {name: found.table.to_dict("records") for name, found in self.perplexities.items()},
        }


def choose(
    sessions: Sessions,
    *,
    models: Sequence[str] = tuple(MODELS),
    share: float = 0.25,
    since: str | None = None,
    level: float = 0.95,
) -> Choice:
    """Fit `models` on a part of the lists and take the one that foresees the others best.

    The lists to judge on are a `share` by hash of request_id, or those from `since` on. The criterion is conditional
    perplexity; models whose loss is not above the lowest beyond chance (interval at `level` of the paired difference,
    clustered as in `perplexity`) count as tied, and the simplest of them is taken.

    Raises `ConfigError` on an unknown model, `SplitError`, or `TableError` when the log allows none of them.
    """
    unknown = [name for name in models if name not in MODELS]
    if unknown or not models:
        raise ConfigError(f"models holds {unknown or 'nothing'}; choose among {', '.join(MODELS)}.")
    train, test = sessions.split(share=share, since=since)
    found: dict[str, Perplexity] = {}
    fitted: dict[str, SlotModel] = {}
    left_out: dict[str, str] = {}
    for name in (name for name in MODELS if name in models):
        try:
            fitted[name] = MODELS[name]().fit(train, errors=False)
        except TableError as error:
            left_out[name] = str(error)
            continue
        found[name] = perplexity(fitted[name], test, level=level)
    if not found:
        raise TableError("; ".join(dict.fromkeys(left_out.values())))
    lowest = min(found.values(), key=lambda one: one.loss.value)
    rows: list[dict[str, Any]] = []
    for name, one in found.items():
        gap = difference(one.loss, lowest.loss, level=level)
        rows.append({
            "model": name, **{column: float(one.table[column].iloc[0]) for column in _SHOWN}, "behind": gap.value,
            "behind_low": gap.low, "behind_high": gap.high, "converged": fitted[name].converged_,
        })
    table = pd.DataFrame(rows)
    tied = (table["behind_low"] <= 0) | (table["behind"] == 0)
    table["chosen"] = table["model"] == table["model"][tied].iloc[0]
    best = MODELS[str(table["model"][table["chosen"]].iloc[0])]().fit(sessions)
    return Choice(best, table, found, left_out, {"fitted on": len(train), "held out": len(test)})
