"""Dataset folder (+ a trained model) → candidates.parquet and recommend.json."""

import logging
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Self

import pandas as pd
from pydantic import model_validator

from ltexpo.columns import Columns
from ltexpo.data.dataset import Dataset
from ltexpo.data.files import write_json
from ltexpo.data.output_folder import output_folder
from ltexpo.data.schema import GIVEN, read_table
from ltexpo.data.split import as_utc
from ltexpo.data.tables import BY_BLEND, BY_MODEL, MADE_BY, MODEL_KEY, TRAINED_UNTIL, read_frame, write_frame
from ltexpo.engines.recommend import recommend_on
from ltexpo.engines.session import spark_session
from ltexpo.engines.settings import EngineSettings
from ltexpo.jobs.job import DataJob, model_key
from ltexpo.jobs.vectors import ModelInputs
from ltexpo.ranking.asked import typed_in
from ltexpo.ranking.recommend import Recommendation, RecommendSettings, recommend
from ltexpo.ranking.recommender import Recommended

if TYPE_CHECKING:  # brings the model's libraries
    from ltexpo.encoders.item_vectors import Content
    from ltexpo.ranking.model import Model
    from ltexpo.ranking.users import Users

log = logging.getLogger("ltexpo")

CANDIDATES_FILE, RECOMMEND_FILE = "candidates.parquet", "recommend.json"
_GIVEN = {"until", "data", "seed", "out", "model", "vectors", "edges", "candidates", "engine"}
_WITH_MODEL = {*_GIVEN, "k", "users", "users_file", "explore", "master", "partitions"}


class RecommendJob(RecommendSettings, ModelInputs, EngineSettings, DataJob):
    """Settings of 'ltexpo recommend'."""

    out: Path
    """Folder to write candidates.parquet and recommend.json to."""
    model: Path | None = None
    """Folder that 'ltexpo train' wrote; null: the blend of baselines, fitted now. What is not given here is as it was
    trained with, and only k, until, users, users_file and explore may be."""
    candidates: Path | None = None
    """With a model: lists made elsewhere, such as what a search engine found (request_id, item_id; optional user_id and
    query; Parquet or a folder of parts), to be scored as they are; null: the model finds its own."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.engine == "spark" and self.model is None:
            raise ValueError("engine spark scores with a trained model; give 'model', or leave 'engine' out")
        if self.model is not None:
            other = sorted(self.model_fields_set - _WITH_MODEL)
            if other:
                raise ValueError(f"'{other[0]}' was decided when the model was trained; leave it out")
        if self.candidates is not None:
            if self.model is None:
                raise ValueError("candidates are scored by a model; give 'model'")
            if self.engine == "spark":
                raise ValueError("candidates made elsewhere are scored on this machine; leave 'engine' out")
            other = sorted(self.model_fields_set - _GIVEN)
            if other:
                raise ValueError(f"'{other[0]}' is decided by the candidates; leave it out")
        return self


def run_recommend(job: RecommendJob) -> Recommended:
    """Recommend and write, all or nothing."""
    inputs = (job.data, job.users_file, job.model, *job.vectors, job.edges, job.candidates)
    with output_folder(job.out, verb="recommend", inputs=inputs) as folder:
        dataset = Dataset.load(job.data)
        last = dataset.require_events("'recommend'")[Columns.Timestamp].max() + pd.Timedelta(microseconds=1)
        # Without a stated end, training ended with the last event: whoever evaluates must know either way.
        seen = last if job.until is None else as_utc(job.until)
        result: Recommended
        if job.model is None:
            result = recommend(dataset, job, rng=job.seed)
        else:
            model = _model(job, job.model)
            learnt = as_utc(model.report_["learnt_before"])
            if job.until is not None and as_utc(job.until) < learnt:
                log.warning("until is %s, but the model has learnt from events up to %s: a test on days before that is "
                            "none.", job.until, learnt)
            seen = max(seen, learnt)
            if job.engine == "spark":
                with spark_session(job) as session:
                    result = recommend_on(
                        session, _users, job.from_root().model_dump_json(exclude_unset=True), folder / CANDIDATES_FILE,
                        partitions=job.partitions, k=model.settings.k, report=model.report_,
                        noted=_noted(job, seen),
                    )
            else:
                result = _by_model(job, job.model, model, dataset)
        if isinstance(result, Recommendation):
            write_frame(result.candidates, folder / CANDIDATES_FILE, metadata=_noted(job, seen))
        write_json({**result.report, "seed": job.seed}, folder / RECOMMEND_FILE)
    return result


def _noted(job: RecommendJob, seen: pd.Timestamp) -> dict[str, str]:
    """What candidates say of themselves: `seen`, before which all events were learnt from, and who scored them."""
    made = {MADE_BY: BY_BLEND} if job.model is None else {MADE_BY: BY_MODEL, MODEL_KEY: model_key(job.model)}
    return {TRAINED_UNTIL: str(seen), **made}


def _model(job: RecommendJob, folder: Path) -> "Model":
    """The model in `folder`, with what the job gives of its own."""
    from ltexpo.ranking.model import Model  # brings the model's libraries


    model = Model.load(folder)
    given = {name: getattr(job, name) for name in RecommendSettings.model_fields if name in job.model_fields_set}
    model.settings = model.settings.model_copy(update={"until": None, **given})
    return model


def _inputs(job: RecommendJob, folder: Path, dataset: Dataset) -> "tuple[Content, pd.DataFrame | None]":
    from ltexpo.jobs.training import content_for

    return content_for(folder, job.vectors, dataset), None if job.edges is None else read_frame(job.edges)


def _by_model(job: RecommendJob, folder: Path, model: "Model", dataset: Dataset) -> Recommendation:
    """Lists, or scores of the lists given, by the `model` that was read from `folder`."""
    from ltexpo.jobs.queries import reader_of
    from ltexpo.ranking.score_given import score_given

    content, edges = _inputs(job, folder, dataset)
    if job.candidates is None:
        return model.recommend(dataset, content, edges=edges)
    lists = read_table(job.candidates, GIVEN).frame
    asks = model.asks_ and typed_in(lists)
    read = reader_of(folder, job.vectors, model.reader_.settings.query) if asks else None
    return score_given(model, dataset, content, lists, edges=edges, read_queries=read)


@lru_cache(maxsize=1)
def _users(told: str) -> "Users":
    """All that the job `told` (as JSON) scores, made once for each worker of an engine."""
    job = RecommendJob.model_validate_json(told)
    assert job.model is not None
    dataset = Dataset.load(job.data)
    content, edges = _inputs(job, job.model, dataset)
    return _model(job, job.model).users(dataset, content, edges=edges)
