"""Dataset folder (+ vectors, given edges) → the folder of a trained model."""

import logging
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydantic import Field

from ltexpo.data.dataset import Dataset
from ltexpo.data.files import read_json, write_json
from ltexpo.data.output_folder import output_folder
from ltexpo.data.tables import read_frame
from ltexpo.encoders.catalogue import item_texts
from ltexpo.encoders.item_vectors import Content
from ltexpo.encoders.query import QueryEncoder
from ltexpo.encoders.tfidf import TfidfEncoder, TfidfSettings
from ltexpo.errors import ConfigError
from ltexpo.jobs.job import DataJob
from ltexpo.jobs.queries import QUERY_FOLDER, QUERY_WORDS, VECTORS_FILE, WORDS_FOLDER, encoder_of
from ltexpo.jobs.tracked import train_figures
from ltexpo.jobs.vectors import made_by, stored_content
from ltexpo.progress import stage
from ltexpo.ranking.asked import typed_in
from ltexpo.ranking.model import Model, ModelSettings
from ltexpo.ranking.model_card import model_card
from ltexpo.ranking.recommend import training_events
from ltexpo.ranking.train_report import TrainReport, train_report
from ltexpo.tracking import Tracked, scalars, track

CARD_FILE = "README.md"

log = logging.getLogger("ltexpo")


class TrainJob(ModelSettings, Tracked, DataJob):
    """Settings of 'ltexpo train'."""

    out: Path
    """Folder to write the model to: config.json, reader/ (safetensors), demand/ and ranker/ (LightGBM), vectors.json,
    README.md."""
    vectors: tuple[Path, ...] = Field((), validate_default=False)
    """Folders that 'ltexpo encode' wrote; none: TF-IDF of the catalogue's words, kept with the model."""
    edges: Path | None = None
    """Parquet of given edges between products: source, relation, target, such as also_bought."""
    tfidf: TfidfSettings = TfidfSettings()
    """Without vectors: TF-IDF and its projection; the earlier model's, with continue_from."""
    continue_from: Path | None = None
    """Folder of an earlier model whose match model goes on learning on the new days; null: from scratch."""
    tensorboard: Path | None = None
    """Folder for the event files of TensorBoard, which show the losses while training goes on; needs ltexpo[tracking].
    null: none."""


def run_train(job: TrainJob) -> TrainReport:
    """Train and write, all or nothing."""
    inputs = (job.data, *job.vectors, job.edges, job.continue_from)
    with output_folder(job.out, verb="train", inputs=inputs) as folder:
        dataset = Dataset.load(job.data)
        settings = ModelSettings(**{name: getattr(job, name) for name in ModelSettings.model_fields})
        reader = None if job.continue_from is None else Model.load(job.continue_from).reader_
        content = _content(job, dataset, folder)
        makers = made_by(job.vectors)
        learnt_from = {name: makers.get(name) for name in content}
        read_queries = _query_reader(job, settings, dataset, folder)
        if (folder / QUERY_FOLDER).is_dir():
            content = {**content, QUERY_WORDS: _words(folder / QUERY_FOLDER, dataset)}
            fusion = settings.fusion and settings.fusion.model_copy(update={"query": QUERY_WORDS})
            settings = settings.model_copy(update={"fusion": fusion})
        model = Model(settings)
        edges = None if job.edges is None else read_frame(job.edges)
        with scalars(job.tensorboard) as watch:
            model.fit(
                dataset, content, edges=edges, reader=reader, read_queries=read_queries, rng=job.seed, watch=watch
            )
        report = train_report(model, dataset)
        model.write_into(folder)
        write_json(learnt_from, folder / VECTORS_FILE)
        card = model_card(
            model, report, dataset, content, seed=job.seed, own_words=(folder / WORDS_FOLDER).is_dir()
        )
        (folder / CARD_FILE).write_text(card, encoding="utf-8")
    track("train", job.tracking, parameters=job, metrics=train_figures(report, model), artifacts=[job.out])
    return report


