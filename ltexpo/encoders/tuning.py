"""A pretrained text encoder + pairs of texts that users took together → the encoder, moved a little towards behaviour.

Few weights are trained: low-rank additions (LoRA, Hu et al., 2021), the same with a rank that is allotted where it
helps (AdaLoRA, Zhang et al., 2023), or only a linear head on the frozen model. The additions are merged, so the result
is a plain transformers folder (with ltexpo_head.safetensors for a head) that `TextEncoder.load` reads.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field
from torch.nn import functional

from ltexpo.data.files import write_json
from ltexpo.data.output_folder import output_folder
from ltexpo.encoders.cache import write_safetensors
from ltexpo.encoders.contrastive import Best, hold_out, info_nce, pace, recalls
from ltexpo.encoders.device import Precision, RunSettings, multiplies_bf16
from ltexpo.encoders.text import HEAD_FILE, POOLING_FILE, TextEncoder, TextSettings, pooled, quiet, text_bytes
from ltexpo.errors import MissingExtraError, TableError
from ltexpo.progress import track

log = logging.getLogger("ltexpo")
HISTORY_FILE = "tuning.json"


class TuneSettings(RunSettings):
    """Parameter-efficient tuning of a text encoder."""

    method: Literal["lora", "adalora", "head"] = "lora"
    """lora and adalora train low-rank additions to every linear layer; head trains one linear map after pooling."""
    rank: int = Field(8, ge=1)
    """Rank of the additions; of AdaLoRA the mean rank at the end, from half as much again at the start."""
    alpha: float = Field(16.0, gt=0)
    """The additions are scaled by alpha / rank."""
    dropout: float = Field(0.05, ge=0, lt=1)
    """Dropout before the additions."""
    precision: Precision = "auto"
    """bf16: products in bfloat16, weights in float32; auto: wherever the device multiplies it."""
    temperature: float = Field(0.05, gt=0)
    """Cosines are divided by this before the softmax."""
    epochs: int = Field(5, ge=1)
    """Passes over the pairs, at most."""
    patience: int = Field(1, ge=1)
    """Training ends after this many passes without a better recall on the held-out pairs."""
    learning_rate: float = Field(3e-4, gt=0)
    """Highest step size of AdamW."""
    holdout: float = Field(0.1, gt=0, lt=1)
    """Share of the left-hand texts whose pairs are held out to stop early."""
    max_holdout: int = Field(1_000, ge=2)
    """Held-out pairs that are ranked among each other, at most."""


@dataclass(frozen=True)
class Tuned:
    """The encoder as it was saved, and how tuning went."""

    encoder: TextEncoder
    history: dict[str, Any]
    """pairs, held_out, trained_weights, best_epoch (0: tuning did not help, the encoder is as it was), recall (by
    epoch, from 0), settings."""


def tune_text_encoder(
    encoder: TextEncoder,
    pairs: Sequence[tuple[str, str]],
    out: Path,
    settings: TuneSettings | None = None,
    *,
    rng: int | np.random.Generator = 0,
) -> Tuned:
    """Tune a copy of `encoder` on `pairs` (`behaviour_pairs`) and save it to the folder `out`, all or nothing.

    Recall of the partner among the held-out pairs decides when to stop, and the untuned encoder takes part, so what
    is saved is never worse on them. Raises `TableError` when there are fewer than 20 pairs.
    """
    settings = settings or TuneSettings()
    generator = np.random.default_rng(rng)
    words = [text_bytes(text) for pair in pairs for text in pair]
    texts = [word.decode() if isinstance(word, bytes) else "" for word in words]
    both = [(left, right) for left, right in zip(texts[::2], texts[1::2], strict=True) if left and right]
    if len(both) < 20:
        raise TableError(f"pairs: {len(both)} have two texts; tuning needs 20 at least.")
    held = hold_out([left for left, _ in both], settings.holdout, settings.max_holdout, generator)
    base = TextEncoder(
        TextSettings(
            model=str(encoder.folder), pooling=encoder.pooling, max_tokens=encoder.max_tokens, device=settings.device,
            precision="fp32",
        )
    )
    with output_folder(out, verb="text encoder", inputs=(encoder.folder,)) as folder, torch.random.fork_rng():
        torch.manual_seed(int(generator.integers(2**31)))
        tuner = _Tuner(base, settings, steps=-(-int((~held).sum()) // settings.batch_size))
        best = tuner.run(both, held, generator)
        history = {
            "pairs": int((~held).sum()), "held_out": int(held.sum()), "trained_weights": tuner.trained_weights,
            "best_epoch": best.epoch, "recall": best.values, "settings": settings.model_dump(mode="json"),
        }
        tuner.write_into(folder)
        write_json(history, folder / HISTORY_FILE)
    return Tuned(TextEncoder(encoder.settings.model_copy(update={"model": str(out), "pooling": "auto"})), history)


class _Tuner(torch.nn.Module):
    """The model with its trainable additions, from texts to unit vectors."""

    def __init__(self, base: TextEncoder, settings: TuneSettings, *, steps: int) -> None:
        super().__init__()
        self.base = base
        self.settings = settings
        self.steps = steps
        self.device = next(base.model_.parameters()).device
        before = torch.eye(base.width) if base.head_ is None else base.head_.cpu().clone()
        self.head = torch.nn.Parameter(before.to(self.device), requires_grad=settings.method == "head")
        self.model: Any = base.model_.requires_grad_(False) if settings.method == "head" else self._with_additions()
        self.trained_weights = sum(value.numel() for value in self._trained())

    def _with_additions(self) -> torch.nn.Module:
        try:
            from peft import AdaLoraConfig, LoraConfig, get_peft_model
        except ModuleNotFoundError as error:
            raise MissingExtraError("tuning with low-rank additions", error.name or "peft", "model") from error

        settings = self.settings
        total = self.steps * settings.epochs
        shared: dict[str, Any] = {
            "lora_alpha": settings.alpha, "lora_dropout": settings.dropout, "target_modules": "all-linear",
            # A pooler is not on the way to the vectors.
            "exclude_modules": r".*pooler.*",
        }
        config = LoraConfig(r=settings.rank, **shared) if settings.method == "lora" else AdaLoraConfig(
            init_r=settings.rank + (settings.rank + 1) // 2, target_r=settings.rank, total_step=total,
            tinit=total // 10, tfinal=total // 3, **shared,
        )
        return get_peft_model(self.base.model_, config)

    def run(
        self, pairs: list[tuple[str, str]], held: npt.NDArray[np.bool_], generator: np.random.Generator
    ) -> Best:
        """Train until recall on `held` rises no more, and leave the best weights in place."""
        settings = self.settings
        lefts, rights = ([pair[side] for pair in pairs] for side in (0, 1))
        codes = np.unique(lefts + rights, return_inverse=True)[1].reshape(2, -1)
        rows, test = np.flatnonzero(~held), np.flatnonzero(held)
        optimizer = torch.optim.AdamW(self._trained(), lr=settings.learning_rate, weight_decay=0.0)
        schedule = pace(optimizer, self.steps, self.steps * settings.epochs)
        best = Best(settings.patience)
        best.take(self._recall(lefts, rights, test), self)
        done = 0
        for epoch in track(range(settings.epochs), "tune the text encoder", total=settings.epochs):
            order = generator.permutation(rows)
            self.train()
            for begin in range(0, len(order), settings.batch_size):
                batch = order[begin : begin + settings.batch_size]
                known = codes[:, batch]
                alike = torch.from_numpy(
                    (known[0][:, None] == known[0]) | (known[1][:, None] == known[1]) | (known[0][:, None] == known[1])
                ).to(self.device)
                left, right = (self([side[row] for row in batch]) for side in (lefts, rights))
                loss = info_nce(left, right, 1 / settings.temperature, alike) + self._orthogonality()
                optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                schedule.step()
                done += 1
                if settings.method == "adalora":
                    self.model.base_model.update_and_allocate(done)
            recall = self._recall(lefts, rights, test)
            log.info("epoch %d: held-out recall %.3f, untuned %.3f", epoch + 1, recall, best.values[0])
            if not best.take(recall, self):
                break
        best.restore(self)
        return best

    def forward(self, texts: list[str]) -> torch.Tensor:
        """Unit vectors (B, d) of `texts`."""
        tokens, mask = self.base.tokens(texts)
        tokens, mask = tokens.to(self.device), mask.to(self.device)
        low = self.settings.precision == "bf16" or (
            self.settings.precision == "auto" and (self.device.type == "cuda" or multiplies_bf16())
        )
        with torch.autocast(self.device.type, torch.bfloat16, enabled=low):
            hidden = self.model(input_ids=tokens, attention_mask=mask).last_hidden_state
        return functional.normalize(pooled(hidden, mask, self.base.pooling, self.head), dim=-1)

    def write_into(self, folder: Path) -> None:
        """Merge the additions and write the model's folder."""
        merged = self.model if self.settings.method == "head" else self.model.merge_and_unload()
        with quiet():
            merged.save_pretrained(folder)
            self.base.tokenizer_.save_pretrained(folder)
        write_json({"pooling": self.base.pooling, "max_tokens": self.base.max_tokens}, folder / POOLING_FILE)
        if self.settings.method == "head" or self.base.head_ is not None:
            write_safetensors({"weight": self.head.detach().cpu().numpy()}, folder / HEAD_FILE)

    def _trained(self) -> list[torch.nn.Parameter]:
        return [value for value in self.parameters() if value.requires_grad]

    def _orthogonality(self) -> torch.Tensor | float:
        """AdaLoRA's penalty: its factors P and Q should have orthonormal columns and rows, (‖PᵀP − 1‖ + ‖QQᵀ − 1‖)."""
        if self.settings.method != "adalora":
            return 0.0
        grams = [
            value @ value.T if "lora_A" in name else value.T @ value
            for name, value in self.model.named_parameters() if "lora_A" in name or "lora_B" in name
        ]
        eye = torch.eye
        return 0.5 * torch.stack([(gram - eye(len(gram), device=gram.device)).norm() for gram in grams]).mean()

    @torch.no_grad()
    def _recall(self, lefts: list[str], rights: list[str], rows: npt.NDArray[np.int64]) -> float:
        self.eval()
        size = self.settings.batch_size
        vectors = [
            torch.cat([self([side[row] for row in rows[begin : begin + size]]) for begin in range(0, len(rows), size)])
            for side in (lefts, rights)
        ]
        return sum(recalls(vectors[0], vectors[1])) / 2
