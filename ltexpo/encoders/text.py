"""Texts → unit vectors of a transformers model: tokens, batches of like length, pooled hidden states."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field

from ltexpo.data.files import read_json, write_json
from ltexpo.data.output_folder import output_folder
from ltexpo.encoders.cache import write_safetensors
from ltexpo.encoders.device import RunSettings, choose_device, chosen_precision
from ltexpo.encoders.encoded import State
from ltexpo.encoders.encoder import Computed, Encoder
from ltexpo.encoders.source import MINILM, digest, model_files, model_folder
from ltexpo.encoders.torchvision_ops import ensure_torchvision
from ltexpo.errors import ConfigError

if TYPE_CHECKING:
    import torch

POOLING_FILE = "ltexpo_text.json"
"""Beside a saved model: how its hidden states become a vector."""
HEAD_FILE = "ltexpo_head.safetensors"
"""Beside a model tuned with a head: `weight` (d, hidden) of a linear map after pooling."""
_CHARACTERS_PER_TOKEN = 64
"""A text longer than this many characters a token is cut before it is tokenised; no tokenizer packs more."""


class TextOptions(RunSettings):
    """How a transformers model encodes texts."""

    pooling: Literal["auto", "mean", "cls"] = "auto"
    """Mean of the tokens' hidden states, or that of the first; auto: as the model's folder notes, else mean."""
    max_tokens: int = Field(128, ge=3)
    """Longer texts are cut here, or at the model's own limit if that is lower, and counted as truncated."""


class TextSettings(TextOptions):
    """A transformers model as text encoder."""

    model: str = MINILM
    """'minilm' (extra ltexpo[minilm]), a folder of a saved model, or an id of the Hugging Face hub."""


class TextEncoder(Encoder):
    """Pooled hidden states of an encoder model; the weights are loaded when the first text has to be computed."""

    what: ClassVar[str] = "texts"
    chunk: ClassVar[int] = 8_192

    def __init__(self, settings: TextSettings | None = None) -> None:
        self.settings = settings or TextSettings()
        self.folder = model_folder(self.settings.model, field="model")
        config = self.folder / "config.json"
        if not config.is_file():
            raise ConfigError(f"'model' is '{self.settings.model}': holds no config.json. Give a saved model's folder.")
        self._config: dict[str, Any] = read_json(config)
        self.pooling = _pooling(self.folder) if self.settings.pooling == "auto" else self.settings.pooling

    @classmethod
    def load(cls, model: str | Path) -> Self:
        """The encoder behind a name or folder, with the default settings."""
        return cls(TextSettings(model=str(model)))

    def save(self, out: Path) -> Path:
        """Write weights, tokenizer and pooling into the folder `out`, all or nothing; `load` reads it."""
        with output_folder(out, verb="text encoder", inputs=(self.folder,)) as folder:
            with quiet():
                self.model_.save_pretrained(folder)  # type: ignore[operator]
            self.tokenizer_.save_pretrained(folder)
            write_json({"pooling": self.pooling, "max_tokens": self.max_tokens}, folder / POOLING_FILE)
            if self.head_ is not None:
                write_safetensors({"weight": self.head_.cpu().numpy()}, folder / HEAD_FILE)
        return out

    @cached_property
    def identity(self) -> str:
        """See `Encoder.identity`."""
        return digest(model_files(self.folder), self.pooling, self.max_tokens, chosen_precision(self.settings))

    @cached_property
    def width(self) -> int:
        """See `Encoder.width`."""
        if (self.folder / HEAD_FILE).is_file():
            from safetensors import safe_open

            with safe_open(self.folder / HEAD_FILE, framework="np") as file:
                return int(file.get_slice("weight").get_shape()[0])
        for name in ("hidden_size", "d_model", "dim", "n_embd"):
            if name in self._config:
                return int(self._config[name])
        raise ConfigError(f"'model' is '{self.settings.model}': its config.json has no hidden_size.")

    @cached_property
    def max_tokens(self) -> int:
        """Tokens that a text may have, the special ones included."""
        limits = [self.settings.max_tokens]
        noted = self.folder / POOLING_FILE
        if noted.is_file():
            limits.append(int(read_json(noted)["max_tokens"]))
        if "max_position_embeddings" in self._config:
            # RoBERTa and its kin number positions from the padding id on.
            offset = self._config.get("pad_token_id") or 0
            limits.append(int(self._config["max_position_embeddings"]) - (offset + 1 if offset else 0))
        return min(limits)

    @cached_property
    def _run(self) -> "tuple[torch.device, torch.dtype]":
        return choose_device(self.settings)

    @cached_property
    def tokenizer_(self) -> Any:
        """The model's own tokenizer."""
        from transformers import AutoTokenizer

        with quiet():
            return AutoTokenizer.from_pretrained(self.folder, local_files_only=True)

    @cached_property
    def model_(self) -> "torch.nn.Module":
        """The model on its device, in its precision."""
        device, dtype = self._run
        ensure_torchvision()
        from transformers import AutoModel

        with quiet():
            try:
                model: Any = AutoModel.from_pretrained(self.folder, local_files_only=True, dtype=dtype)
            except (OSError, ValueError, RuntimeError) as error:
                raise ConfigError(
                    f"'model' is '{self.settings.model}': transformers cannot load it ({str(error).splitlines()[0]}). "
                    "Give a folder with config.json, model.safetensors and the tokenizer."
                ) from error
        if model.config.is_encoder_decoder:
            model = model.get_encoder()
        loaded: torch.nn.Module = model.eval().to(device)
        return loaded

    @cached_property
    def head_(self) -> "torch.Tensor | None":
        """(d, hidden) linear map after pooling, where the model was tuned with one."""
        if not (self.folder / HEAD_FILE).is_file():
            return None
        from safetensors.torch import load_file

        device, _ = self._run
        return load_file(self.folder / HEAD_FILE)["weight"].to(device)

    def _read(self, contents: Sequence[object]) -> list[bytes | State]:
        return [text_bytes(content) for content in contents]

    def _compute(self, contents: list[bytes]) -> Iterator[Computed]:
        import torch

        longest = self.max_tokens * _CHARACTERS_PER_TOKEN
        texts = [content.decode() for content in contents]
        cut = np.array([len(text) > longest for text in texts])
        ids = self.tokenizer_([text[:longest] for text in texts], verbose=False)["input_ids"]
        lengths = np.array([len(row) for row in ids])
        specials = self.tokenizer_.num_special_tokens_to_add()
        long = np.flatnonzero(lengths > self.max_tokens)
        if len(long):
            again = self.tokenizer_(
                [texts[row][:longest] for row in long], truncation=True, max_length=self.max_tokens
            )["input_ids"]
            for row, tokens in zip(long, again, strict=True):
                ids[row] = tokens
        states = np.where((lengths > self.max_tokens) | cut, State.TRUNCATED, State.OK).astype(np.uint8)
        states[lengths <= specials] = State.WORDLESS
        lengths = np.minimum(lengths, self.max_tokens)
        rows = np.argsort(-lengths, kind="stable")
        wordless = rows[states[rows] == State.WORDLESS]
        yield wordless, np.zeros((len(wordless), self.width), dtype=np.float32), states[wordless]
        rows = rows[states[rows] != State.WORDLESS]
        size = self.settings.batch_size
        for begin in range(0, len(rows), size):
            batch = rows[begin : begin + size]
            tokens, mask = self._pad([ids[row] for row in batch], int(lengths[batch].max()))
            with torch.inference_mode():
                vectors = self.pool(tokens, mask).cpu().numpy()
            yield batch, vectors, states[batch]

    def _pad(self, ids: list[list[int]], width: int) -> "tuple[torch.Tensor, torch.Tensor]":
        """Token ids and attention mask, (B, width), on the CPU."""
        import torch

        pad = self.tokenizer_.pad_token_id or 0
        mask = np.arange(width) < np.array([len(row) for row in ids])[:, None]
        tokens: npt.NDArray[np.int64] = np.full((len(ids), width), pad, dtype=np.int64)
        tokens[mask] = np.concatenate([np.asarray(row, dtype=np.int64) for row in ids])
        return torch.from_numpy(tokens), torch.from_numpy(mask.astype(np.int64))

    def tokens(self, texts: list[str]) -> "tuple[torch.Tensor, torch.Tensor]":
        """Token ids and attention mask, (B, T) on the CPU, of texts cut at `max_tokens`."""
        ids = self.tokenizer_(texts, truncation=True, max_length=self.max_tokens)["input_ids"]
        return self._pad(ids, max(len(row) for row in ids))

    def pool(self, tokens: "torch.Tensor", mask: "torch.Tensor") -> "torch.Tensor":
        """Vectors (B, d) float32, not normalised, of token ids and attention mask (B, T)."""
        device, _ = self._run
        tokens, mask = tokens.to(device, non_blocking=True), mask.to(device, non_blocking=True)
        hidden = self.model_(input_ids=tokens, attention_mask=mask).last_hidden_state
        return pooled(hidden, mask, self.pooling, self.head_)


