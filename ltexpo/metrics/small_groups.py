"""The group of each user → the same with small groups merged, so that no table tells of a few people."""

import numpy as np
import numpy.typing as npt
import pandas as pd

from ltexpo.errors import ConfigError

LEAST_USERS = 20
"""A group with fewer users is merged with others, unless a setting says otherwise."""
_NAMED = 3
"""A merged group of more groups than these is named by their number."""


def merge_small(
    groups: "pd.Series[str]", *, least: int = LEAST_USERS, within: npt.NDArray[np.int64] | None = None
) -> tuple["pd.Series[str]", dict[str, tuple[str, ...]]]:
    """`groups` (one row per user) with those of fewer than `least` users made one, and its name → what it holds.

    A merged group that is still too small takes in the next larger one, so that nothing can be worked out as what is
    left of the total. `within` (U,): the arm of each user; a group is as large as in the arm that holds fewest of it.
    Ties go by name; gaps stay. Fewer users than `least` in all are one group. Raises `ConfigError` for `least` < 1.
    """
    if least < 1:
        raise ConfigError(f"the least number of users of a group is {least}. Give 1 or more.")
    if within is None:
        within = np.zeros(len(groups), dtype=np.int64)
    arms = np.unique(within)
    counts = pd.DataFrame(
        {arm: groups[within == arm].value_counts() for arm in arms}, index=sorted(groups.dropna().unique())
    ).fillna(0).astype(np.int64)
    order = sorted(counts.index, key=lambda name: (counts.loc[name].min(), name))
    merged: list[str] = [name for name in order if counts.loc[name].min() < least]
    for name in order[len(merged):]:
        if not merged or counts.loc[merged].sum().min() >= least:
            break
        merged.append(name)
    if len(merged) < 2:
        return groups, {}
    held = tuple(sorted(merged))
    name = " + ".join(held) if len(held) <= _NAMED else f"other ({len(held)} groups)"
    return groups.where(~groups.isin(held), name), {name: held}
