"""Rows and their groups → the same with small groups merged, so that no table tells of a few people."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ltexpo.errors import ConfigError

LEAST_USERS = 20
"""A group with fewer users is merged with others, unless a setting says otherwise."""
OTHERS = "others"
"""What merged groups are called where tables of several days are compared."""
_NAMED = 3
"""A merged group of more groups than these is named by their number."""


def merge_small(
    groups: "pd.Series[Any]",
    *,
    least: int = LEAST_USERS,
    users: "pd.Series[Any] | None" = None,
    within: npt.NDArray[np.int64] | None = None,
    name: str | None = None,
) -> tuple["pd.Series[Any]", dict[str, tuple[str, ...]]]:
    """`groups` (n,) with those of fewer than `least` users made one, and its name → what it holds.

    A merged group that is still too small takes in the next larger one, so that nothing can be worked out as what is
    left of the total. `users` (n,): whose row it is, of any number of groups; None: each row is a user. `within` (n,):
    the arm of each row's user; a group is as large as in the arm that holds fewest of it. `name`: what the merged group
    is called, else by what it holds. Ties go by name; gaps stay. Fewer users than `least` in all are one group. Raises
    `ConfigError` for `least` < 1.
    """
    if least < 1:
        raise ConfigError(f"the least number of users of a group is {least}. Give 1 or more.")
    codes, names = pd.factorize(groups)
    people = np.arange(len(groups)) if users is None else pd.factorize(users)[0]
    arms = np.zeros(len(groups), np.int64) if within is None else pd.factorize(within)[0]
    n_people, n_arms = int(people.max(initial=0)) + 1, int(arms.max(initial=0)) + 1
    arm_of = np.zeros(n_people, np.int64)
    arm_of[people] = arms
    group, person = np.divmod(np.unique((codes.astype(np.int64) * n_people + people)[codes >= 0]), n_people)
    sizes = np.bincount(group * n_arms + arm_of[person], minlength=len(names) * n_arms)
    sizes = sizes.reshape(len(names), n_arms).min(axis=1)

    def held_by(some: Sequence[int]) -> int:
        there = np.unique(person[np.isin(group, some)])
        return int(np.bincount(arm_of[there], minlength=n_arms).min())

    order = sorted(range(len(names)), key=lambda code: (sizes[code], str(names[code])))
    count = int((sizes < least).sum())
    while 0 < count < len(order) and held_by(order[:count]) < least:
        count += 1
    held = tuple(sorted(str(names[code]) for code in order[:count]))
    if name is None:
        name = " + ".join(held) if len(held) <= _NAMED else f"other ({len(held)} groups)"
    if held in ((), (name,)):
        return groups, {}
    return groups.where(~np.isin(codes, order[:count]), name), {name: held}
