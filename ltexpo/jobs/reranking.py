"""Dataset folder + candidates.parquet → rankings, control, prices and certificate; a list of these → why it is so."""

import datetime as dt
import logging
from pathlib import Path
from typing import Self

import pandas as pd
from pydantic import model_validator

from ltexpo.columns import Columns
from ltexpo.data.dataset import Dataset
from ltexpo.data.files import write_json
from ltexpo.data.output_folder import output_folder
from ltexpo.data.schema import RANKINGS, read_table
from ltexpo.data.split import as_utc
from ltexpo.data.tables import BY_MODEL, MADE_BY, MODEL_KEY, TRAINED_UNTIL, read_frame, write_frame
from ltexpo.data.tail import TailSpec
from ltexpo.engines.rerank import engine_of
from ltexpo.engines.settings import EngineSettings
from ltexpo.errors import ConfigError
from ltexpo.jobs.job import DataJob, maker_of, model_key, trained_until, training_tiers
from ltexpo.jobs.tracked import rerank_figures
from ltexpo.jobs.vectors import ModelInputs
from ltexpo.progress import logged
from ltexpo.rerank import Explanation, ExposureReranker, Reranked, RerankSettings, explain
from ltexpo.tracking import Tracked, track

RANKINGS_FILE, CONTROL_FILE, CERTIFICATE_FILE = "rankings.parquet", "control.parquet", "certificate.json"
PRICES_FILE, BOOSTS_FILE, PROMOTIONS_FILE = "prices.parquet", "boosts.parquet", "promotions.parquet"
log = logging.getLogger("ltexpo")
_TIMINGS = ("seconds", "exact_seconds")


class RerankJob(RerankSettings, EngineSettings, Tracked, DataJob):
    """Settings of 'ltexpo rerank'."""

    candidates: Path
    """Scored candidates, from 'ltexpo recommend' or your own ranker: a Parquet file, a folder of parts, or a
    hive-partitioned folder."""
    until: str | dt.datetime | dt.date | None = None
    """Tiers count events before this moment; null: as the maker of the candidates noted, else all events."""
    prices: Path | None = None
    """prices.parquet of an earlier run: apply these prices without solving, and report each goal's drift."""
    warm_start: Path | None = None
    """prices.parquet of an earlier run: start solving from these prices."""
    out: Path
    """Folder to write rankings.parquet, control.parquet (the plain top k), prices.parquet, boosts.parquet,
    promotions.parquet and certificate.json to."""


def run_rerank(job: RerankJob) -> Reranked:
    """Re-rank and write, all or nothing; raises `InfeasibleError` when goals cannot be met and may not give way."""
    inputs = (job.data, job.candidates, job.prices, job.warm_start, job.calibrate, job.goals_file)
    # First, so that a job that cannot write is refused before it works.
    with output_folder(job.out, verb="rerank", inputs=inputs) as folder:
        items, until = catalogue_with_tiers(job.data, job.candidates, job.tail, job.until)
        with engine_of(job, memory_limit=job.memory_limit) as engine:
            # beside the output is where there is room
            reranker = ExposureReranker(job, scratch=folder, engine=engine)
            if job.prices is not None:
                result = reranker.apply_prices(job.candidates, read_frame(job.prices), items=items)
            else:
                start = None if job.warm_start is None else read_frame(job.warm_start)
                result = reranker.fit(job.candidates, items=items, prices=start, rng=job.seed).fitted_
            seen = {} if until is None else {TRAINED_UNTIL: until}
            with logged("write"):
                result.lists.write(
                    *(folder / name for name in (RANKINGS_FILE, CONTROL_FILE, PROMOTIONS_FILE)),
                    noted={**seen, **maker_of(job.candidates)},
                )
        write_frame(result.prices, folder / PRICES_FILE)
        write_frame(result.boosts, folder / BOOSTS_FILE)
        counted = "all events" if until is None else f"events before {until}"
        # what the same job gives again: a run's timings stand in its manifest
        told = {key: value for key, value in result.certificate.to_dict().items() if key not in _TIMINGS}
        write_json({**told, "tiers_from": counted, "seed": job.seed}, folder / CERTIFICATE_FILE)
    track("rerank", job.tracking, parameters=job, metrics=rerank_figures(result.certificate),
          artifacts=[job.out / name for name in (CERTIFICATE_FILE, PRICES_FILE)])
    return result


