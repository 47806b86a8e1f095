"""Groups and their users → the groups that are large enough to be named."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

OTHERS = "others"


def named_groups(groups: "pd.Series[Any]", users: "pd.Series[Any]", *, least: int) -> "pd.Series[Any]":
    """`groups` (n,) of rows, with those of fewer than `least` different `users` (n,) as "others".

    "others" too holds at least `least` users, or one could work it out from the total: the smallest of the other
    groups go into it until it does. Ties go by name.
    """
    pairs = pd.DataFrame({"group": groups.to_numpy(object), "user": users.to_numpy()}).drop_duplicates()
    sizes = pairs.groupby("group")["user"].size().reset_index(name="size")
    sizes = sizes.assign(name=sizes["group"].astype(str)).sort_values(["size", "name"], kind="stable")
    order, size = sizes["group"].to_numpy(object), sizes["size"].to_numpy(np.int64)
    count = int((size < least).sum())
    while 0 < count < len(order) and _users_of(pairs, order[:count]) < least:
        count += 1
    merged = set(order[:count])
    return groups.where(~groups.isin(merged), OTHERS) if merged else groups


def _users_of(pairs: pd.DataFrame, groups: npt.NDArray[np.object_]) -> int:
    return int(pairs.loc[pairs["group"].isin(set(groups)), "user"].nunique())
