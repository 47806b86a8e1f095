"""Titles and pictures of a catalogue → a small CLIP trained on them from nothing, and its held-out recall.

Symmetric InfoNCE over the pairs of a batch (Radford et al., 2021); two products of a batch with the same text are not
held against each other. Pairs are held out by title, so that no held-out title was trained on.
"""

import logging
import math
import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from tokenizers import Tokenizer
from torch.nn import functional

from ltexpo.data.files import write_json
from ltexpo.data.images import load_image
from ltexpo.data.output_folder import output_folder
from ltexpo.encoders.augment_image import augment_images
from ltexpo.encoders.augment_text import BackTranslate, augment_texts
from ltexpo.encoders.catalogue import join_parts
from ltexpo.encoders.contrastive import Best, hold_out, info_nce, pace, recalls
from ltexpo.encoders.device import choose_device, multiplies_bf16
from ltexpo.encoders.image import picture_bytes
from ltexpo.encoders.pair_model import (
    MEAN,
    STD,
    new_model,
    pair_config,
    token_ids,
    write_pair,
)
from ltexpo.encoders.pair_settings import HISTORY_FILE, PairSettings
from ltexpo.encoders.wordpiece import train_tokenizer
from ltexpo.errors import TableError
from ltexpo.progress import Watch, track

log = logging.getLogger("ltexpo")
_ROOM = 1.25
"""Pictures are kept larger than the model's by this, so that crops stay sharp."""


@dataclass(frozen=True)
class TrainedPair:
    """A model, its tokenizer, and how training went."""

    config: dict[str, Any]
    model: torch.nn.Module
    tokenizer: Tokenizer
    history: dict[str, Any]
    """pairs, held_out, left_out (reason → rows), best_epoch, settings, and for each epoch its loss and recalls."""
    seconds: float
    """How long reading the pictures and training took."""

    def save(self, out: Path) -> Path:
        """Write the folder `out`, all or nothing; `ImageEncoder.load` reads it."""
        with output_folder(out, verb="pair") as folder:
            self.write_into(folder)
        return out

    def write_into(self, folder: Path) -> None:
        """The files of `save`, into a folder that the caller makes appear at once."""
        write_pair(folder, self.config, self.model, self.tokenizer)
        write_json(self.history, folder / HISTORY_FILE)


def train_pair(
    parts: Sequence[Sequence[str]],
    pictures: Sequence[object],
    settings: PairSettings | None = None,
    *,
    root: Path | None = None,
    rng: int | np.random.Generator = 0,
    back_translate: BackTranslate | None = None,
    watch: Watch | None = None,
) -> TrainedPair:
    """Train on the products that have both a text and a picture.

    `parts` (I) holds each product's title and attributes (`catalogue.item_parts`), `pictures` (I) the cells of the
    image column, with paths that start from `root`. The same seed gives the same weights on the same machine with the
    same number of threads. `watch` is told each epoch's figures. Raises `TableError` when fewer than 20 products have
    both.
    """
    settings = settings or PairSettings()
    generator = np.random.default_rng(rng)
    started = time.perf_counter()
    kept, pixels, left_out = _read_pairs(parts, pictures, settings, root, generator)
    products = [parts[row] for row in kept]
    held = hold_out([part[0] for part in products], settings.holdout, settings.max_holdout, generator)
    tokenizer = train_tokenizer(
        (join_parts(part) for part, out in zip(products, held, strict=True) if not out), settings.model.words
    )
    config = pair_config(settings.model, tokenizer.get_vocab_size())
    with torch.random.fork_rng():
        torch.manual_seed(int(generator.integers(2**31)))
        model = new_model(config)
        trainer = _Trainer(model, tokenizer, settings, generator)
        epochs, best = trainer.run(products, pixels, held, back_translate, watch)
    history = {
        "pairs": int((~held).sum()), "held_out": int(held.sum()), "left_out": left_out, "best_epoch": best + 1,
        "epochs": epochs, "settings": settings.model_dump(mode="json"),
    }
    return TrainedPair(config, model.cpu().eval(), tokenizer, history, time.perf_counter() - started)


