"""Catalogue, vectors and interactions → the match model: item and user vectors whose product is the score."""

import dataclasses
import datetime as dt
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from safetensors.torch import load_file, save

from ltexpo.config import check_settings
from ltexpo.data.files import read_json, write_json
from ltexpo.data.history import History
from ltexpo.data.output_folder import output_folder
from ltexpo.data.tables import read_frame, write_frame
from ltexpo.encoders.device import RunSettings, choose_device
from ltexpo.encoders.item_vectors import Content
from ltexpo.errors import ConfigError, LtexpoError
from ltexpo.fusion.examples import BUY, Examples
from ltexpo.fusion.heat import Heat
from ltexpo.fusion.inputs import ItemInputs, Vocabulary
from ltexpo.fusion.network import Feed, MatchNet
from ltexpo.fusion.profile import Profile, Profiles
from ltexpo.fusion.queries import Queries
from ltexpo.fusion.settings import FusionSettings, TrainingSettings
from ltexpo.fusion.training import Trainer
from ltexpo.progress import Watch

Floats = npt.NDArray[np.float32]
Codes = npt.NDArray[np.int64]

CONFIG_FILE, WEIGHTS_FILE, WORDS_FILE = "config.json", "model.safetensors", "vocabulary.parquet"
_BLOCK = 4_096


