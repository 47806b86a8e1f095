"""Events before the test → each user's tenure, activity and value, fixed before anything is shown."""

import numpy as np
import numpy.typing as npt
import pandas as pd

from ltexpo.columns import Columns, EventKind
from ltexpo.data.split import as_utc


def user_segments(
    users: "pd.Index[str]", events: pd.DataFrame | None, items: pd.DataFrame, *, until: str | None
) -> pd.DataFrame:
    """One row per user of `users`, in order: tenure, activity, value; from events before `until` (None: all).

    tenure: 'new' (no event yet), 'first week' of the log's last seven days, or 'earlier'. activity: 'none', or thirds
    of interactions among those who have any; value: 'none', or thirds of what was spent (purchases where prices are
    not known) among those who bought. Ties fall into the lower third.
    """
    if events is None:
        nothing = pd.Series("none", index=users)
        return pd.DataFrame({"tenure": "new", "activity": nothing, "value": nothing}, index=users)
    if until is not None:
        events = events[events[Columns.Timestamp] < as_utc(until)]
    first = events.groupby(Columns.User)[Columns.Timestamp].min().reindex(users)
    latest = events[Columns.Timestamp].max()
    recent = first > latest - pd.Timedelta(days=7)
    tenure = np.select([first.isna(), recent], ["new", "first week"], "earlier")
    acted = events[events[Columns.Event].isin(EventKind.Interactions)]
    count = acted[Columns.User].value_counts().reindex(users).fillna(0.0)
    bought = acted[acted[Columns.Event] == EventKind.Purchase]
    price = bought[Columns.Price] if Columns.Price in bought.columns else None
    if price is None or price.isna().all():
        known = items.set_index(Columns.Item).get(Columns.Price)
        price = pd.Series(1.0, index=bought.index) if known is None else bought[Columns.Item].map(known)
    spent = price.fillna(0.0).groupby(bought[Columns.User]).sum().reindex(users).fillna(0.0)
    return pd.DataFrame({
        "tenure": tenure, "activity": _thirds(np.asarray(count, np.float64)),
        "value": _thirds(np.asarray(spent, np.float64)),
    }, index=users)


def _thirds(values: npt.NDArray[np.float64]) -> npt.NDArray[np.object_]:
    names = np.full(len(values), "none", dtype=object)
    some = values > 0
    if some.any():
        low, high = np.quantile(values[some], [1 / 3, 2 / 3])
        names[some] = np.select([values[some] <= low, values[some] <= high], ["low", "middle"], "high")
    return names
