"""A log and a target policy → the policy's value by each estimator that suits the log, with intervals and verdicts."""

from collections.abc import Callable
from dataclasses import replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from ltexpo.errors import ConfigError, TableError
from ltexpo.metrics.intervals import Estimate, Ratio, difference, estimate
from ltexpo.simulate.ope import ranking, slot
from ltexpo.simulate.ope.diagnostics import CANNOT_SAY, OK, Diagnosis, diagnose, missing_share, refusal
from ltexpo.simulate.ope.logged import Logged
from ltexpo.simulate.ope.model_error import ModelError
from ltexpo.simulate.ope.policy import TargetPolicy
from ltexpo.simulate.ope.propensities import availability
from ltexpo.simulate.ope.result import OpeResult, Row
from ltexpo.simulate.ope.reward_model import Predicted, cross_fitted
from ltexpo.simulate.ope.settings import OpeSettings

Floats = npt.NDArray[np.float64]

SLOT = ("ips", "snips", "dm", "dr", "switch_dr", "dr_shrinkage")
"""For logs of single slots."""
RANKING = ("ips", "snips", "rips", "snrips", "cascade_dr", "iips", "sniips", "dm", "dr", "switch_dr", "dr_shrinkage")
"""For logs of lists."""
_OWN, _ABOVE, _LIST = "its own item", "its item and those above", "the whole list"
_ASSUMES = {"ips": _LIST, "snips": _LIST, "rips": _ABOVE, "snrips": _ABOVE, "cascade_dr": _ABOVE}
_STEPS = 12
"""Candidates for the switch's limit and for the shrinkage."""


def evaluate_policy(
    log: Logged, policy: TargetPolicy, settings: OpeSettings | None = None, rng: int | np.random.Generator = 0
) -> OpeResult:
    """What the policy would earn per request, had it served the requests of the log.

    Single slots: `SLOT`; lists: `RANKING`, whose rows say what a slot's reward may depend on. Values and the log's own
    are over the same requests and ranks: those that both log and policy fill. The same `rng` gives the same numbers.
    Raises `ConfigError` for an estimator that does not suit the log, `TableError` when nothing can be compared.
    """
    settings = settings or OpeSettings()
    generator = np.random.default_rng(rng)
    log, policy, left_out = _aligned(log, policy)
    names = _names(settings.estimator, log.single)  # now, as a policy of one rank leaves single slots
    case = _Case(log, policy, settings, generator)
    if log.rewards.any():
        rows = tuple(case.row(name) for name in names)
    else:
        reason = f"none of the {int(log.shown.sum()):,} slots compared had a {settings.reward} under its request_id"
        rows = tuple(Row.refused(name, case.assumed(name), reason) for name in names)
    return OpeResult(
        rows=rows, on_policy=estimate(case.own, level=settings.level), missing=case.missing,
        requests=len(log.users), slots=int(log.shown.sum()), single=log.single, level=settings.level,
        reward=settings.reward, left_out=left_out, notes=_notes(log, policy),
    )


def _names(asked: tuple[str, ...], single: bool) -> tuple[str, ...]:
    suited = SLOT if single else RANKING
    if "all" in asked:
        return suited
    for name in asked:
        if name not in suited:
            what = "single slots" if single else "lists"
            raise ConfigError(f"estimator is '{name}', but the log holds {what}. Use all, or {', '.join(suited)}.")
    if not asked:
        raise ConfigError(f"estimator is empty. Use all, or {', '.join(suited)}.")
    return tuple(dict.fromkeys(asked))


def _aligned(log: Logged, policy: TargetPolicy) -> tuple[Logged, TargetPolicy, dict[str, int]]:
    """The requests and slots that both hold, and what that leaves out."""
    left_out = log.left_out | policy.left_out
    served = np.where(policy.groups >= 0, policy.groups, 0)
    filled = (np.diff(policy.starts) > 0).reshape(-1, policy.n_ranks)[served] & (policy.groups >= 0)[:, None]
    both = log.shown & filled
    keep = np.asarray(both.any(axis=1))
    if not keep.any():
        raise TableError("policy: fills no rank that the log shows. Give the ranks of the log's slots.")
    beyond = int((log.shown & ~both)[policy.groups >= 0].sum())
    if beyond:
        left_out["logged slots at ranks that the policy does not fill"] = beyond
    return log.take(keep, both), policy.take(keep), left_out


