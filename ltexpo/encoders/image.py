"""Pictures, and titles in the same space → unit vectors of an open_clip model."""

import logging
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import cached_property, partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from PIL import Image
from pydantic import Field

from ltexpo.data.files import read_json, replacing, write_json
from ltexpo.data.images import image_path, load_image
from ltexpo.data.output_folder import output_folder
from ltexpo.encoders.cache import VectorCache
from ltexpo.encoders.device import RunSettings, choose_device, chosen_precision
from ltexpo.encoders.encoded import Encoded, State
from ltexpo.encoders.encoder import Computed, Encoder, keys_of
from ltexpo.encoders.source import digest, model_files, model_folder
from ltexpo.encoders.text import quiet, text_bytes
from ltexpo.encoders.torchvision_ops import ensure_torchvision
from ltexpo.errors import ConfigError, TableError

if TYPE_CHECKING:
    import torch

CONFIG_FILE, WEIGHTS_FILE = "open_clip_config.json", "open_clip_model.safetensors"
LOCAL, _HUB = "local-dir:", "hf-hub:"
_READ_TOGETHER = 64
_MAX_ASPECT = 20
"""Of a longer strip only the middle is seen: resized by its short side it would fill the memory."""


class ImageOptions(RunSettings):
    """How an open_clip model encodes pictures."""

    workers: int = Field(0, ge=0)
    """Threads that read and decode pictures; 0: one for each core."""


class ImageSettings(ImageOptions):
    """An open_clip model as encoder of pictures and titles."""

    model: str
    """An architecture of open_clip, e.g. ViT-B-32; or a folder with open_clip_config.json (also as local-dir:PATH); or
    hf-hub:OWNER/NAME."""
    pretrained: str | None = None
    """With an architecture: the tag of its weights, e.g. laion2b_s34b_b79k, or a file of weights."""


