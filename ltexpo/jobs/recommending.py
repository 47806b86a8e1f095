"""Dataset folder (+ a trained model) → candidates.parquet and recommend.json."""

import logging
from pathlib import Path
from typing import Self

import pandas as pd
from pydantic import model_validator

from ltexpo.columns import Columns
from ltexpo.data.dataset import Dataset
from ltexpo.data.schema import GIVEN, read_table
from ltexpo.data.split import as_utc
from ltexpo.data.tables import (
    BY_BLEND,
    BY_MODEL,
    MADE_BY,
    TRAINED_UNTIL,
    output_folder,
    read_frame,
    write_frame,
    write_json,
)
from ltexpo.jobs.job import DataJob
from ltexpo.jobs.vectors import ModelInputs
from ltexpo.ranking.asked import typed_in
from ltexpo.ranking.recommend import Recommendation, RecommendSettings, recommend

log = logging.getLogger("ltexpo")

CANDIDATES_FILE, RECOMMEND_FILE = "candidates.parquet", "recommend.json"
_GIVEN = {"until", "data", "seed", "out", "model", "vectors", "edges", "candidates"}
_WITH_MODEL = {*_GIVEN, "k", "users", "users_file", "explore"}


class RecommendJob(RecommendSettings, ModelInputs, DataJob):
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
        if self.model is not None:
            other = sorted(self.model_fields_set - _WITH_MODEL)
            if other:
                raise ValueError(f"'{other[0]}' was decided when the model was trained; leave it out")
        if self.candidates is not None:
            if self.model is None:
                raise ValueError("candidates are scored by a model; give 'model'")
            other = sorted(self.model_fields_set - _GIVEN)
            if other:
                raise ValueError(f"'{other[0]}' is decided by the candidates; leave it out")
        return self


def run_recommend(job: RecommendJob) -> Recommendation:
    """Recommend and write, all or nothing."""
    inputs = (job.data, job.users_file, job.model, *job.vectors, job.edges, job.candidates)
    with output_folder(job.out, verb="recommend", inputs=inputs) as folder:
        dataset = Dataset.load(job.data)
        last = dataset.require_events("'recommend'")[Columns.Timestamp].max() + pd.Timedelta(microseconds=1)
        # Without a stated end, training ended with the last event: whoever evaluates must know either way.
        seen = last if job.until is None else as_utc(job.until)
        if job.model is None:
            result = recommend(dataset, job, rng=job.seed)
        else:
            result, learnt = _by_model(job, job.model, dataset)
            seen = max(seen, learnt)
        noted = {TRAINED_UNTIL: str(seen), MADE_BY: BY_BLEND if job.model is None else BY_MODEL}
        write_frame(result.candidates, folder / CANDIDATES_FILE, metadata=noted)
        write_json({**result.report, "seed": job.seed}, folder / RECOMMEND_FILE)
    return result


def _by_model(job: RecommendJob, folder: Path, dataset: Dataset) -> tuple[Recommendation, pd.Timestamp]:
    """Lists, or scores of the lists given, by the model in `folder`, and up to when it had learnt from events."""
    from ltexpo.jobs.queries import reader_of
    from ltexpo.jobs.training import content_for  # brings the model's libraries
    from ltexpo.ranking.model import Model
    from ltexpo.ranking.score_given import score_given

    model = Model.load(folder)
    given = {name: getattr(job, name) for name in RecommendSettings.model_fields if name in job.model_fields_set}
    model.settings = model.settings.model_copy(update={"until": None, **given})
    content, edges = content_for(folder, job.vectors, dataset), None if job.edges is None else read_frame(job.edges)
    if job.candidates is None:
        result = model.recommend(dataset, content, edges=edges)
    else:
        lists = read_table(job.candidates, GIVEN).frame
        asks = model.asks_ and typed_in(lists)
        read = reader_of(folder, job.vectors, model.reader_.settings.query) if asks else None
        result = score_given(model, dataset, content, lists, edges=edges, read_queries=read)
    learnt = as_utc(model.report_["learnt_before"])
    if job.until is not None and as_utc(job.until) < learnt:
        log.warning("until is %s, but the model has learnt from events up to %s: a test on days before that is none.",
                    job.until, learnt)
    return result, learnt