def _notes(log: Logged, policy: TargetPolicy) -> tuple[str, ...]:
    notes = list(policy.notes)
    if log.estimated:
        notes.append(
            "propensities are frequencies of the log, not logged: what else the logging policy went by is not undone"
        )
    if not log.single and log.kind == "conditional" and not log.repeats:
        notes.append(
            "slot by slot, propensities given what stands above are multiplied by how often the log still had the item "
            "to show"
        )
    return tuple(notes)


class _Case:
    """One log and one policy, already aligned; what several estimators share is made once."""

    def __init__(self, log: Logged, policy: TargetPolicy, settings: OpeSettings, rng: np.random.Generator) -> None:
        self.log, self.policy, self.settings = log, policy, settings
        self._diagnoses: dict[str, Diagnosis] = {}
        self.clusters = log.clusters(settings.cluster)
        self.own = Ratio.mean(log.rewards.sum(axis=1), self.clusters)
        self.marginal = policy.marginal(log, rng)
        self.slot_weights = self._slot_weights()
        self.steps = None if log.kind == "marginal" and not log.single else self._steps()
        self.missing = self._missing()
        self.model = ModelError(log, policy, self.marginal, smoothing=settings.smoothing)
        self.predicted: Predicted = cross_fitted(
            log, policy, self.marginal, folds=settings.folds, smoothing=settings.smoothing, by=settings.cluster, rng=rng
        )

    def assumed(self, name: str) -> str:
        """What a slot's reward may depend on for an estimator to be right."""
        return _OWN if self.log.single else _ASSUMES.get(name, _OWN)

    def row(self, name: str) -> Row:
        """One estimator's line of the result."""
        kind = self.assumed(name)
        if kind != _OWN and self.steps is None:
            return Row.refused(name, kind, "it needs propensities given what stands above, the log has marginal ones")
        if name == "dm":
            return self._direct(kind)
        with np.errstate(invalid="ignore"):
            linear, shift = self._linear(name)
        reason = self._refusal(kind)
        if reason is None and not np.isfinite(linear).all():
            reason = "no slot of some rank has a weight above 0"
        if reason is None and kind == _OWN:
            reason = self._depends(linear)
        return self._row(name, kind, linear, self._found(kind), reason, shift)

    def _row(
        self, name: str, kind: str, linear: Floats, found: Diagnosis | None, reason: str | None, shift: float = 0.0
    ) -> Row:
        ratio = Ratio.mean(linear, self.clusters)
        level = self.settings.level
        value, change = estimate(ratio, level=level), difference(ratio, self.own, level=level)
        verdict = OK if reason is None else f"{CANNOT_SAY}: {reason}"
        return Row(name, kind, _widened(value, shift), _widened(change, shift), found, verdict)

    def _linear(self, name: str) -> tuple[Floats, float]:
        """(R,) linearised contributions, see `slot` and `ranking`; and how far shrinking moved them from `dr`."""
        log, weights, rewards = self.log, self.slot_weights, self.log.rewards
        if name in _ASSUMES and not log.single:
            assert self.steps is not None
            lists: dict[str, Callable[[Floats], Floats]] = {
                "ips": lambda steps: ranking.list_ips(steps, rewards),
                "snips": lambda steps: ranking.list_snips(steps, rewards),
                "rips": lambda steps: ranking.rips(steps, rewards, log.shown),
                "snrips": lambda steps: slot.snips(ranking.prefix_weights(steps, log.shown), rewards, log.shown),
                "cascade_dr": lambda _: self.cascade,
            }
            return lists[name](self.steps), 0.0
        if name == "switch_dr":
            return self._chosen([slot.switched(weights, limit) for limit in self._grid(1)])
        if name == "dr_shrinkage":
            return self._chosen([slot.shrunk(weights, strength) for strength in self._grid(2)])
        slots: dict[str, Callable[[], Floats]] = {
            "ips": lambda: slot.ips(weights, rewards),
            "iips": lambda: slot.ips(weights, rewards),
            "snips": lambda: slot.snips(weights, rewards, log.shown),
            "sniips": lambda: slot.snips(weights, rewards, log.shown),
            "dr": lambda: self._doubly(weights),
        }
        return slots[name](), 0.0

    @cached_property
    def cascade(self) -> Floats:
        """(R,) contributions of cascade-DR, which others are checked against."""
        assert self.steps is not None
        rewards, shown = self.log.rewards, self.log.shown
        return ranking.cascade_dr(
            self.steps, rewards, shown, *ranking.cascade_values(rewards, shown, self.predicted)
        )

    def _doubly(self, weights: Floats) -> Floats:
        predicted = self.predicted
        linear = slot.doubly_robust(weights, self.log.rewards, predicted.logged, predicted.target)
        return linear + self.model.moved(weights)

    def _chosen(self, weights: list[Floats]) -> tuple[Floats, float]:
        """The candidate that SLOPE chooses, the first being `dr` itself, and how far it is from that."""
        candidates = [self._doubly(candidate) for candidate in weights]
        chosen = candidates[slot.choose(candidates, self._half_width)]
        return chosen, abs(float(chosen.mean() - candidates[0].mean()))

    def _grid(self, power: int) -> list[float]:
        """Limits from none downwards to the middle weight; for shrinkage their squares."""
        positive = self.slot_weights[self.slot_weights > 0]
        if not len(positive):
            return [float("inf")]
        low, high = float(np.median(positive)), float(positive.max())
        return [float("inf"), *(np.geomspace(high, low, _STEPS) ** power)]

    def _half_width(self, linear: Floats) -> float:
        found = estimate(Ratio.mean(linear, self.clusters), level=self.settings.level)
        return (found.high - found.low) / 2

    def _direct(self, kind: str) -> Row:
        """Predictions alone have no error that they show: they are believed where weighted rewards can check them."""
        linear = slot.direct(self.predicted.target) + self.model.moved(np.zeros(self.log.items.shape))
        reason = self._refusal(_OWN)  # weights that tell nothing cannot check the model either
        if reason is None:
            reason = self._apart(linear, self._doubly(self.slot_weights), "dr, which corrects its predictions,")
        return self._row("dm", kind, linear, None, reason or self._depends(linear))

    def _depends(self, linear: Floats) -> str | None:
        """Why a slot's reward does not depend on its own item alone; None where nothing shows it."""
        if self.log.single or self.steps is None or self._refusal(_ABOVE) is not None:
            return None
        return self._apart(linear, self.cascade, "cascade_dr, for which rewards may depend on what stands above,")

    def _apart(self, linear: Floats, checked: Floats, what: str) -> str | None:
        """Says so when `checked`, an estimate that assumes less, differs by more than chance explains."""
        off = estimate(Ratio.mean(checked - linear, self.clusters), level=self.settings.level)
        if not (off.low > 0 or off.high < 0):
            return None
        return f"{what} differs by {off.value:.3g} ({off.low:.3g} to {off.high:.3g})"

    def _refusal(self, kind: str) -> str | None:
        return refusal(self._found(kind), self.missing, self.settings)

    def _found(self, kind: str) -> Diagnosis:
        if kind not in self._diagnoses:
            weights, rewards, clusters = self._of_kind(kind)
            self._diagnoses[kind] = diagnose(
                weights, rewards, clusters, requests=len(self.log.users), level=self.settings.level
            )
        return self._diagnoses[kind]

    def _of_kind(self, kind: str) -> tuple[Floats, Floats, npt.NDArray[np.int64]]:
        """(n,) weights, rewards and clusters, of slots or of lists."""
        if kind == _LIST:
            assert self.steps is not None
            return ranking.list_weights(self.steps), self.log.rewards.sum(axis=1), self.clusters
        shown = self.log.shown
        request, _ = np.nonzero(shown)
        weights = self.slot_weights
        if kind == _ABOVE:
            assert self.steps is not None
            weights = ranking.prefix_weights(self.steps, shown)
        return weights[shown], self.log.rewards[shown], self.clusters[request]

    def _slot_weights(self) -> Floats:
        log, policy = self.log, self.policy
        wanted = np.column_stack([
            policy.chances(policy.groups, rank, log.items[:, rank], self.marginal)
            for rank in range(log.items.shape[1])
        ])
        chance = log.propensities
        if log.kind == "conditional" and not log.single and not log.repeats:
            chance = chance * availability(log.items, log.segments, smoothing=self.settings.smoothing)
        return np.where(log.shown, wanted / chance, 0.0)

    def _steps(self) -> Floats:
        return np.where(self.log.shown, self.policy.conditional(self.log) / self.log.propensities, 1.0)

    def _missing(self) -> float:
        log, policy = self.log, self.policy
        ever = np.zeros((policy.n_ranks, policy.n_items), dtype=bool)
        request, rank = np.nonzero(log.shown)
        ever[rank, log.items[request, rank]] = True
        slots = np.zeros((len(policy.depths), policy.n_ranks))
        np.add.at(slots, policy.groups, log.shown)
        rank_of_row = policy.keys // policy.n_items % policy.n_ranks
        return missing_share(ever[rank_of_row, policy.items], self.marginal, policy.starts, slots)


def _widened(found: Estimate, shift: float) -> Estimate:
    """`found` with `shift` more on either side."""
    return replace(found, low=found.low - shift, high=found.high + shift)