def _content(job: TrainJob, dataset: Dataset, folder: Path) -> Content:
    """The vectors given, or TF-IDF, which is kept in `folder`; to go on, that of the earlier model."""
    if job.continue_from is not None:
        content = content_for(job.continue_from, job.vectors, dataset)
        if (job.continue_from / QUERY_FOLDER).is_dir():
            TfidfEncoder.load(job.continue_from / QUERY_FOLDER).write_into(folder / QUERY_FOLDER)
        if not job.vectors and content:
            TfidfEncoder.load(job.continue_from / WORDS_FOLDER).write_into(folder / WORDS_FOLDER)
        return content
    if job.vectors:
        return stored_content(job.vectors, dataset.items)
    if not any(item_texts(dataset.items)):
        log.warning("%s: no product has a title or an attribute: the model learns from behaviour alone.", job.data)
        return {}
    _learn_words(job, dataset, folder / WORDS_FOLDER)
    return {"text": _words(folder / WORDS_FOLDER, dataset)}


def _query_reader(
    job: TrainJob, settings: ModelSettings, dataset: Dataset, folder: Path
) -> QueryEncoder | None:
    """What reads the queries among the training events; None where there are none. Where nothing is known to, TF-IDF
    of the catalogue is fitted and kept in `folder`."""
    if not typed_in(training_events(dataset, settings)):
        return None
    for own in (WORDS_FOLDER, QUERY_FOLDER):
        if (folder / own).is_dir():
            return QueryEncoder(TfidfEncoder.load(folder / own))
    encoder, why = encoder_of(job.vectors, settings.query)
    if encoder is not None:
        return QueryEncoder(encoder)
    if job.continue_from is not None:
        log.warning("queries are not read: %s, and the earlier model has no words for them.", why)
        return None
    if not any(item_texts(dataset.items)):
        log.warning("queries are not read: %s, and no product has a title or an attribute.", why)
        return None
    log.warning("queries are read by the catalogue's words: %s.", why)
    return QueryEncoder(_learn_words(job, dataset, folder / QUERY_FOLDER))


def _learn_words(job: TrainJob, dataset: Dataset, folder: Path) -> TfidfEncoder:
    """TF-IDF of the catalogue, kept in `folder`."""
    with stage("TF-IDF"):
        encoder = TfidfEncoder(job.tfidf).fit(item_texts(dataset.items), rng=np.random.default_rng(job.seed))
    encoder.write_into(folder)
    return encoder


def _words(folder: Path, dataset: Dataset) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
    encoded = TfidfEncoder.load(folder).encode(item_texts(dataset.items))
    return encoded.vectors, encoded.mask


def content_for(model: Path, vectors: tuple[Path, ...], dataset: Dataset) -> Content:
    """What the model in the folder `model` is to read: the vectors given, or its own TF-IDF. Raises `ConfigError`."""
    own = model / WORDS_FOLDER
    if own.is_dir():
        if vectors:
            raise ConfigError(f"{model}: was trained on its own words; leave vectors out.")
        return {"text": _words(own, dataset)}
    learnt = read_json(model / VECTORS_FILE)
    if not learnt and not vectors:
        return {}
    if not vectors:
        raise ConfigError(f"{model}: was trained on vectors; give the folders of such vectors with 'vectors'.")
    given = made_by(vectors)
    other = sorted(name for name in set(learnt) & set(given) if learnt[name] not in (None, given[name]))
    if other:
        raise ConfigError(
            f"vectors '{other[0]}' were made by another encoder, or at another precision, than those that {model} "
            "learnt from. Encode with that one (its folder lies beside the vectors that it made), or train again."
        )
    content = stored_content(vectors, dataset.items)
    if set(content) != set(learnt):
        raise ConfigError(
            f"{model}: learnt from the vectors {', '.join(sorted(learnt))}; those given are "
            f"{', '.join(sorted(content))}. Give folders that hold the same."
        )
    if (model / QUERY_FOLDER).is_dir():
        content = {**content, QUERY_WORDS: _words(model / QUERY_FOLDER, dataset)}
    return content
