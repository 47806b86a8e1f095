"""Items named by guardrails → their codes and slots, or a refusal."""

from collections.abc import Iterable, Mapping

import numpy as np
import numpy.typing as npt
import pandas as pd

from ltexpo.data.ids import IdMap
from ltexpo.errors import ConfigError
from ltexpo.rerank.settings import GuardrailSettings


def refuse_unknown(rails: GuardrailSettings, item_ids: IdMap) -> None:
    """Raise `ConfigError` when a guardrail names an item that the catalogue does not hold."""
    _codes(rails.pinned, item_ids, "pinned")
    _codes(rails.banned, item_ids, "banned")


def pin_slots(pinned: Mapping[str, int], item_ids: IdMap) -> npt.NDArray[np.int32] | None:
    """(I,) slot from 0 of every pinned item, −1 for the others; None when nothing is pinned."""
    if not pinned:
        return None
    slots = np.full(len(item_ids), -1, dtype=np.int32)
    slots[_codes(pinned, item_ids, "pinned")] = np.fromiter(pinned.values(), np.int32) - 1
    return slots


def _codes(ids: Iterable[str], item_ids: IdMap, name: str) -> npt.NDArray[np.integer]:
    wanted = pd.Series(list(ids), dtype="str")
    codes = item_ids.codes_or_missing(wanted)
    unknown = wanted[codes < 0]
    if len(unknown):
        raise ConfigError(
            f"guardrails.{name}: item_id '{unknown.iloc[0]}' is not in items ({len(unknown)} such ids). "
            "Correct it or take it out."
        )
    return codes