def pooled(
    hidden: "torch.Tensor", mask: "torch.Tensor", pooling: str, head: "torch.Tensor | None" = None
) -> "torch.Tensor":
    """(B, T, hidden) states → (B, d) float32: the first token, or the mean of those in `mask`; then the `head`."""
    if pooling == "cls":
        vectors = hidden[:, 0].float()
    else:
        weight = mask.unsqueeze(-1).float()
        vectors = (hidden.float() * weight).sum(dim=1) / weight.sum(dim=1).clamp(min=1)
    return vectors if head is None else vectors @ head.float().T


def text_bytes(content: object) -> bytes | State:
    """A text with runs of white space made one blank, as UTF-8; half surrogates become question marks."""
    if not isinstance(content, str):
        if content is None or (
            pd.api.types.is_scalar(content) and pd.isna(content)  # type: ignore[call-overload]
        ):
            return State.ABSENT
        content = str(content)
    text = " ".join(content.split())
    return text.encode("utf-8", "replace") if text else State.ABSENT


def _pooling(folder: Path) -> str:
    """What the folder notes: ours, or that of sentence-transformers; otherwise the mean."""
    if (folder / POOLING_FILE).is_file():
        return str(read_json(folder / POOLING_FILE)["pooling"])
    for noted in sorted(folder.glob("*_Pooling/config.json")):
        given = read_json(noted)
        if given.get("pooling_mode_cls_token") or given.get("pooling_mode") == "cls":
            return "cls"
    return "mean"


@contextmanager
def quiet() -> Iterator[None]:
    """Keep transformers' own bars and load reports out of ours while a model is loaded."""
    from transformers.utils import logging

    transformers_logging: Any = logging
    before = transformers_logging.get_verbosity()
    bar = transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(before)
        if bar:
            transformers_logging.enable_progress_bar()
