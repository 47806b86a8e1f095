"""Dataset folder → the items' vectors: text, image and title (.safetensors), items.parquet and encode.json."""

import logging
import time
from contextlib import nullcontext
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
from pydantic import model_validator

from ltexpo.columns import Columns
from ltexpo.data.dataset import Dataset, untitled
from ltexpo.data.output_folder import output_folder
from ltexpo.encoders.cache import VectorCache
from ltexpo.encoders.catalogue import item_parts, item_texts, text_columns
from ltexpo.encoders.encoded import Encoded, State
from ltexpo.encoders.encoder import Encoder
from ltexpo.encoders.image import LOCAL, ImageEncoder, ImageOptions, ImageSettings, picture_keys
from ltexpo.encoders.item_vectors import write_vectors
from ltexpo.encoders.kept_pair import copy_pair, is_pair, keep_pair, kept_pair, pair_key, take_pair
from ltexpo.encoders.pair_settings import PairSettings
from ltexpo.encoders.text import TextEncoder, TextOptions, TextSettings
from ltexpo.encoders.tfidf import CONFIG_FILE as TFIDF_FILE
from ltexpo.encoders.tfidf import TfidfEncoder, TfidfSettings
from ltexpo.engines.encode import Work, encode_on
from ltexpo.engines.session import spark_session
from ltexpo.engines.settings import EngineSettings
from ltexpo.jobs.job import DataJob
from ltexpo.jobs.running.versions import versions_of
from ltexpo.progress import stage
from ltexpo.tracking import scalars

TFIDF, NONE = "tfidf", "none"
TFIDF_FOLDER, PAIR_FOLDER = "tfidf", "pair"
_TRAINING = ("torch", "timm", "open_clip_torch", "tokenizers", "numpy", "pillow")
"""Packages whose next version may train another pair."""
log = logging.getLogger("ltexpo")


class EncodeJob(EngineSettings, DataJob):
    """Settings of 'ltexpo encode'."""

    out: Path
    """Folder to write text.safetensors, image.safetensors, title.safetensors (each with vectors (items, width) float32
    and a mask), items.parquet (the order of the rows, and each row's state) and encode.json to."""
    text: str = TFIDF
    """tfidf: fitted on this catalogue, anew whenever it changed; the folder of a saved model, e.g. the tfidf/ of an
    earlier run, whose vectors a model trained on that run's goes on reading; minilm (extra ltexpo[minilm]); an id of
    the Hugging Face hub; or none."""
    image: str = NONE
    """The folder of an open_clip model, e.g. the pair/ of an earlier run, whose vectors a model trained on that run's
    goes on reading; an architecture; hf-hub:OWNER/NAME; or none."""
    pretrained: str | None = None
    """With an architecture: the tag of its weights, or a file of weights."""
    train: bool = False
    """Train a small pair of encoders on the catalogue's own texts and pictures, use it, and keep it in OUT/pair. One
    that an earlier run with this cache trained on the same texts, pictures and settings is used again."""
    titles: bool | None = None
    """Also encode the texts with the image model's own text tower, so that they can be compared with pictures; null:
    only with a pair that ltexpo trained, for large models take long over it."""
    columns: tuple[str, ...] | None = None
    """Columns that make up an item's text; null: title, brand, category and every further column of words."""
    cache: Path | None = None
    """Folder that keeps vectors and pairs between runs; null: OUT.cache. It may be deleted at any time."""
    text_options: TextOptions = TextOptions()
    """How a transformers model runs."""
    image_options: ImageOptions = ImageOptions()
    """How an open_clip model runs."""
    tfidf: TfidfSettings = TfidfSettings()
    """TF-IDF and its projection."""
    pair: PairSettings = PairSettings()
    """Training of the pair."""
    tensorboard: Path | None = None
    """Folder for the event files of TensorBoard, which show the losses while training goes on; needs ltexpo[tracking].
    null: none."""

    @model_validator(mode="after")
    def _one_image_model(self) -> Self:
        if self.train and self.image != NONE:
            raise ValueError("train makes the image model; give no other with 'image'")
        if self.text == NONE and self.image == NONE and not self.train:
            raise ValueError("nothing is to be encoded; give 'text' or 'image'")
        return self