class ImageEncoder(Encoder):
    """The image tower, with the model's own preprocessing; `titles` is its text tower under the same laws.

    A content is the bytes of a picture file, or a path relative to `root`.
    """

    what: ClassVar[str] = "pictures"
    chunk: ClassVar[int] = 512

    def __init__(self, settings: ImageSettings) -> None:
        self.settings = settings
        name = settings.model.removeprefix(LOCAL)
        self.folder: Path | None = None
        if settings.model.startswith(_HUB):
            self.folder = model_folder(settings.model.removeprefix(_HUB), field="model")
        elif settings.model.startswith(LOCAL) or Path(name).expanduser().is_dir():
            self.folder = model_folder(name, field="model")
        if self.folder is None:
            self._checkpoint: Path | None = _checkpoint(settings)
        else:
            if not (self.folder / CONFIG_FILE).is_file():
                raise ConfigError(
                    f"'model' is '{settings.model}': holds no {CONFIG_FILE}. Give the folder of an open_clip model."
                )
            if settings.pretrained is not None:
                raise ConfigError("'pretrained' goes with an architecture; a folder brings its own weights. Remove it.")
            if not any(self.folder.glob("*.safetensors")):
                raise ConfigError(f"'model' is '{settings.model}': holds no weights as .safetensors.")
            self._checkpoint = None

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """The encoder in `folder`, with the default settings."""
        return cls(ImageSettings(model=f"{LOCAL}{folder}"))

    def save(self, out: Path) -> Path:
        """Write config, weights and tokenizer into the folder `out`, all or nothing; `load` reads it."""
        from safetensors.torch import save_model

        inputs = () if self.folder is None else (self.folder,)
        with output_folder(out, verb="image encoder", inputs=inputs) as folder:
            write_json({"model_cfg": self.config, "preprocess_cfg": self._preprocess_cfg()}, folder / CONFIG_FILE)
            with replacing(folder / WEIGHTS_FILE) as beside:
                save_model(self.model_, str(beside))
            if hasattr(self.tokenizer_, "tokenizer"):
                self.tokenizer_.tokenizer.save_pretrained(folder)
        return out

    def encode(
        self, contents: Sequence[object], *, root: Path | None = None, cache: VectorCache | None = None
    ) -> Encoded:
        """Vectors of pictures, (n, d); paths start from `root` and may not leave it. See `Encoder.encode`."""
        return self._encode(contents, partial(self._read, root=root), cache)

    def keys(self, contents: Sequence[object], *, root: Path | None = None) -> list[bytes | State]:
        """What each picture is known by; see `Encoder.keys`."""
        return picture_keys(contents, root, workers=self._workers)

    @cached_property
    def titles(self) -> "TitleEncoder":
        """The text tower: titles → vectors that may be compared with those of pictures."""
        return TitleEncoder(self)

    @cached_property
    def config(self) -> dict[str, Any]:
        """The `model_cfg` of open_clip."""
        if self.folder is not None:
            given: dict[str, Any] = read_json(self.folder / CONFIG_FILE)["model_cfg"]
            return given
        with open_clip() as library:
            built_in: dict[str, Any] = library.get_model_config(self.settings.model)
        return built_in

    @cached_property
    def identity(self) -> str:
        """See `Encoder.identity`."""
        files = model_files(self.folder) if self.folder is not None else [self._checkpoint or Path()]
        given = self.settings.pretrained  # a tag decides the preprocessing too, the path of a file decides nothing
        tag = None if given is None or Path(given).is_file() else given
        return digest(files, self.config, chosen_precision(self.settings), tag)

    @cached_property
    def width(self) -> int:
        """See `Encoder.width`."""
        return int(self.config["embed_dim"])

    @cached_property
    def _loaded(self) -> "tuple[torch.nn.Module, Any]":
        device, dtype = choose_device(self.settings)
        name = self.settings.model if self.folder is None else f"{LOCAL}{self.folder}"
        with open_clip() as library, quiet():
            try:
                model, preprocess = library.create_model_from_pretrained(
                    name, pretrained=self.settings.pretrained,  # a tag also decides the preprocessing
                    precision="bf16" if "bfloat16" in str(dtype) else "fp32", device=device,
                )
            except (OSError, ValueError, RuntimeError) as error:
                raise ConfigError(
                    f"'model' is '{self.settings.model}': open_clip cannot load it ({str(error).splitlines()[0]})."
                ) from error
        return model.eval(), preprocess

    @property
    def model_(self) -> "torch.nn.Module":
        """The model on its device, in its precision."""
        return self._loaded[0]

    @property
    def preprocess_(self) -> Any:
        """The model's own preprocessing: picture → (3, H, W) float32."""
        return self._loaded[1]

    @cached_property
    def tokenizer_(self) -> Any:
        """The model's own tokenizer: texts → (n, context) ids."""
        name = self.settings.model if self.folder is None else f"{LOCAL}{self.folder}"
        with open_clip() as library, quiet():
            return library.get_tokenizer(name)

    def _preprocess_cfg(self) -> dict[str, Any]:
        with open_clip() as library:
            given: dict[str, Any] = library.get_model_preprocess_cfg(self.model_)
        return given

    def _read(self, contents: Sequence[object], root: Path | None = None) -> list[bytes | State]:
        def read(begin: int) -> list[bytes | State]:
            return [picture_bytes(content, root) for content in contents[begin : begin + _READ_TOGETHER]]

        with ThreadPoolExecutor(self._workers) as pool:  # a job for each file would cost more than reading it
            return [file for files in pool.map(read, range(0, len(contents), _READ_TOGETHER)) for file in files]

    def _compute(self, contents: list[bytes]) -> Iterator[Computed]:
        import torch

        device, dtype = choose_device(self.settings)
        model: Any = self.model_
        waiting: list[tuple[int, torch.Tensor]] = []
        broken: list[int] = []

        def seen() -> Computed:
            batch = torch.stack([picture for _, picture in waiting]).to(device, dtype, non_blocking=True)
            with torch.inference_mode():
                vectors = model.encode_image(batch).float().cpu().numpy()
            rows = np.array([row for row, _ in waiting], dtype=np.int64)
            waiting.clear()
            return rows, vectors, np.full(len(rows), State.OK, dtype=np.uint8)

        for row, picture in enumerate(self._decoded(contents)):
            if picture is None:
                broken.append(row)
                continue
            waiting.append((row, picture))
            if len(waiting) == self.settings.batch_size:
                yield seen()
        if waiting:
            yield seen()
        yield (
            np.array(broken, dtype=np.int64), np.zeros((len(broken), self.width), dtype=np.float32),
            np.full(len(broken), State.UNREADABLE, dtype=np.uint8),
        )

    def _decoded(self, contents: list[bytes]) -> "Iterator[torch.Tensor | None]":
        """Preprocessed pictures in order, decoded ahead by threads: Pillow and torch let go of the interpreter lock."""
        ahead = self.settings.batch_size + 2 * self._workers
        with ThreadPoolExecutor(self._workers) as pool:
            jobs = (pool.submit(decoded, content, self.preprocess_) for content in contents)
            waiting = list(islice(jobs, ahead))
            while waiting:
                yield waiting.pop(0).result()
                waiting.extend(islice(jobs, 1))

    @property
    def _workers(self) -> int:
        return self.settings.workers or os.cpu_count() or 1


