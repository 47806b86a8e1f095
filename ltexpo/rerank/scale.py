"""Scores as they arrive, and logged clicks if there are any → expected clicks per examination, and how it was done."""

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from scipy.special import expit

from ltexpo.columns import Columns, EventKind
from ltexpo.data.schema import Contract, check_table
from ltexpo.data.tables import read_frame
from ltexpo.errors import ColumnError, TableError
from ltexpo.metrics.attention import NAMES, attention_weights
from ltexpo.rerank.settings import RerankSettings
from ltexpo.rerank.source import Candidates, Source, as_texts
from ltexpo.rerank.task import Task

if TYPE_CHECKING:
    from ltexpo.ranking.calibrate import Calibration

log = logging.getLogger("ltexpo")

AS_GIVEN = {
    "probability": "probabilities, as given",
    "logit": "logistic of the logit",
    "relevance": "relevance, as given: its unit stands for a click",
}
CLICK_LOG = Contract(
    name="events to calibrate on",
    required={Columns.Request: "id", Columns.Item: "id", Columns.Event: "event"},
    optional={Columns.Rank: "rank", Columns.Score: "number"},
    mend="Give logged impressions and clicks.",
    nullable=frozenset({Columns.Request, Columns.Rank, Columns.Score}),
)
PAIR = [Columns.Request, Columns.Item]
LOOKED_AT = 10_000
"""At most so many lists are looked at for the warnings."""
FEW = 20
"""Fewer lists than this say nothing about how scores compare across them."""


