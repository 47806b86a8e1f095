"""Worlds, looked at day by day → effects with intervals, by segment and tier, looks, items, and a verdict."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ltexpo.columns import Columns, Tier
from ltexpo.metrics.intervals import Ratio
from ltexpo.metrics.small_groups import merge_small
from ltexpo.simulate.behaviour import World, totals
from ltexpo.simulate.catalogue import Catalogue
from ltexpo.simulate.certify import MOST_USERS, Population, certify
from ltexpo.simulate.environment import Environment
from ltexpo.simulate.foretold import as_seen, less_foretold
from ltexpo.simulate.item_readings import item_effects
from ltexpo.simulate.readings import METRICS, TIER_METRICS, Metric, reading
from ltexpo.simulate.result import EFFECT, TEST, ExperimentResult
from ltexpo.simulate.settings import ExperimentSettings
from ltexpo.simulate.stats import (
    Effect,
    Effects,
    benjamini_hochberg,
    compare_segments,
    compare_totals,
    confidence_sequence,
    guard,
    holm,
    sample_ratio,
    verdict,
)

Floats = npt.NDArray[np.float64]
Pairs = Mapping[str, tuple[str, str]]
"""Metric → the columns of its numerator and denominator."""


@dataclass(frozen=True)
class _Look:
    """The test after a day."""

    adjusted: Effects
    """Less what the days before foretell, the arms' values too."""
    seen: Effects
    """The same changes beside the arms' values as they were seen."""


