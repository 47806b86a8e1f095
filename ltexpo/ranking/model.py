"""Dataset + content vectors → a trained model; the model + today's dataset → every user's scored candidates.

What learns what, so that nothing is told its own future:

1. the networks (`reader`) learn from events before the label days;
2. the label days (`rolling`) hold candidates as they would have been made then, with features from before each;
3. the ranker learns from the label days: P(click | examined) where impressions were logged (`click_ranker`), else
   P(the user takes it on the next day) of candidates (`ranker`);
4. today's lists are made from all events, by the same steps.
"""

import json
import logging
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
from pydantic import Field
from safetensors import SafetensorError

from ltexpo.columns import Columns
from ltexpo.config import check_settings
from ltexpo.data.dataset import Dataset
from ltexpo.data.history import History
from ltexpo.data.ids import IdMap
from ltexpo.data.split import as_utc
from ltexpo.encoders.item_vectors import Content
from ltexpo.errors import ConfigError
from ltexpo.progress import Watch, stage, track
from ltexpo.ranking.asked import ReadQueries, typed_in
from ltexpo.ranking.blend import Blend
from ltexpo.ranking.click_ranker import ClickRanker, ShownTrees
from ltexpo.ranking.features import CandidateFeatures, FeatureSettings
from ltexpo.ranking.gbm import Gbm
from ltexpo.ranking.given import given_scorers
from ltexpo.ranking.item_features import item_features
from ltexpo.ranking.looks import looks
from ltexpo.ranking.ranker import Ranker, RankerSettings
from ltexpo.ranking.reader import Reader, ReaderSettings
from ltexpo.ranking.recommend import choose_blend, make_blend, training_events
from ltexpo.ranking.recommender import Recommendation, users_counted, wanted_users
from ltexpo.ranking.rolling import LabelDay, RollingSettings, label_dates, roll
from ltexpo.ranking.settings import RecommendSettings
from ltexpo.ranking.users import Users

log = logging.getLogger("ltexpo")

CONFIG_FILE, READER_FOLDER, DEMAND_FOLDER, RANKER_FOLDER = "config.json", "reader", "demand", "ranker"


class ModelSettings(RecommendSettings, ReaderSettings):
    """The whole model: networks, candidates, features and ranker."""

    explore_new: float = Field(0.05, ge=0, lt=1)
    """At least this share of each user's candidates are new products, where so many are found."""
    features: FeatureSettings = FeatureSettings()
    """Candidates and their features."""
    rolling: RollingSettings = RollingSettings()
    """Which past days the ranker learns from."""
    clicks: ShownTrees = ShownTrees()
    """The trees where impressions were logged."""
    ranker: RankerSettings = RankerSettings()
    """The trees where only interactions are known."""