@dataclass(frozen=True)
class EncodeResult:
    """What was encoded, name by name; prints as a table."""

    encoded: dict[str, Encoded]
    seconds: dict[str, float]
    titles: dict[str, int]
    """Items with an empty title, and those whose whole text is beyond the limit of a model that read it."""
    reused: Path | None = None
    """The file in the cache that the pair was taken from, where it was not trained anew."""

    def to_pandas(self) -> pd.DataFrame:
        """A row for each name: width, items with and without a vector, contents computed, seconds, and the states."""
        rows: list[dict[str, Any]] = [
            {
                "vectors": name, "width": part.vectors.shape[1], "items": int(part.mask.sum()),
                "masked": int((~part.mask).sum()), "computed": part.computed, "seconds": round(self.seconds[name], 1),
                "states": ", ".join(f"{count:,} {state}" for state, count in part.counts().items()),
            }
            for name, part in self.encoded.items()
        ]
        return pd.DataFrame(rows)

    def __str__(self) -> str:
        titles = ", ".join(f"{count:,} {what}" for what, count in self.titles.items())
        pair = "" if self.reused is None else f"\npair: not trained anew, taken from {self.reused}"
        return f"{self.to_pandas().to_string(index=False)}\ntexts: {titles}{pair}"


def run_encode(job: EncodeJob) -> EncodeResult:
    """Encode and write, all or nothing; what an earlier or a killed run encoded is taken from the cache."""
    inputs = (job.data, _as_path(job.text), _as_path(job.image), job.cache)
    with output_folder(job.out, verb="encode", inputs=inputs) as folder:
        dataset = Dataset.load(job.data)
        items = dataset.items
        columns = text_columns(items, job.columns)
        reused = _provide_pair(job, dataset, folder)
        runs = _run(job, _works(job, dataset, folder), folder)
        ids = items[Columns.Item].to_list()
        # an item with a brand has a text without a title, and TF-IDF reads texts of any length: the states tell neither
        titles = {
            "empty titles": untitled(items),
            "cut off": int(np.logical_or.reduce(
                [np.zeros(len(items), dtype=bool), *(part.states == State.TRUNCATED for _, part, _ in runs.values())]
            ).sum()),
        }
        facts = {
            "items": len(items), "columns": columns, "seed": job.seed, "titles": titles,
            "vectors": {
                name: {
                    "identity": encoder.identity, "width": encoder.width, "states": part.counts(),
                    "first_of_each_state": part.first_of_each(ids), "settings": _settings_of(job, name, encoder),
                }
                for name, (encoder, part, _) in runs.items()
            },
        }
        encoded_by_name = {name: part for name, (_, part, _) in runs.items()}
        write_vectors(folder, pd.Index(ids), encoded_by_name, facts)
    return EncodeResult(encoded_by_name, {name: seconds for name, (_, _, seconds) in runs.items()}, titles, reused)


def _works(job: EncodeJob, dataset: Dataset, folder: Path) -> dict[str, Work]:
    """What there is to encode, by name; what is trained or fitted for it lies in `folder`."""
    items = dataset.items
    cells = _pictures(items)
    texts: list[object] = item_texts(items, text_columns(items, job.columns))  # type: ignore[assignment]
    pictures = _image_encoder(job, folder)
    words = _text_encoder(job, texts, folder)
    cache = VectorCache(_cache(job))
    works = {}
    if words is not None:
        # TF-IDF is faster than its cache.
        works["text"] = Work(words, texts, None if isinstance(words, TfidfEncoder) else cache)
    if pictures is not None:
        works["image"] = Work(pictures, cells, cache, dataset.root)
        if _titles(job):
            works["title"] = Work(pictures.titles, texts, cache)
    return works


def _run(job: EncodeJob, works: dict[str, Work], folder: Path) -> dict[str, tuple[Encoder, Encoded, float]]:
    """Every work done, with its encoder and seconds."""
    far = [name for name, work in works.items() if job.engine == "spark" and not isinstance(work.encoder, TfidfEncoder)]
    runs = {}
    with spark_session(job) if far else nullcontext() as session:
        for name, work in works.items():
            started = time.perf_counter()
            if session is not None and name in far:
                encoded = encode_on(session, _same_works, _told(job, folder), name, work, partitions=job.partitions)
            else:
                encoded = work.encode()
            runs[name] = (work.encoder, encoded, time.perf_counter() - started)
    return runs