class TitleEncoder(Encoder):
    """The text tower of an `ImageEncoder`."""

    what: ClassVar[str] = "titles"
    chunk: ClassVar[int] = 8_192

    def __init__(self, pictures: ImageEncoder) -> None:
        self.pictures = pictures

    @cached_property
    def identity(self) -> str:
        """See `Encoder.identity`."""
        return digest((), "titles", self.pictures.identity)

    @property
    def width(self) -> int:
        """See `Encoder.width`."""
        return self.pictures.width

    def _read(self, contents: Sequence[object]) -> list[bytes | State]:
        return [text_bytes(content) for content in contents]

    def _compute(self, contents: list[bytes]) -> Iterator[Computed]:
        import torch

        device, _ = choose_device(self.pictures.settings)
        model, tokenizer = self.pictures.model_, self.pictures.tokenizer_
        texts = [content.decode() for content in contents]
        longest = tokenizer.context_length * 64
        lengths = _token_counts(tokenizer, [text[:longest] for text in texts])
        # a word without a blank is one token however long it is, and what was cut of it was not read
        cut = np.array([len(text) > longest for text in texts], dtype=bool)
        states = np.where((lengths > tokenizer.context_length) | cut, State.TRUNCATED, State.OK).astype(np.uint8)
        rows = np.argsort(-lengths, kind="stable")
        size = self.pictures.settings.batch_size
        for begin in range(0, len(rows), size):
            batch = rows[begin : begin + size]
            tokens = tokenizer([texts[row][:longest] for row in batch]).to(device)
            with torch.inference_mode():
                vectors = model.encode_text(tokens).float().cpu().numpy()  # type: ignore[operator]
            yield batch, vectors, states[batch]


def _token_counts(tokenizer: Any, texts: list[str]) -> "np.ndarray[Any, np.dtype[np.int64]]":
    """Tokens that each text would have without a limit, special ones included, (n,)."""
    inner = getattr(tokenizer, "tokenizer", None)
    if inner is None:  # open_clip's own byte-pair tokenizer puts a start and an end around
        return np.array([len(tokenizer.encode(text)) + 2 for text in texts], dtype=np.int64)
    return np.array([len(ids) for ids in inner(texts, verbose=False)["input_ids"]], dtype=np.int64)


def picture_bytes(content: object, root: Path | None) -> bytes | State:
    """The bytes of a picture file given as bytes or as a path inside `root`."""
    if isinstance(content, bytes):
        return content or State.ABSENT
    if not isinstance(content, str):
        return State.ABSENT if content is None or content != content else State.UNREADABLE
    if not content:
        return State.ABSENT
    try:
        return image_path(content, root).read_bytes()
    except TableError as error:
        return State[str(error).split(":", 1)[0].upper()]
    except (OSError, ValueError):  # no right to read it, or a name that no file can have
        return State.UNREADABLE