class MatchModel:
    """Two towers over the tokens of products and the pasts of users; `fit`, then vectors of items and users.

    Fitted: `net_`, `vocabulary_`, `until_` (days: what was learnt from lies before), `losses_` (held-out loss at every
    look, all trainings one after the other).
    """

    net_: MatchNet
    vocabulary_: Vocabulary
    heat_: Heat
    profile_: Profile
    content_: dict[str, int]
    until_: float
    losses_: list[float]

    def __init__(
        self, settings: FusionSettings | None = None, training: TrainingSettings | None = None, *,
        device: str = "auto",
    ) -> None:
        self.settings = settings or FusionSettings()
        self.training = training or TrainingSettings()
        self.device, _ = choose_device(check_settings(RunSettings, {"device": device}, "options"))

    def fit(
        self, items: pd.DataFrame, history: History, content: Content, *, users: pd.DataFrame | None = None,
        queries: Queries | None = None, rng: int | np.random.Generator = 0, watch: Watch | None = None,
    ) -> Self:
        """Train on `history`; `content` in the row order of `items`; every column of `users` is read, and so are the
        `queries` of the interactions of `history`. `watch` is told the losses as they come.

        On a model that is fitted or loaded, training goes on: products and attribute values that are new get vectors,
        and part of each batch is replayed from the days already seen.
        """
        generator = np.random.default_rng(rng)
        torch.manual_seed(int(generator.integers(2**31)))
        before = (self.vocabulary_, self.profile_, self.net_) if hasattr(self, "net_") else None
        taken = history.item_ids.decode(np.unique(history.item))
        self.vocabulary_ = Vocabulary.of(items, taken, arrival=self.settings.arrival)
        self.profile_ = Profile.of(users, None if before is None else before[1])
        if before is not None:
            self._check_content(content)
            self.vocabulary_ = _grown(before[0], self.vocabulary_)
        self.content_ = {name: int(vectors.shape[1]) for name, (vectors, _) in content.items()}
        self._check_queries(None if queries is None else queries.vectors)
        self.net_ = self._network()
        if before is not None:
            _carry_over(before[2], self.net_)
        inputs = self.inputs(items, content)
        trainer = Trainer(
            self.net_, inputs, Examples.of(history), self.profile_.read(users).of(history.user_ids.ids), self.training,
            queries=queries, history=self.settings.history, least=self.settings.least,
            seen_until=None if before is None else self.until_, rng=generator,
        )
        trainer.run(watch)
        self.heat_ = Heat.of(history, inputs, np.ones(len(history.item), bool))
        self.losses_ = [*getattr(self, "losses_", []), *trainer.history]
        self.until_ = float(np.nextafter(history.now, np.inf))
        return self

    def item_vectors(
        self, items: pd.DataFrame, content: Content, *, hidden: tuple[str, ...] = ()
    ) -> Floats:
        """(I, width + 1) in item_id order; the last number is what a product is worth by itself.

        `hidden` names tokens that are not looked at: a modality, 'attributes' (with the popularity of relatives) or
        'behaviour' (with the product's own).
        """
        self._check_content(content)
        inputs = self.inputs(items, content)
        return self.encode_rows(inputs, np.arange(len(inputs)), hidden)

    def user_vectors(
        self, history: History, users: Codes, item_vectors: Floats, *, profiles: Profiles | None = None,
        queries: Floats | None = None, head: int = BUY, now: float | None = None,
    ) -> Floats:
        """(U, width + 1): the score of a pair is the inner product with its item vector, log P up to a constant.

        `users`: codes of `history`, −1 for unknown; `profiles`: theirs, as `profile_` read them; `queries` (U, d): what
        each of them has typed, as vectors of the encoder named by the setting `query`, NaN where nothing; `now` in
        days: the moment at which lists are made, by default the end of the last day.
        """
        self._require_fit()
        examples = Examples.of(history)
        moment = np.floor(history.now) + 1 if now is None else now
        self._check_queries(queries)
        told = self.profile_.read(None) if profiles is None else profiles
        ids = history.user_ids.ids
        out = np.ones((len(users), self.settings.width + 1), dtype=np.float32)
        vectors = torch.from_numpy(item_vectors[:, :-1]).to(self.device)
        place = np.arange(len(item_vectors))
        with torch.no_grad():
            for start in range(0, len(users), _BLOCK):
                some = users[start : start + _BLOCK]
                past = examples.past_of_users(some, self.settings.history, now=moment)
                typed = None if queries is None else queries[start : start + _BLOCK]
                read = self.net_.read(past, place, vectors, told.of(ids[np.maximum(some, 0)].where(some >= 0)), typed)
                out[start : start + _BLOCK, :-1] = read[head].cpu().numpy()
        return out

    def inputs(self, items: pd.DataFrame, content: Content) -> ItemInputs:
        """What the item tower reads of a catalogue; `content` in the row order of `items`."""
        return ItemInputs.of(items, self.vocabulary_, content, arrival=self.settings.arrival)

    @property
    def tokens(self) -> tuple[str, ...]:
        """What an item is read from."""
        self._require_fit()
        return self.net_.items.tokens

    def encode_rows(self, inputs: ItemInputs, rows: Codes, hidden: tuple[str, ...] = ()) -> Floats:
        """(n, width + 1) of some products of `inputs`; see `item_vectors`."""
        unknown = sorted(set(hidden) - set(self.tokens))
        if unknown:
            raise ConfigError(f"'{unknown[0]}' is not a token; there are {', '.join(self.tokens)}.")
        feed = Feed(inputs, self.heat_, self.device, least=self.settings.least)
        mask = torch.tensor([token in hidden for token in self.tokens], device=self.device)
        out = np.empty((len(rows), self.settings.width + 1), dtype=np.float32)
        with torch.no_grad():
            for start in range(0, len(rows), _BLOCK):
                some = rows[start : start + _BLOCK]
                vectors, worth = self.net_.items(feed(some), mask.expand(len(some), -1))
                out[start : start + _BLOCK, :-1] = vectors.cpu().numpy()
                out[start : start + _BLOCK, -1] = worth.cpu().numpy()
        return out

    def save(self, out: Path) -> Path:
        """Write config.json, model.safetensors and vocabulary.parquet."""
        with output_folder(out, verb="match-model") as folder:
            self.write_into(folder)
        return Path(out)

    def write_into(self, folder: Path) -> None:
        """The files of `save`, into a folder that the caller makes appear at once."""
        self._require_fit()
        facts: dict[str, Any] = {
            "fusion": self.settings.model_dump(mode="json"), "training": self.training.model_dump(mode="json"),
            "content": self.content_, "price": self.vocabulary_.price, "profile": dict(self.profile_.edges),
            "until": self.until_, "held_out_loss": self.losses_,
            "learnt_before": str(pd.Timestamp(self.until_, unit="D").round("s").to_pydatetime().replace(tzinfo=dt.UTC)),
        }
        words = {
            "value": self.vocabulary_.values, "product": self.vocabulary_.products,
            "arrival": self.vocabulary_.arrivals, "profile": self.profile_.values,
        }
        write_frame(
            pd.concat([pd.DataFrame({"kind": kind, "name": names.astype(str)}) for kind, names in words.items()]),
            folder / WORDS_FILE,
        )
        heat = {f"heat.{name}": torch.from_numpy(value) for name, value in vars(self.heat_).items()}
        weights = {name: value.cpu().contiguous() for name, value in {**self.net_.state_dict(), **heat}.items()}
        (folder / WEIGHTS_FILE).write_bytes(save(weights))  # save_file would let nobody else read it
        write_json(facts, folder / CONFIG_FILE)

    @classmethod
    def load(cls, folder: Path, *, device: str = "auto") -> "MatchModel":
        """Read what `save` wrote."""
        folder = Path(folder)
        facts = read_json(folder / CONFIG_FILE)
        made = cls(
            check_settings(FusionSettings, facts["fusion"], str(folder)),
            check_settings(TrainingSettings, facts["training"], str(folder)), device=device,
        )
        words = read_frame(folder / WORDS_FILE)
        names = {kind: pd.Index(words.loc[words["kind"] == kind, "name"], dtype=object)
                 for kind in ("value", "product", "arrival", "profile")}
        made.vocabulary_ = Vocabulary(names["value"], tuple(facts["price"]), names["product"], names["arrival"])
        made.profile_ = Profile(names["profile"], {column: tuple(edges) for column, edges in facts["profile"].items()})
        made.content_ = dict(facts["content"])
        made.until_, made.losses_ = float(facts["until"]), list(facts["held_out_loss"])
        made.net_ = made._network()
        weights = load_file(folder / WEIGHTS_FILE)
        made.heat_ = Heat(**{
            field.name: weights.pop(f"heat.{field.name}").numpy() for field in dataclasses.fields(Heat)
        })
        made.net_.load_state_dict(weights)
        made.net_.to(made.device).eval()
        return made

    def _network(self) -> MatchNet:
        return MatchNet(
            self.settings, content=self.content_, values=len(self.vocabulary_.values),
            columns=len(self.vocabulary_.columns), products=len(self.vocabulary_.products),
            profile=len(self.profile_.values),
        ).to(self.device)

    def _check_queries(self, queries: Floats | None) -> None:
        if queries is None:
            return
        name = self.settings.query
        if name not in self.content_:
            held = ", ".join(self.content_) or "none"
            raise ConfigError(f"query '{name}' is not among the vectors; there are {held}.")
        if queries.shape[1] != self.content_[name]:
            raise ConfigError(f"queries are {queries.shape[1]} wide, '{name}' {self.content_[name]}. Use its encoder.")

    def _check_content(self, content: Mapping[str, tuple[Floats, Any]]) -> None:
        self._require_fit()
        widths = {name: int(vectors.shape[1]) for name, (vectors, _) in content.items()}
        if widths != self.content_:
            raise ConfigError(f"vectors are {widths or 'none'}; the model learnt {self.content_ or 'none'}.")

    def _require_fit(self) -> None:
        if not hasattr(self, "net_"):
            raise LtexpoError("this match model is not fitted. Call fit or load first.")


def _grown(old: Vocabulary, new: Vocabulary) -> Vocabulary:
    """What `old` knows in its order, then what `new` adds; prices keep their scale."""
    return Vocabulary(
        old.values.append(new.values.difference(old.values)), old.price,
        old.products.append(new.products.difference(old.products)), new.arrivals,
    )


def _carry_over(old: MatchNet, new: MatchNet) -> None:
    """Weights of `old` into `new`, whose tables may be longer: their further rows keep their start."""
    weights = new.state_dict()
    for name, value in old.state_dict().items():
        weights[name][tuple(slice(0, size) for size in value.shape)] = value
    new.load_state_dict(weights)
