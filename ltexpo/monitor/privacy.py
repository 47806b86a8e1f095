"""Groups and their users → the groups that are large enough to be named."""

from typing import Any

import numpy as np
import pandas as pd

OTHERS = "others"


def named_groups(groups: "pd.Series[Any]", users: "pd.Series[Any]", *, least: int) -> "pd.Series[Any]":
    """`groups` (n,) of rows, with those of fewer than `least` different `users` (n,) as "others".

    "others" too holds at least `least` users, or one could work it out from the total: the smallest of the other
    groups go into it until it does. Ties go by name.
    """
    codes, names = pd.factorize(groups)
    people, ids = pd.factorize(users)
    pairs = np.unique(codes.astype(np.int64) * max(len(ids), 1) + people)
    group, person = pairs // max(len(ids), 1), pairs % max(len(ids), 1)
    size = np.bincount(group, minlength=len(names))
    order = sorted(range(len(names)), key=lambda code: (size[code], str(names[code])))
    count = int((size < least).sum())
    while 0 < count < len(order) and len(np.unique(person[np.isin(group, order[:count])])) < least:
        count += 1
    if not count:
        return groups
    merged = np.isin(codes, order[:count])
    return pd.Series(np.where(merged, OTHERS, groups.to_numpy(object)), index=groups.index, name=groups.name)