def _told(job: EncodeJob, folder: Path) -> str:
    """The job as an executor does it: nothing is trained or fitted there."""
    done = {"text": NONE} if job.text == TFIDF or _is_tfidf(job.text) else {}
    if _own_pair(job):
        done |= {"image": str(folder / PAIR_FOLDER)}
    for name in ("text", "image", "pretrained"):
        named = getattr(job, name)
        if named is not None and Path(named).exists():
            done.setdefault(name, str(Path(named).absolute()))
    told = job.model_copy(update={"train": False, "titles": _titles(job), "cache": _cache(job), **done})
    return told.from_root().model_dump_json()


@lru_cache(maxsize=1)
def _same_works(told: str) -> dict[str, Work]:
    """What the job `told` (as JSON) encodes, made once for each worker of an engine."""
    job = EncodeJob.model_validate_json(told)
    return _works(job, Dataset.load(job.data), job.out)


def _cache(job: EncodeJob) -> Path:
    return job.cache or job.out.with_name(job.out.name + ".cache")


def _provide_pair(job: EncodeJob, dataset: Dataset, folder: Path) -> Path | None:
    """Write the catalogue's own pair into `folder`, if there is to be one: trained now, by an earlier run on the same
    (then its file is returned), or the one given, so that tomorrow's run finds it beside these vectors."""
    place = folder / PAIR_FOLDER
    if not job.train:
        if _own_pair(job):
            copy_pair(_folder(job.image), place)
        return None
    items, cells = dataset.items, _pictures(dataset.items)
    parts = item_parts(items, text_columns(items, job.columns))
    with stage("look for a pair that was trained on the same"):
        known = picture_keys(cells, dataset.root)
        key = pair_key(parts, known, job.pair, seed=job.seed, versions=versions_of(_TRAINING))
        file = kept_pair(_cache(job), key)
        if take_pair(file, place):
            log.info("%s: was trained on the same texts and pictures, with the same settings; it is used again", file)
            return file
    from ltexpo.encoders.pair_training import train_pair  # brings torch

    with scalars(job.tensorboard) as watch:
        pair = train_pair(parts, cells, job.pair, root=dataset.root, rng=job.seed, watch=watch)
    pair.write_into(place)
    keep_pair(place, file)
    return None


def _image_encoder(job: EncodeJob, folder: Path) -> ImageEncoder | None:
    options = job.image_options.model_dump()
    if job.train:
        return ImageEncoder(ImageSettings(model=str(folder / PAIR_FOLDER), **options))
    if job.image == NONE:
        return None
    return ImageEncoder(ImageSettings(model=job.image, pretrained=job.pretrained, **options))


def _text_encoder(job: EncodeJob, texts: list[object], folder: Path) -> Encoder | None:
    if job.text == NONE:
        return None
    if job.text == TFIDF:
        with stage("fit TF-IDF"):
            fitted = TfidfEncoder(job.tfidf).fit(texts, rng=job.seed)
        fitted.write_into(folder / TFIDF_FOLDER)
        return fitted
    if _is_tfidf(job.text):
        earlier = TfidfEncoder.load(job.text)
        earlier.write_into(folder / TFIDF_FOLDER)  # so that tomorrow's run finds it beside these vectors
        return earlier
    return TextEncoder(TextSettings(model=job.text, **job.text_options.model_dump()))


def _settings_of(job: EncodeJob, name: str, encoder: Encoder) -> dict[str, Any]:
    """What encode.json notes; an encoder that lies beside the vectors is named by that."""
    if isinstance(encoder, TfidfEncoder):
        return {"text": TFIDF, **encoder.settings.model_dump(mode="json")}
    if name == "text":
        return {"text": job.text, **job.text_options.model_dump(mode="json")}
    made = {"image": PAIR_FOLDER} if _own_pair(job) else {"image": job.image, "pretrained": job.pretrained}
    return {**made, **job.image_options.model_dump(mode="json")}


def _own_pair(job: EncodeJob) -> bool:
    return job.train or (job.image != NONE and is_pair(_folder(job.image)))


def _titles(job: EncodeJob) -> bool:
    return _own_pair(job) if job.titles is None else job.titles


def _is_tfidf(text: str) -> bool:
    return (Path(text) / TFIDF_FILE).is_file()


def _pictures(items: pd.DataFrame) -> list[object]:
    return items[Columns.Image].to_list() if Columns.Image in items.columns else [None] * len(items)


def _folder(image: str) -> Path:
    return Path(image.removeprefix(LOCAL)).expanduser()


def _as_path(name: str) -> Path | None:
    """The folder that a setting names, if it is one: a job must not write over its own model."""
    return Path(name) if Path(name).is_dir() else None