class _Trainer:
    def __init__(
        self, model: torch.nn.Module, tokenizer: Tokenizer, settings: PairSettings, generator: np.random.Generator
    ) -> None:
        self.device, dtype = choose_device(settings)
        self.bf16 = dtype == torch.bfloat16 or (settings.precision == "auto" and multiplies_bf16())
        self.model: Any = model.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.tokenizer = tokenizer
        self.settings = settings
        self.generator = generator
        self.torch_generator = torch.Generator(self.device).manual_seed(int(generator.integers(2**31)))

    def run(
        self,
        products: list[Sequence[str]],
        pixels: torch.Tensor,
        held: npt.NDArray[np.bool_],
        back_translate: BackTranslate | None,
        watch: Watch | None,
    ) -> tuple[list[dict[str, float]], int]:
        """Train until recall on `held` rises no more, and leave the best weights in the model.

        Returns each epoch's figures and which was the best, from 0.
        """
        settings = self.settings
        rows, test = np.flatnonzero(~held), np.flatnonzero(held)
        steps = max(1, len(rows) // settings.batch_size)
        optimizer = torch.optim.AdamW(self._groups(), lr=settings.learning_rate, betas=(0.9, 0.98))
        schedule = pace(optimizer, steps, settings.epochs * steps)
        epochs: list[dict[str, float]] = []
        best = Best(settings.patience)
        same = np.unique([join_parts(part) for part in products], return_inverse=True)[1]
        for epoch in track(range(settings.epochs), "train the pair of encoders", total=settings.epochs):
            texts = augment_texts(products, settings.texts, rng=self.generator, back_translate=back_translate)
            tokens = token_ids(self.tokenizer, texts, settings.model.context)
            order = self.generator.permutation(rows)
            total = 0.0
            self.model.train()
            for step in range(steps):
                batch = np.sort(order[step * settings.batch_size : (step + 1) * settings.batch_size])
                loss = self._loss(pixels[batch], tokens[batch], torch.from_numpy(same[batch]))
                optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
                optimizer.step()
                schedule.step()
                with torch.no_grad():
                    self.model.logit_scale.clamp_(0, math.log(100))
                total += float(loss.detach())
            text_vectors, image_vectors = self._vectors(products, pixels, test)
            to_image, to_text = recalls(text_vectors, image_vectors)
            recall = (to_image + to_text) / 2
            epochs.append(
                {"loss": total / steps, "text_to_image": to_image, "image_to_text": to_text, "recall": recall}
            )
            if watch is not None:
                for name, value in epochs[-1].items():
                    watch(f"pair/{name.replace('_', ' ')}", epoch + 1, value)
            log.info("epoch %d: loss %.3f, held-out recall %.3f", epoch + 1, total / steps, recall)
            if not best.take(recall, self.model):
                break
        best.restore(self.model)
        return epochs, best.epoch

    def _groups(self) -> list[dict[str, Any]]:
        """Norms, biases and the temperature do not decay."""
        flat = [value for value in self.model.parameters() if value.ndim < 2]
        full = [value for value in self.model.parameters() if value.ndim >= 2]
        return [{"params": full, "weight_decay": self.settings.weight_decay}, {"params": flat, "weight_decay": 0.0}]

    def _loss(self, pixels: torch.Tensor, tokens: torch.Tensor, same: torch.Tensor) -> torch.Tensor:
        shown = pixels.to(self.device).float() / 255
        seen = augment_images(shown, self.settings.images, self.settings.model.image_size, self.torch_generator)
        images, texts = self._towers(seen, tokens)
        alike = (same[:, None] == same[None, :]).to(self.device)
        return info_nce(images, texts, self.model.logit_scale.exp(), alike)

    def _towers(self, seen: torch.Tensor, tokens: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Unit vectors (B, d) of pictures in 0..1 and of token ids."""
        scaled = ((seen - MEAN) / STD).contiguous(memory_format=torch.channels_last)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
            images = self.model.encode_image(scaled)
            texts = self.model.encode_text(tokens.to(self.device))
        return functional.normalize(images.float(), dim=-1), functional.normalize(texts.float(), dim=-1)

    @torch.no_grad()
    def _vectors(
        self, products: list[Sequence[str]], pixels: torch.Tensor, rows: npt.NDArray[np.int64]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Vectors (n, d) of the texts and of the pictures of `rows`, as they are, on the CPU."""
        self.model.eval()
        images, texts = [], []
        size = self.settings.model.image_size
        for begin in range(0, len(rows), 256):
            batch = rows[begin : begin + 256]
            shown = functional.interpolate(
                pixels[batch].to(self.device).float() / 255, size=(size, size), mode="bilinear", antialias=True
            )
            words = [join_parts(products[row]) for row in batch]
            tokens = token_ids(self.tokenizer, words, self.settings.model.context)
            image, text = self._towers(shown, tokens)
            images.append(image.cpu())
            texts.append(text.cpu())
        return torch.cat(texts), torch.cat(images)


def _read_pairs(
    parts: Sequence[Sequence[str]],
    pictures: Sequence[object],
    settings: PairSettings,
    root: Path | None,
    generator: np.random.Generator,
) -> tuple[npt.NDArray[np.int64], torch.Tensor, dict[str, int]]:
    """Rows with a text and a picture, the pictures (P, 3, S, S) uint8, and why the other rows were left out."""
    given = [isinstance(cell, bytes | str) and len(cell) > 0 for cell in pictures]
    worded = np.array([len(part) > 0 for part in parts], dtype=bool)
    both = np.flatnonzero(worded & np.array(given, dtype=bool))
    left_out = {"without text": int((~worded).sum()), "without picture": int((worded & ~np.array(given)).sum())}
    if len(both) > settings.max_pairs:
        left_out["beyond max_pairs"] = len(both) - settings.max_pairs
        both = np.sort(generator.choice(both, settings.max_pairs, replace=False))
    side = round(settings.model.image_size * _ROOM)
    pixels = torch.zeros(len(both), 3, side, side, dtype=torch.uint8)
    fine = np.zeros(len(both), dtype=bool)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        jobs = pool.map(partial(_pixels, root=root, side=side), [pictures[row] for row in both.tolist()])
        for place, seen in enumerate(track(jobs, "read pictures", total=len(both))):
            if seen is not None:
                pixels[place] = torch.from_numpy(seen)
                fine[place] = True
    left_out["picture not readable"] = int((~fine).sum())
    if fine.sum() < 20:
        raise TableError(
            f"items: {int(fine.sum())} have both a text and a readable picture; a pair of encoders needs 20 at least. "
            "Use a pretrained model, or TF-IDF for the text."
        )
    kept = np.flatnonzero(fine)
    return both[kept], pixels if fine.all() else pixels[kept], {why: rows for why, rows in left_out.items() if rows}


def _pixels(content: object, root: Path | None, side: int) -> npt.NDArray[np.uint8] | None:
    file = picture_bytes(content, root)
    if not isinstance(file, bytes):
        return None
    try:
        squeezed = load_image(file, None).resize((side, side), Image.Resampling.BILINEAR)
    except TableError:
        return None
    return np.ascontiguousarray(np.asarray(squeezed).transpose(2, 0, 1))