class Readout:
    """Collects what each day tells; memory does not grow with the users times the days."""

    def __init__(
        self, settings: ExperimentSettings, users: "pd.Index[str]", dealt: npt.NDArray[np.int64],
        before: Floats, segments: pd.DataFrame | None, catalogue: Catalogue, *, twins: bool,
    ) -> None:
        self._settings, self._users, self._dealt = settings, users, dealt
        self._before, pairs = reading(before, {**METRICS, **TIER_METRICS})
        # By arm and metric, as every look needs them.
        self._past = [
            {metric: _ratio(self._before[dealt == place], columns) for metric, columns in pairs.items()}
            for place in range(int(dealt.max()) + 1)
        ]
        self._catalogue, self._twins = catalogue, twins
        self._segments: pd.DataFrame | None = None
        self._merged: dict[str, list[str]] = {}
        if segments is not None:
            self._segments, self._merged = _merged(segments.reindex(users), dealt, settings.least_users)
        self._looks: dict[str, list[_Look]] = {}
        self._days: list[dict[str, Any]] = []
        self._last: dict[str, Floats] = {}
        # Whom `certify` looks at, and what they did up to each day under the control.
        self._sample = np.sort(np.random.default_rng(0).permutation(len(users))[:MOST_USERS])
        self._by_day: list[pd.DataFrame] = []

    def look(self, worlds: Mapping[str, World]) -> None:
        """After a day."""
        names = list(worlds)
        for place, name in enumerate(names[1:], 1):
            self._looks.setdefault(name, []).append(self._look_at(worlds, names[0], name, place))
        if self._settings.certify:
            frame, _ = reading(worlds[names[0]].totals[self._sample], self._certified)
            self._by_day.append(frame)
        for name, world in worlds.items():
            today = world.totals.sum(axis=0)
            lived = pd.Series(today - self._last.get(name, np.zeros_like(today)), index=list(totals.NAMES))
            self._last[name] = today
            exposure = [lived[f"exposure_{tier}"] for tier in Tier.All]
            here = world.present & (world.people.arrives < world.day)
            self._days.append({
                "arm": name, "day": world.day, "users": int(here.sum()),
                "active": int((world.state.active[world.present] & 1).sum()),
                "stay": int((here & world.state.stays).sum()), "visits": int(lived["visits"]),
                "clicks": int(lived["clicks"]),
                "tail_share": 1 - exposure[0] / sum(exposure) if sum(exposure) else float("nan"),
            })

    def result(
        self, worlds: Mapping[str, World], environment: Environment, shares: Mapping[str, float]
    ) -> ExperimentResult:
        """After the last day."""
        names, settings = list(worlds), self._settings
        counts = {name: int((self._dealt == place).sum()) for place, name in enumerate(names)}
        ratio = sample_ratio(counts, shares)
        tables, looks, verdicts = [], [], {}
        for place, name in enumerate(names[1:], 1):
            for read in ([EFFECT] if self._twins else []) + [TEST]:
                tables += self._tables(worlds, names[0], name, place, read)
            looks.append(self._sequences(name))
            test = self._looks[name][-1].adjusted
            rails = [guard(test[metric], margin=margin) for metric, margin in settings.guardrails.items()]
            said = verdict(test[settings.primary], rails, ratio, days=settings.days, plan=False)
            verdicts[name] = {
                "decision": said.decision, "reason": said.reason, "more_users": said.more_users,
                "more_days": said.more_days, "primary": settings.primary,
                "guardrails": [
                    {"metric": rail.effect.metric, "margin": rail.margin, "state": rail.state, "reason": rail.reason}
                    for rail in rails
                ],
            }
        facts = {
            **environment.describe(), "users": counts, "days": settings.days, "before_days": settings.before_days,
            "level": settings.level, "behaviour": settings.behaviour.model_dump(),
            "retrain_every": settings.retrain_every, "log": settings.log if settings.retrain_every else None,
            "visits": {name: int(world.totals[:, 0].sum()) for name, world in worlds.items()},
            "impressions": {name: int(world.totals[:, 1].sum()) for name, world in worlds.items()},
            "sample_ratio": {"ok": ratio.ok, "p_value": ratio.p_value},
            "least_users": settings.least_users, "merged_segments": self._merged,
        }
        notes = [
            f"Segments with fewer than {settings.least_users} users in an arm are merged: " + "; ".join(
                f"{by}: {', '.join(held)}" for by, held in self._merged.items()
            ) + "."
        ] if self._merged else []
        items = pd.concat([self._items(name, world) for name, world in worlds.items()], ignore_index=True)
        return ExperimentResult(
            pd.concat(tables, ignore_index=True), pd.concat(looks, ignore_index=True), pd.DataFrame(self._days), items,
            verdicts, facts, self._validity(worlds, shares) if settings.certify and self._twins else None, notes,
        )

    @property
    def _certified(self) -> dict[str, Metric]:
        return {name: METRICS[name] for name in dict.fromkeys((self._settings.primary, *self._settings.guardrails))}

    def _validity(self, worlds: Mapping[str, World], shares: Mapping[str, float]) -> pd.DataFrame:
        names = list(worlds)
        tables = []
        for place, name in enumerate(names[1:], 1):
            control, pairs = reading(worlds[names[0]].totals[self._sample], self._certified)
            treated, _ = reading(worlds[name].totals[self._sample], self._certified)
            before = self._before.iloc[self._sample]
            populations = {
                metric: Population(
                    _columns(control, pair), _columns(treated, pair), _columns(before, pair),
                    (np.stack([day[pair[0]] for day in self._by_day]),
                     np.stack([day[pair[1]] for day in self._by_day])),
                )
                for metric, pair in pairs.items()
            }
            table = certify(
                populations, share=shares[name] / (shares[name] + shares[names[0]]), level=self._settings.level,
                runs=int(self._settings.certify or 0), rng=place,
            )
            table.insert(0, "arm", name)
            tables.append(table)
        return pd.concat(tables, ignore_index=True)

    def _frames(
        self, worlds: Mapping[str, World], control: str, control_place: int, arm: str, place: int,
        metrics: Mapping[str, Any], read: str,
    ) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, tuple[str, str]]]:
        frames = []
        for name, number in ((arm, place), (control, control_place)):
            frame, pairs = reading(worlds[name].totals, metrics)
            if self._segments is not None:
                frame = pd.concat([frame, self._segments.reset_index(drop=True)], axis=1)
            frames.append(frame if read == EFFECT else frame[self._dealt == number])
        return frames[0], frames[1], pairs

    def _look_at(self, worlds: Mapping[str, World], control: str, arm: str, place: int) -> "_Look":
        """The test so far."""
        treated, untreated, pairs = self._frames(worlds, control, 0, arm, place, METRICS, TEST)
        found = [
            self._tested(metric, _ratio(treated, columns), _ratio(untreated, columns), place)
            for metric, columns in pairs.items()
        ]
        return _Look(*(Effects(tuple(effects)) for effects in zip(*found, strict=True)))

    def _tested(self, metric: str, treatment: Ratio, control: Ratio, place: int) -> tuple[Effect, Effect]:
        """The test of all users, less what the days before foretell; and beside the arms' values as they were seen."""
        before = self._past[place][metric], self._past[0][metric]
        adjusted = less_foretold(metric, treatment, control, before, level=self._settings.level)
        return adjusted, as_seen(adjusted, treatment, control)

    def _by_segment(self, treated: pd.DataFrame, untreated: pd.DataFrame, pairs: Pairs, by: str) -> Effects:
        """The test within each segment, as over all users."""
        plain = compare_segments(treated, untreated, pairs, by, level=self._settings.level)
        own = [frame[by].astype(str).to_numpy() for frame in (treated, untreated)]
        effects = []
        for effect, name in zip(plain.effects, plain.segments, strict=True):
            if not np.isfinite(effect.difference):
                effects.append(effect)  # with its reason
                continue
            columns = pairs[effect.metric]
            parts = [frame[mine == name] for frame, mine in zip((treated, untreated), own, strict=True)]
            arms = [_ratio(part, columns) for part in parts]
            past = [_ratio(self._before.iloc[part["user_id"].to_numpy()], columns) for part in parts]
            adjusted = less_foretold(effect.metric, arms[0], arms[1], (past[0], past[1]), level=self._settings.level)
            effects.append(as_seen(adjusted, arms[0], arms[1]))
        return Effects(tuple(effects), plain.segments)

    def _tables(
        self, worlds: Mapping[str, World], control: str, arm: str, place: int, read: str
    ) -> list[pd.DataFrame]:
        paired, level = read == EFFECT, self._settings.level
        treated, untreated, pairs = self._frames(worlds, control, 0, arm, place, METRICS, read)
        # In a test the change is less what the days before foretell; the arms' own values stand as they were seen.
        over_all = (
            compare_totals(treated, untreated, pairs, paired=True, level=level) if paired else self._looks[arm][-1].seen
        )
        who = [np.ones(len(self._users), dtype=np.bool_) if paired else self._dealt == number for number in (place, 0)]
        over_items = item_effects(
            worlds[arm], worlds[control], who[0], who[1], self._catalogue, paired=paired, level=level,
            seed=worlds[arm].seed,
        )
        tables = [_table(Effects((*over_all.effects, *over_items)), arm, read, "all")]
        for by in [] if self._segments is None else list(self._segments.columns):
            effects = (
                compare_segments(treated, untreated, pairs, by, paired=True, level=level) if paired
                else self._by_segment(treated, untreated, pairs, by)
            )
            tables.append(_table(effects, arm, read, by))
        treated, untreated, pairs = self._frames(worlds, control, 0, arm, place, TIER_METRICS, read)
        effects = compare_totals(treated, untreated, pairs, paired=True, level=level) if paired else Effects(tuple(
            self._tested(metric, _ratio(treated, columns), _ratio(untreated, columns), place)[1]
            for metric, columns in pairs.items()
        ))
        # "clicks per visit, tail" is the metric 'clicks per visit' in the segment 'tail' of the items.
        split = [effect.metric.rsplit(", ", 1) for effect in effects.effects]
        renamed = tuple(replace(e, metric=metric) for e, (metric, _) in zip(effects.effects, split, strict=True))
        tables.append(_table(Effects(renamed, tuple(tier for _, tier in split)), arm, read, "item tier"))
        return tables

    def _sequences(self, arm: str) -> pd.DataFrame:
        looks = self._looks[arm]
        tables = []
        for metric in METRICS:
            single, seen = [look.adjusted[metric] for look in looks], [look.seen[metric] for look in looks]
            # The length of the test is planned, so the sequence may be narrowest at its end.
            table = confidence_sequence(single, level=self._settings.level).to_pandas()
            table = table.rename(columns={
                "look": "day", "control": "control_adjusted", "treatment": "treatment_adjusted",
            })
            table.insert(2, "control", [look.control for look in seen])
            table.insert(3, "treatment", [look.treatment for look in seen])
            table["fixed_low"] = [look.low for look in single]
            table["fixed_high"] = [look.high for look in single]
            tables.append(table)
        return pd.concat(tables, ignore_index=True).assign(arm=arm)

    def _items(self, name: str, world: World) -> pd.DataFrame:
        table = world.items()
        table.insert(0, "arm", name)
        table.insert(1, Columns.Item, self._catalogue.ids)
        table.insert(2, Columns.Tier, np.array(Tier.All, dtype=object)[self._catalogue.tier])
        return table


