"""Totals of every user in two arms → each metric's effect, overall and by segment."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd

from ltexpo.errors import ColumnError
from ltexpo.metrics.intervals import Ratio
from ltexpo.simulate.stats.effect import Effect, cannot_say, compare
from ltexpo.simulate.stats.words import change, changes_to, number, p_told, plus, plus_to


@dataclass(frozen=True)
class Effects:
    """Effects of several metrics, in the order they were asked for."""

    effects: tuple[Effect, ...]
    segments: tuple[str, ...] = ()
    """Segment of each effect; empty for effects over all users."""

    def __getitem__(self, metric: str) -> Effect:
        """The first effect of `metric`."""
        return next(effect for effect in self.effects if effect.metric == metric)

    def to_pandas(self) -> pd.DataFrame:
        """One row per effect: [segment,] and the fields of `Effect`."""
        table = pd.DataFrame([asdict(effect) for effect in self.effects])
        if self.segments:
            table.insert(0, "segment", list(self.segments))
        return table

    def __str__(self) -> str:
        names = self.segments or ("",) * len(self.effects)
        labels = [f"{name} {effect.metric}".strip() for name, effect in zip(names, self.effects, strict=True)]
        cells = [("", "control", "treatment", "change, %", "interval", "p")]
        cells += [(label, *_cells(effect)) for label, effect in zip(labels, self.effects, strict=True)]
        wide = [max(map(len, column)) for column in zip(*cells, strict=True)]
        lines = [_line(cells[0], wide)]
        for effect, row in zip(self.effects, cells[1:], strict=True):
            known = np.isfinite(effect.difference)
            lines.append(_line(row, wide) if known else f"{row[0]:<{wide[0]}}  cannot say: {effect.note}")
        if any(row[3].endswith(_PLAIN) for row in cells[1:]):
            lines.append(f"{_PLAIN} treatment − control, as the control is next to nothing; all others in % of the "
                         "control")
        return "\n".join(lines)


_PLAIN = "*"
"""Marks a change that is no percentage."""


def _cells(effect: Effect) -> tuple[str, str, str, str, str]:
    """Control, treatment, change, interval, p; the change is relative where the control is not next to 0."""
    if not np.isfinite(effect.difference):
        return "", "", "", "", ""
    if effect.tells_relative:
        told, bounds = change(effect.relative), changes_to(effect.relative_low, effect.relative_high)
    else:
        told, bounds = plus(effect.difference) + _PLAIN, plus_to(effect.low, effect.high)
    return number(effect.control), number(effect.treatment), told, bounds, p_told(effect.p_value)


def _line(cells: Sequence[str], wide: Sequence[int]) -> str:
    """Words to the left, numbers to the right, intervals in a column of their own."""
    label, control, treatment, change, bounds, p_value = (
        f"{cell:<{width}}" if place in (0, 4) else f"{cell:>{width}}"
        for place, (cell, width) in enumerate(zip(cells, wide, strict=True))
    )
    return f"{label}  {control}  {treatment}  {change}   {bounds}   {p_value}"


def compare_totals(
    treatment: pd.DataFrame,
    control: pd.DataFrame,
    metrics: Mapping[str, tuple[str, str]],
    *,
    users: str = "user_id",
    paired: bool = False,
    level: float = 0.95,
) -> Effects:
    """One row per user in each arm, with the totals that `metrics` names as (numerator, denominator) → their effects.

    `users` is the column of the users that were randomised; see `compare`. Raises `ColumnError` for a missing column.
    """
    _need(treatment, control, {users, *(column for pair in metrics.values() for column in pair)})
    return Effects(tuple(
        compare(
            metric, _ratio(treatment, columns, users), _ratio(control, columns, users), paired=paired, level=level
        )
        for metric, columns in metrics.items()
    ))


def compare_segments(
    treatment: pd.DataFrame,
    control: pd.DataFrame,
    metrics: Mapping[str, tuple[str, str]],
    segment: str,
    *,
    users: str = "user_id",
    paired: bool = False,
    level: float = 0.95,
) -> Effects:
    """The same within each value of the column `segment`, which must have been fixed before exposure.

    A segment without users in an arm gets an effect that says so. Many segments are many tests: adjust their p-values
    (`holm`, `benjamini_hochberg`).
    """
    _need(treatment, control, {segment})
    names = sorted({str(name) for arm in (treatment, control) for name in arm[segment].unique()})
    labels = [arm[segment].astype(str) for arm in (treatment, control)]
    effects: list[Effect] = []
    segments: list[str] = []
    for name in names:
        parts = [arm[own == name] for arm, own in zip((treatment, control), labels, strict=True)]
        empty = [arm for arm, part in zip(("treatment", "control"), parts, strict=True) if part.empty]
        if empty:
            note = f"no users of the {' and of the '.join(empty)}"
            counts = (len(parts[0]), len(parts[1]))
            found = tuple(cannot_say(m, note, counts=counts, level=level, method="delta method") for m in metrics)
        else:
            found = compare_totals(parts[0], parts[1], metrics, users=users, paired=paired, level=level).effects
        effects.extend(found)
        segments.extend([name] * len(found))
    return Effects(tuple(effects), tuple(segments))


def _ratio(arm: pd.DataFrame, columns: tuple[str, str], users: str) -> Ratio:
    return Ratio.of(arm[columns[0]], arm[columns[1]], arm[users].to_numpy())


def _need(treatment: pd.DataFrame, control: pd.DataFrame, columns: set[str]) -> None:
    for name, arm in (("treatment", treatment), ("control", control)):
        lacking = sorted(columns - set(arm.columns))
        if lacking:
            raise ColumnError(f"the {name}'s totals lack {', '.join(lacking)}; found {', '.join(arm.columns)}.")