class Model:
    """See above.

    Fitted: `weights_` (of the blend), `reader_`, `demand_`, `ranker_`, `asks_` (whether it has learnt to read what
    users type), `report_`, `label_days_` (not saved).
    """

    weights_: dict[str, float]
    reader_: Reader
    demand_: Gbm
    ranker_: Ranker | ClickRanker
    asks_: bool
    report_: dict[str, Any]
    label_days_: list[LabelDay]

    def __init__(self, settings: ModelSettings | None = None) -> None:
        self.settings = settings or ModelSettings()

    def fit(
        self, dataset: Dataset, content: Content, *, edges: pd.DataFrame | None = None,
        reader: Reader | None = None, read_queries: ReadQueries | None = None, rng: int | np.random.Generator = 0,
        watch: Watch | None = None,
    ) -> Self:
        """Learn from the events before `settings.until`.

        content: name → vectors (I, d) and who has one (I,), in the row order of the dataset's items; `edges`: given
        edges between products; `reader`: of an earlier model, whose match model goes on learning on the days since;
        `read_queries`: what users typed (the column `query` of events) → vectors of the encoder of the content that
        `fusion.query` names; none: it is not looked at; `watch` is told the networks' losses as they come. Raises
        `SplitError`, `TableError`, `ConfigError`.
        """
        settings, rng = self.settings, np.random.default_rng(rng)
        items, events = dataset.items, training_events(dataset, settings)
        with stage("blend"):
            chosen = choose_blend(items, events, settings, rng)
        self.weights_ = chosen.weights
        dates = label_dates(events, settings.rolling, settings.event_weights)
        earlier = events[events[Columns.Timestamp] < dates[0]]
        own = _reader_settings(settings)
        before = None if reader is None or reader.match_ is None else reader.match_.until_
        self.reader_ = Reader(own) if reader is None else reader.continued(own, before=dates[0])
        if before is not None and History.of(items, earlier, event_weights=settings.event_weights).now < before:
            log.warning("the networks learn from nothing new: the earlier model had learnt up to %s, and nothing was "
                        "taken between that and the label days.", _moment(before))
        self.asks_ = read_queries is not None and typed_in(events)
        vectors, matcher = self.reader_.fit_read(
            items, earlier, content, users=dataset.users, edges=edges,
            read_queries=read_queries if self.asks_ else None, rng=rng, watch=watch,
        )
        rolled = roll(
            items, events, lambda: self._blend(items, edges), features=settings.features, settings=settings.rolling,
            event_weights=settings.event_weights, tail=settings.tail, vectors=vectors, matcher=matcher,
            attention=settings.attention, exclude_seen=settings.exclude_seen,
            read_as_new=lambda ids: self.reader_.read(
                items, earlier, content, users=dataset.users, edges=edges, as_new=ids
            ),
            asked=self.reader_.asked(content, read_queries) if self.asks_ else None, rng=rng,
        )
        self.demand_, self.label_days_ = rolled.demand, rolled.days
        with stage("ranker"):
            if rolled.days[0].examined is not None:
                self.ranker_ = ClickRanker(settings.clicks).fit(rolled.days, rolled.as_new, rng=rng)
            else:
                self.ranker_ = Ranker(settings.ranker).fit(rolled.days, rolled.baskets, rng=rng)
        spread = self.ranker_.spread_ if isinstance(self.ranker_, ClickRanker) else None
        self.report_ = {
            **chosen.report, "spread": None if spread is None else spread.record(),
            "label_days": [str(one.day.date()) for one in rolled.days],
            "calibration": {"means": self.ranker_.means}, "learnt_before": str(_end(events, settings)),
            "continued_from": None if before is None else str(_moment(before)),
        }
        return self

    def recommend(
        self, dataset: Dataset, content: Content, *, user_ids: "pd.Index[Any] | None" = None,
        edges: pd.DataFrame | None = None, until: Any = None,
    ) -> Recommendation:
        """Lists of `user_ids` (none: as the settings say) from the events before `until` (none: the settings')."""
        users = self.users(dataset, content, user_ids=user_ids, edges=edges, until=until)
        frames, counts = [], users.counts
        for lists in track(users.lists(), "candidates", total=len(users.starts)):
            frames.append(lists.frame())
            counts = {name: count + lists.counts(users.k).get(name, 0) for name, count in counts.items()}
        return Recommendation(
            candidates=_by_request(pd.concat(frames, ignore_index=True)), report={**self.report_, "counts": counts}
        )

    def users(
        self, dataset: Dataset, content: Content, *, user_ids: "pd.Index[Any] | None" = None,
        edges: pd.DataFrame | None = None, until: Any = None,
    ) -> Users:
        """All that is asked for, to be scored block by block; see `recommend`."""
        settings, today = self.settings, self.today(dataset, content, edges=edges, until=until)
        history = today.history_
        wanted = IdMap.of(wanted_users(dataset, history, settings) if user_ids is None else user_ids).ids
        today.adopt(history.also(wanted))
        strangers = int((~wanted.isin(history.user_ids.ids)).sum())
        return Users.of(
            today, wanted, ranker=self.ranker_, exclude_seen=settings.exclude_seen, k=settings.k,
            explore=settings.explore, explore_new=settings.explore_new,
            counts=users_counted(dataset, settings, wanted, strangers),
        )

    def today(
        self, dataset: Dataset, content: Content, *, edges: pd.DataFrame | None = None, until: Any = None,
        read_queries: ReadQueries | None = None,
    ) -> CandidateFeatures:
        """Features of any users and items from the events before `until` (none: the settings'); without `read_queries`
        nothing may be asked."""
        settings = self.settings if until is None else self.settings.model_copy(update={"until": until})
        events = training_events(dataset, settings)
        history = History.of(dataset.items, events, event_weights=settings.event_weights)
        items = history.in_code_order(dataset.items)
        vectors, matcher = self.reader_.read(dataset.items, events, content, users=dataset.users, edges=edges)
        known = item_features(history, items, settings.features.item, vectors=vectors)
        tier = settings.tail.assign(items, events)[Columns.Tier].to_numpy(dtype=object)
        blend = self._blend(dataset.items, edges)
        asked = self.reader_.asked(content, read_queries) if self.asks_ else None
        return CandidateFeatures(blend, settings.features, vectors=vectors, matcher=matcher, asked=asked).fit(
            history, items, tier, known=known, demand=self.demand_.score(known),
            looked=looks(events, history.item_ids, settings.attention),
        )

    def _blend(self, items: pd.DataFrame, edges: pd.DataFrame | None) -> Blend:
        also = given_scorers(edges, IdMap.of(items[Columns.Item]))
        return make_blend(self.settings, self.weights_, self.weights_, also)

    def write_into(self, folder: Path) -> None:
        """config.json, reader/, demand/ and ranker/, into a folder that the caller makes appear at once."""
        kind = "clicks" if isinstance(self.ranker_, ClickRanker) else "taken"
        config = {
            "settings": self.settings.model_dump(mode="json"), "weights": self.weights_, "ranker": kind,
            "queries": self.asks_, "report": self.report_,
        }
        (folder / CONFIG_FILE).write_text(json.dumps(config, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        self.reader_.save(folder / READER_FOLDER)
        self.demand_.save(folder / DEMAND_FOLDER)
        self.ranker_.save(folder / RANKER_FOLDER)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `write_into` wrote; scores are the same bytes."""
        folder = Path(folder)
        if not (folder / CONFIG_FILE).is_file() or not (folder / RANKER_FOLDER).is_dir():
            raise ConfigError(f"{folder}: holds no trained model. Give a folder that 'ltexpo train' wrote.")
        try:
            return cls._read(folder)
        except (ValueError, KeyError, TypeError, AttributeError, OSError, RuntimeError, SafetensorError) as error:
            raise ConfigError(
                f"{folder}: holds a model that cannot be read ({type(error).__name__}: {error}). Train it again."
            ) from error

    @classmethod
    def _read(cls, folder: Path) -> Self:
        config = json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))
        model = cls(check_settings(ModelSettings, config["settings"], str(folder / CONFIG_FILE)))
        model.weights_, model.report_, model.asks_ = config["weights"], config["report"], config.get("queries", False)
        model.reader_ = Reader.load(folder / READER_FOLDER, _reader_settings(model.settings))
        model.demand_ = Gbm.load(folder / DEMAND_FOLDER)
        ranker = ClickRanker if config["ranker"] == "clicks" else Ranker
        model.ranker_ = ranker.load(folder / RANKER_FOLDER)
        return model


def _by_request(candidates: pd.DataFrame) -> pd.DataFrame:
    """Whole lists, in whatever order of requests → sorted by request_id, rank."""
    first = np.flatnonzero(candidates[Columns.Rank].to_numpy() == 1)
    length = np.diff(first, append=len(candidates))
    order = np.argsort(candidates[Columns.Request].to_numpy(dtype=object)[first], kind="stable")
    within = np.arange(len(candidates)) - np.repeat(np.cumsum(length[order]) - length[order], length[order])
    return candidates.take(np.repeat(first[order], length[order]) + within).reset_index(drop=True)


def _moment(days: float) -> pd.Timestamp:
    """The moment so many days after the epoch."""
    return pd.Timestamp(days, unit="D", tz="UTC").round("s")


def _end(events: pd.DataFrame, settings: ModelSettings) -> pd.Timestamp:
    """The moment before which everything that was learnt lies."""
    if settings.until is not None:
        return as_utc(settings.until)
    return pd.Timestamp(events[Columns.Timestamp].max() + pd.Timedelta(microseconds=1))


def _reader_settings(settings: ModelSettings) -> ReaderSettings:
    return ReaderSettings(**settings.model_dump(include=set(ReaderSettings.model_fields)))