def picture_keys(
    contents: Sequence[object], root: Path | None, *, workers: int | None = None
) -> list[bytes | State]:
    """What pictures are known by, or why there are none; of the files no more are in memory than are being read."""
    def read(begin: int) -> list[bytes | State]:
        return keys_of([picture_bytes(content, root) for content in contents[begin : begin + _READ_TOGETHER]])

    with ThreadPoolExecutor(workers or os.cpu_count()) as pool:
        return [key for keys in pool.map(read, range(0, len(contents), _READ_TOGETHER)) for key in keys]


def decoded(content: bytes, preprocess: Any) -> "torch.Tensor | None":
    """The preprocessed picture (3, H, W), or None when the bytes are not one."""
    try:
        return preprocess(_middle(load_image(content, None)))  # type: ignore[no-any-return]
    except TableError:
        return None


def _middle(picture: Image.Image) -> Image.Image:
    width, height = picture.size
    short, long = min(width, height), max(width, height)
    if long <= _MAX_ASPECT * short:
        return picture
    begin = (long - _MAX_ASPECT * short) // 2
    end = begin + _MAX_ASPECT * short
    return picture.crop((begin, 0, end, height) if width > height else (0, begin, width, end))


def _checkpoint(settings: ImageSettings) -> Path:
    """The file of weights behind an architecture and its tag, fetched when it is not here yet."""
    with open_clip() as library:
        if settings.model not in library.list_models():
            raise ConfigError(
                f"'model' is '{settings.model}': neither a folder nor an architecture of open_clip "
                "(python -c 'import open_clip; print(open_clip.list_models())')."
            )
        if settings.pretrained is None:
            raise ConfigError(
                f"'pretrained' is missing: '{settings.model}' is an architecture without weights. Give a tag or a file."
            )
        if Path(settings.pretrained).is_file():
            return Path(settings.pretrained)
        found = library.get_pretrained_cfg(settings.model, settings.pretrained)
        if not found:
            tags = ", ".join(library.list_pretrained_tags_by_model(settings.model)) or "none"
            raise ConfigError(f"'pretrained' is '{settings.pretrained}': no such file or tag. Tags: {tags}.")
        try:
            if found.get("hf_hub"):
                _ask_hub(found["hf_hub"])
            return Path(library.download_pretrained(found))
        except Exception as error:  # any of several download clients may have failed
            raise ConfigError(
                f"'pretrained' is '{settings.pretrained}': its weights cannot be fetched ({type(error).__name__}: "
                f"{str(error).splitlines()[0] if str(error) else 'no reason given'}). Give a file of weights."
            ) from error


def _ask_hub(place: str) -> None:
    """Raise at once where weights that are not here cannot be had either: a download would wait and ask again and
    again, for each name that the weights may have. `place` is OWNER/NAME/FILE, as open_clip has it."""
    import huggingface_hub as hub
    from huggingface_hub.errors import HfHubHTTPError
    from huggingface_hub.file_download import repo_folder_name

    repository = "/".join(place.split("/")[:2])
    if (Path(hub.constants.HF_HUB_CACHE) / repo_folder_name(repo_id=repository, repo_type="model")).is_dir():
        return
    with suppress(HfHubHTTPError):  # it answers; what it has is the download's to find out
        hub.get_hf_file_metadata(hub.hf_hub_url(repository, CONFIG_FILE), timeout=10)


@contextmanager
def open_clip() -> Iterator[Any]:
    """The open_clip module; what it says through the root logger while in use goes nowhere.

    Its module-level logging calls would otherwise install a handler there, and each of our lines would show twice.
    """
    ensure_torchvision()
    import open_clip as library

    root, silent = logging.getLogger(), logging.NullHandler()
    root.addHandler(silent)
    try:
        yield library
    finally:
        root.removeHandler(silent)