@dataclass(frozen=True)
class Scale:
    """Turns scores of one kind into expected clicks per examination, element by element."""

    kind: str
    words: str
    """How, for the certificate."""
    calibration: "Calibration | None" = None

    def __call__(self, scores: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
        """Clicks of `scores` (n,), in the same order; never lower for a higher score."""
        mapped = expit(scores.astype(np.float64)) if self.kind == "logit" else scores
        return mapped if self.calibration is None else self.calibration(mapped)


def score_scale(
    candidates: Candidates, settings: RerankSettings, *, clicks: pd.DataFrame | None = None
) -> Scale:
    """How the scores of these candidates are mapped: as `score_kind` says, then as clicks say where there are some.

    `clicks` are logged impressions and clicks (request_id, item_id, event, optional rank and score), by default those
    of `settings.calibrate`. An impression has the score it was logged with, or else that of its candidate. Under the
    position-based model P(click) = attention at the rank × P(click | examined) (Richardson et al. 2007); the second is
    fitted as a rising function of the score. Raises `ColumnError` or `TableError` when nothing can be learnt.
    """
    source = "clicks"
    if clicks is None and settings.calibrate is not None:
        clicks, source = read_frame(settings.calibrate), str(settings.calibrate)
    if clicks is None:
        return Scale(settings.score_kind, AS_GIVEN[settings.score_kind])
    # brings scikit-learn, which takes as much memory as a million candidates
    from ltexpo.ranking.calibrate import fit_calibration

    logged = check_table(clicks, CLICK_LOG, source=source).frame
    shown = logged[logged[Columns.Event] == EventKind.Impression].drop_duplicates(PAIR)
    if shown.empty:
        raise TableError(f"{source}: holds no impression, so clicks say nothing. Log what was shown, too.")
    n_shown, own = len(shown), Columns.Score in shown.columns
    if not own:
        shown = shown.merge(_scores_of(candidates, shown[Columns.Request]), on=PAIR, how="inner")
    shown = shown[shown[Columns.Score].notna()]
    if shown.empty:
        raise TableError(
            f"{source}: none of {n_shown:,} impressions "
            + ("has a score." if own else "is a candidate: no pair of request_id and item_id matches.")
            + " Calibrate on the requests that the candidates were made for, or log each impression's score."
        )
    shown, examined, seen = _examined(shown, settings, source)
    done = pd.MultiIndex.from_frame(logged.loc[logged[Columns.Event] == EventKind.Click, PAIR])
    clicked = pd.MultiIndex.from_frame(shown[PAIR]).isin(done)
    if not clicked.any():
        raise TableError(f"{source}: none of {len(shown):,} usable impressions was clicked. Give a longer log.")
    base = Scale(settings.score_kind, "")
    words = (
        f"isotonic map fitted on {int(clicked.sum()):,} clicks of {len(shown):,} impressions "
        f"({n_shown:,} were logged), {seen}"
    )
    scores = click_scores(shown[Columns.Score].to_numpy(np.float64), base)
    return Scale(settings.score_kind, words, fit_calibration(scores, clicked, attention=examined, means=words))


def _scores_of(candidates: Candidates, requests: "pd.Series[str]") -> pd.DataFrame:
    """request_id, item_id and score of the candidates of these requests."""
    source, asked = Source(candidates), pa.array(requests.dropna().unique(), pa.large_string())
    found = [pa.table({Columns.Request: pa.array([], pa.large_string()), Columns.Item: pa.array([], pa.large_string()),
                       Columns.Score: pa.array([], pa.float64())})]
    for batch in source.batches([*PAIR, Columns.Score]):
        ids = [as_texts(source.ids(values, name, {})) for name, values in zip(PAIR, batch.columns[:2], strict=True)]
        scores = source.numbers(batch.column(2), Columns.Score).astype(np.float64)
        rows = pa.table({Columns.Request: ids[0], Columns.Item: ids[1], Columns.Score: scores})
        found.append(rows.filter(pc.is_in(ids[0], value_set=asked)))
    frame: pd.DataFrame = pa.concat_tables(found).to_pandas()
    return frame


def _examined(
    shown: pd.DataFrame, settings: RerankSettings, source: str
) -> tuple[pd.DataFrame, npt.NDArray[np.float64], str]:
    """Usable impressions, the probability that each was examined (n,), and that in words."""
    if Columns.Rank not in shown.columns or bool(shown[Columns.Rank].isna().all()):
        return shown, np.ones(len(shown)), "each taken as examined, as no rank was logged"
    shown = shown[shown[Columns.Rank].notna()]
    named = isinstance(settings.attention, str) and settings.attention in NAMES
    if not named:  # a table says nothing of deeper slots
        shown = shown[shown[Columns.Rank] <= settings.k]
    if shown.empty:
        raise TableError(f"{source}: no impression stands in the first k = {settings.k} slots. Raise k, or use log2.")
    rank = shown[Columns.Rank].to_numpy(dtype=np.int64)
    weights = attention_weights(settings.attention, int(rank.max()))
    name = str(settings.attention) if named else "as given"
    return shown, np.maximum(weights[rank - 1], 1e-6), f"each weighted by the attention at its rank ({name})"


def click_scores(
    scores: npt.NDArray[np.floating], scale: Scale, *, first_row: int = 0
) -> npt.NDArray[np.floating]:
    """Scores (n,) in expected clicks per examination; raises `ColumnError` where they cannot be of their kind.

    The scores may be a part of the column, which begins with `first_row`.
    """
    limits = {"logit": (-np.inf, np.inf), "relevance": (0.0, np.inf), "probability": (0.0, 1.0)}
    low, high = limits[scale.kind]
    lowest = "Give relevance of 0 or more" if scale.kind == "relevance" else (
        "Give probabilities of a click, or set score_kind: logit"
    )
    for wrong, what, mend in (
        (scores < low, "negative", lowest),
        (scores > high, "above 1", "Give probabilities of a click, or set score_kind: relevance"),
    ):
        if wrong.any():
            row = int(np.flatnonzero(wrong)[0])
            raise ColumnError(f"candidates: 'score' row {first_row + row} is {scores[row]:g}, {what}. {mend}.")
    return scale(scores)


def scale_warnings(problem: Task, scale: Scale) -> list[str]:
    """What suggests that scores do not compare across lists, so that expected clicks would mislead; empty when fine.

    Looked at are up to 10,000 lists spread over all. Calibrated scores and relevance are taken at their word.
    """
    if scale.calibration is not None or scale.kind == "relevance":
        return []
    lists, rows = problem.looked_at(LOOKED_AT)
    if len(rows) < FEW:
        return []
    lengths = lists.indptr[rows + 1] - lists.indptr[rows]
    starts = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    within = np.arange(int(lengths.sum())) - np.repeat(starts, lengths)
    at = np.repeat(lists.indptr[rows], lengths) + within
    scores = lists.scores[at].astype(np.float64)
    if scores.min() == scores.max():
        return []  # said elsewhere
    found = []
    best = lists.scores[lists.indptr[rows]].astype(np.float64)
    usual = float(np.median(best))
    first_items = lists.items[lists.indptr[rows]]
    one_item = np.unique(first_items, return_counts=True)[1].max() > 0.5 * len(rows)  # a plain bestseller list
    if np.isclose(best, usual, rtol=1e-6, atol=0).mean() > 0.95 and not one_item:
        found.append(f"the best score of nearly every request is {usual:g}: scores look normalised per request")
    if np.isclose(np.add.reduceat(scores, starts), 1.0, rtol=0, atol=1e-3).mean() > 0.95:
        found.append("the scores of nearly every request sum to 1: they look like a softmax over its candidates")
    certain = float(((scores == 0) | (scores == 1)).mean())
    if certain > 0.5:
        found.append(f"{certain:.0%} of scores are exactly 0 or 1: they look like labels or decisions")
    for warning in found:
        log.warning("scores look uncalibrated: %s. Give probabilities of a click, or calibrate on clicks.", warning)
    return found
