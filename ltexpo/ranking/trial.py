"""A blend fitted on the earlier part of training, judged and calibrated on the later part."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from ltexpo.columns import Columns, Tier
from ltexpo.data.history import History
from ltexpo.ranking.blend import Blend, Validation, mixed
from ltexpo.ranking.calibrate_shown import calibrate_shown
from ltexpo.ranking.calibrate_tiers import TierCalibration, fit_tiers
from ltexpo.ranking.explore import scored, with_tail
from ltexpo.ranking.holdout import Holdout
from ltexpo.ranking.settings import RecommendSettings
from ltexpo.ranking.shown import Shown
from ltexpo.sparse import Csr, csr, top_rows


@dataclass(frozen=True)
class Trial:
    """A blend fitted on the earlier part of training, and what the later part says about it."""

    settings: RecommendSettings
    blend: Blend
    history: History
    later: pd.DataFrame
    """Later events of users with a history in the earlier part."""
    users: npt.NDArray[np.int64]
    """(B,) codes of the drawn users who act in the later part."""
    tier: npt.NDArray[np.object_]
    """(I,) tier of each item in the earlier part, in code order."""
    parts: dict[str, Csr]
    taken: Csr
    rng: np.random.Generator

    @classmethod
    def of(
        cls, items: pd.DataFrame, settings: RecommendSettings, holdout: Holdout, blend: Blend, rng: np.random.Generator
    ) -> Self:
        """Fit `blend` on the earlier events of `holdout`, and score some of the users who act later."""
        history = History.of(items, holdout.earlier, event_weights=settings.event_weights)
        items = history.in_code_order(items)
        blend = blend.fit(history, items)
        tier = settings.tail.assign(items, holdout.earlier)[Columns.Tier].to_numpy(dtype=object)
        later = holdout.later[holdout.later[Columns.User].isin(history.user_ids.ids)]
        acted = later[later[Columns.Event].map(settings.event_weights).fillna(0.0) > 0]
        user, item = history.user_ids.codes(acted[Columns.User]), history.item_ids.codes(acted[Columns.Item])
        users = _drawn(np.unique(user), settings.validation_users, rng)
        skip = history.seen()[users] if settings.exclude_seen else None
        inside = np.isin(user, users)
        taken = csr(
            (np.ones(int(inside.sum()), dtype=np.float32), (np.searchsorted(users, user[inside]), item[inside])),
            shape=(len(users), history.n_items),
        )
        if skip is not None:
            taken = taken - taken.multiply(skip > 0)
            taken.eliminate_zeros()
        return cls(settings, blend, history, later, users, tier, blend.parts(users, skip=skip), taken, rng)

    def validation(self, k: int) -> Validation:
        """The users' candidates, ready to be judged at `k` under many weights."""
        return Validation(self.parts, self.taken, k=k)

    def calibration(
        self, weights: dict[str, float], *, attention: str | tuple[float, ...]
    ) -> TierCalibration | None:
        """From impressions where enough of them met a candidate, else from interactions; None when neither tells."""
        return self._from_impressions(weights, attention) or self._from_interactions(weights)

    def _from_impressions(
        self, weights: dict[str, float], attention: str | tuple[float, ...]
    ) -> TierCalibration | None:
        """Of all impressions that the components reach: too few are of what would be a candidate."""
        shown = Shown.of(self.later, self.history, attention)
        if shown is None:
            return None
        users = _drawn(np.unique(shown.user), self.settings.validation_users, self.rng)
        shown = shown.of_users(users)
        skip = self.history.seen()[users] if self.settings.exclude_seen else None
        parts = self.blend.parts(users, skip=skip)
        scores = scored(parts, weights, self._in_tail()) if self.settings.explore else mixed(parts, weights)
        score = np.asarray(scores[np.searchsorted(users, shown.user), shown.item]).ravel()
        return calibrate_shown(score, shown, self.tier[shown.item], usable=score > 0)

    def _from_interactions(self, weights: dict[str, float]) -> TierCalibration | None:
        share, k = self.settings.explore, self.settings.k
        if share:
            scores = with_tail(self.parts, weights, self._in_tail(), k=k, share=share)
        else:
            scores = top_rows(mixed(self.parts, weights), k)
        rows = np.repeat(np.arange(scores.shape[0]), np.diff(scores.indptr))
        return fit_tiers(
            scores.data, np.asarray(self.taken[rows, scores.indices]).ravel() > 0, self.tier[scores.indices],
            means="P(the user takes the item in the validation period | the user comes back) by tier: "
            "no usable impressions",
        )

    def _in_tail(self) -> npt.NDArray[np.bool_]:
        return np.asarray(self.tier != Tier.Head)


def _drawn(codes: npt.NDArray[np.int64], n: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    return codes if len(codes) <= n else np.sort(rng.choice(codes, n, replace=False))