def _merged(
    segments: pd.DataFrame, dealt: npt.NDArray[np.int64], least: int
) -> tuple[pd.DataFrame, dict[str, list[str]]]:
    """`segments` (one row per user) with small groups of each kind merged, and which these were."""
    columns, told = {}, {}
    for by in segments.columns:
        columns[by], merged = merge_small(segments[by], least=least, within=dealt)
        if merged:
            told[str(by)] = [name for held in merged.values() for name in held]
    return pd.DataFrame(columns, index=segments.index), told


def _columns(frame: pd.DataFrame, pair: tuple[str, str]) -> tuple[Floats, Floats]:
    return frame[pair[0]].to_numpy(np.float64), frame[pair[1]].to_numpy(np.float64)


def _ratio(frame: pd.DataFrame, columns: tuple[str, str]) -> Ratio:
    above, below = columns
    return Ratio.of(frame[above], frame[below], frame["user_id"].to_numpy())


def _table(effects: Effects, arm: str, read: str, by: str) -> pd.DataFrame:
    table = effects.to_pandas()
    if "segment" not in table:
        table.insert(0, "segment", "all")
    table.insert(0, "by", by)
    table.insert(0, "reading", read)
    table.insert(0, "arm", arm)
    return table.assign(p_holm=holm(table["p_value"]), p_bh=benjamini_hochberg(table["p_value"]))