def catalogue_with_tiers(
    data: Path, candidates: Path, tail: TailSpec, until: str | dt.date | None
) -> tuple[pd.DataFrame, str | None]:
    """Items with their tier, and the moment before which events counted: `until`, else what `candidates` notes."""
    dataset = Dataset.load(data)
    moment = trained_until(candidates) if until is None else str(as_utc(until))
    return dataset.items.assign(tier=training_tiers(dataset, tail, moment)[Columns.Tier].to_numpy()), moment


class ExplainJob(ModelInputs):
    """Settings of 'ltexpo explain'."""

    data: Path
    """Dataset folder, for the titles."""
    rankings: Path
    """Folder that 'ltexpo rerank' wrote."""
    request: str
    """The request_id whose list is explained."""
    model: Path | None = None
    """Folder that 'ltexpo train' wrote, if it scored the candidates: says what each product's match is made of."""
    query: str | None = None
    """With a model that has learnt to read queries: what was typed for this list; null: nothing."""

    @model_validator(mode="after")
    def _is_read(self) -> Self:
        if self.query is not None and self.model is None:
            raise ValueError("query is read by a model; give 'model', or leave 'query' out")
        return self


def run_explain(job: ExplainJob) -> Explanation:
    """One list before and after, slot by slot."""
    rankings, control = (
        read_table(job.rankings / name, RANKINGS).frame for name in (RANKINGS_FILE, CONTROL_FILE)
    )
    boosts = read_frame(job.rankings / BOOSTS_FILE)
    dataset = Dataset.load(job.data)
    listed = rankings[rankings[Columns.Request] == job.request]
    # An unknown request is refused before a model is read for it.
    reasons = None if job.model is None or listed.empty else _reasons(job, job.model, listed, dataset)
    return explain(job.request, rankings, control, boosts, dataset.items, reasons=reasons)


def _reasons(job: ExplainJob, folder: Path, listed: pd.DataFrame, dataset: Dataset) -> dict[str, str]:
    """item_id → what its match with the user is made of, as the model in `folder` knew it when it made the list."""
    from ltexpo.jobs.queries import reader_of
    from ltexpo.jobs.training import content_for  # brings the model's libraries
    from ltexpo.ranking.contributions import contributions
    from ltexpo.ranking.model import Model
    from ltexpo.ranking.parts import words

    user = listed[Columns.User if Columns.User in listed.columns else Columns.Request]
    pairs = pd.DataFrame({Columns.User: user.to_numpy(), Columns.Item: listed[Columns.Item].to_numpy()})
    model, read = Model.load(folder), None
    if job.query is None and model.asks_:
        log.warning("%s reads queries and none is given: matches are as of a request without. Give 'query'.", folder)
    if job.query is not None:
        if not model.asks_:
            raise ConfigError(f"query is given, and {folder} has not learnt to read any. Leave it out.")
        pairs, read = pairs.assign(query=job.query), reader_of(folder, job.vectors, model.reader_.settings.query)
    noted = maker_of(job.rankings / RANKINGS_FILE)
    if noted.get(MADE_BY, BY_MODEL) != BY_MODEL:
        raise ConfigError(f"{job.rankings}: its lists were scored by a blend of baselines. Leave 'model' out.")
    if MODEL_KEY in noted and noted[MODEL_KEY] != model_key(folder):
        raise ConfigError(f"{job.rankings}: its lists were scored by another model than {folder}. Give that one.")
    found = contributions(
        model, dataset, content_for(folder, job.vectors, dataset), pairs,
        edges=None if job.edges is None else read_frame(job.edges), until=trained_until(job.rankings / RANKINGS_FILE),
        read_queries=read,
    )
    parts = found.drop(columns=[Columns.User, Columns.Item])
    return {
        item: words(dict(zip(parts.columns, row, strict=True)))
        for item, row in zip(found[Columns.Item], parts.to_numpy(dtype=float), strict=True)
    }
