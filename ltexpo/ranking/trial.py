"""A blend fitted on the earlier part of training, judged and calibrated on the later part."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from ltexpo.columns import Columns, EventKind
from ltexpo.metrics.attention import attention_weights
from ltexpo.ranking.blend import Blend, Validation, mixed
from ltexpo.ranking.calibrate import Calibration, fit_calibration
from ltexpo.ranking.history import History
from ltexpo.ranking.holdout import Holdout
from ltexpo.ranking.settings import RecommendSettings
from ltexpo.ranking.sparse import Csr, csr, top_rows

_MIN_EVENTS = 50
"""Fewer clicks or interactions than this cannot tell a probability."""


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
    parts: dict[str, Csr]
    taken: Csr
    rng: np.random.Generator

    @classmethod
    def of(
        cls, items: pd.DataFrame, settings: RecommendSettings, holdout: Holdout, blend: Blend, rng: np.random.Generator
    ) -> Self:
        """Fit `blend` on the earlier events of `holdout`, and score some of the users who act later."""
        history = History.of(items, holdout.earlier, event_weights=settings.event_weights)
        blend = blend.fit(history, history.in_code_order(items))
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
        return cls(settings, blend, history, later, users, blend.parts(users, skip=skip), taken, rng)

    def validation(self, k: int) -> Validation:
        """The users' candidates, ready to be judged at `k` under many weights."""
        return Validation(self.parts, self.taken, k=k)

    def calibration(self, weights: dict[str, float], *, attention: str | tuple[float, ...]) -> Calibration | None:
        """From impressions where enough of them met a candidate, else from interactions; None when neither tells."""
        return self._from_impressions(weights, attention) or self._from_interactions(weights)

    def _from_impressions(
        self, weights: dict[str, float], attention: str | tuple[float, ...]
    ) -> Calibration | None:
        later = self.later
        if Columns.Rank not in later.columns or Columns.Request not in later.columns:
            return None
        shown = later[(later[Columns.Event] == EventKind.Impression) & later[Columns.Rank].notna()]
        shown = shown.drop_duplicates([Columns.Request, Columns.Item])
        if shown.empty:
            return None
        users = _drawn(
            np.unique(self.history.user_ids.codes(shown[Columns.User])), self.settings.validation_users, self.rng
        )
        code = self.history.user_ids.codes(shown[Columns.User])
        shown, code = shown[np.isin(code, users)], code[np.isin(code, users)]
        skip = self.history.seen()[users] if self.settings.exclude_seen else None
        scores = mixed(self.blend.parts(users, skip=skip), weights)
        item = self.history.item_ids.codes(shown[Columns.Item])
        score = np.asarray(scores[np.searchsorted(users, code), item]).ravel()
        pair = [Columns.Request, Columns.Item]
        clicks = later.loc[later[Columns.Event] == EventKind.Click, pair]
        clicked = pd.MultiIndex.from_frame(shown[pair]).isin(pd.MultiIndex.from_frame(clicks))
        rank = shown[Columns.Rank].to_numpy(dtype=np.int64)
        met = score > 0
        if clicked[met].sum() < _MIN_EVENTS:
            return None
        curve = attention_weights(attention, int(rank.max()))
        return fit_calibration(
            score[met], clicked[met], attention=np.maximum(curve[rank[met] - 1], 1e-6),
            means="P(click | examined), from logged impressions under the position-based model",
        )

    def _from_interactions(self, weights: dict[str, float]) -> Calibration | None:
        scores = top_rows(mixed(self.parts, weights), self.settings.k)
        rows = np.repeat(np.arange(scores.shape[0]), np.diff(scores.indptr))
        taken = np.asarray(self.taken[rows, scores.indices]).ravel() > 0
        if taken.sum() < _MIN_EVENTS:
            return None
        return fit_calibration(
            scores.data, taken,
            means="P(the user takes the item in the validation period | the user comes back): no usable impressions",
        )


def _drawn(codes: npt.NDArray[np.int64], n: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    return codes if len(codes) <= n else np.sort(rng.choice(codes, n, replace=False))
