"""What a pair of encoders learns from → its key; the pair's folder ↔ one file under that key, beside the vectors.

Training takes minutes and gives the same for the same, so a later run takes what an earlier one kept. The file is
renamed into place when complete and carries check sums: what is damaged is trained anew. Imports no torch.
"""

import hashlib
import json
import logging
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from ltexpo.data.files import replacing
from ltexpo.encoders.encoded import State
from ltexpo.encoders.image import CONFIG_FILE
from ltexpo.encoders.pair_settings import HISTORY_FILE, PairSettings
from ltexpo.encoders.source import model_files

log = logging.getLogger("ltexpo")


def is_pair(folder: Path) -> bool:
    """Whether ltexpo trained the pair in `folder`."""
    return (folder / HISTORY_FILE).is_file() and (folder / CONFIG_FILE).is_file()


def pair_key(
    parts: Sequence[Sequence[str]], pictures: Iterable[bytes | State], settings: PairSettings, *, seed: int,
    versions: Mapping[str, str],
) -> str:
    """Hex digest of all that decides a pair: texts and pictures (see `picture_keys`) in their order, settings but for
    the device, seed, and the versions of what trains."""
    told = hashlib.blake2b(digest_size=16)
    told.update(json.dumps([settings.model_dump(mode="json", exclude={"device"}), seed, dict(versions)]).encode())
    for part, picture in zip(parts, pictures, strict=True):
        known = picture.name if isinstance(picture, State) else picture.hex()
        told.update(json.dumps([list(part), known]).encode())
    return told.hexdigest()


def kept_pair(cache: Path, key: str) -> Path:
    """The file in the folder `cache` that keeps the pair with this key, there or not yet."""
    return cache / f"pair-{key}.zip"


def keep_pair(folder: Path, file: Path) -> None:
    """Write the pair in `folder` as `file`."""
    with replacing(file) as beside, zipfile.ZipFile(beside, "w") as kept:
        for path in model_files(folder):
            kept.writestr(zipfile.ZipInfo(path.name), path.read_bytes())  # without the times of the files


def take_pair(file: Path, folder: Path) -> bool:
    """Write the pair that `file` keeps into `folder`; False where there is none, or a damaged one, which is said."""
    if not file.is_file():
        return False
    try:
        with zipfile.ZipFile(file) as kept:
            found = {name: kept.read(name) for name in kept.namelist()}  # compares the check sums
        if any(name != Path(name).name for name in found):
            raise ValueError("it names files outside its folder")
    except Exception as error:  # zipfile meets arbitrary bytes here; it fails in more ways than can be listed
        log.warning("%s: is not a readable pair (%s); it is trained anew.", file, error)
        return False
    folder.mkdir()
    for name, content in found.items():
        (folder / name).write_bytes(content)
    return True


def copy_pair(source: Path, folder: Path) -> None:
    """The files of the pair in `source`, into the new folder `folder`."""
    folder.mkdir()
    for path in model_files(source):
        (folder / path.name).write_bytes(path.read_bytes())
