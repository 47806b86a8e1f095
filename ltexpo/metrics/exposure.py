"""Rankings + item tiers → who is shown how much: per item, per group, per list, and as measures with intervals."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ltexpo.columns import Columns, Tier
from ltexpo.errors import TableError
from ltexpo.metrics.attention import Attention, attention_weights
from ltexpo.metrics.inequality import entropy, gini, min_share, worst_share
from ltexpo.metrics.intervals import Ratio
from ltexpo.metrics.summary import AllTiers, Measure, clusters_of, measures_table


def item_exposure(
    rankings: pd.DataFrame, items: "pd.Series[Any] | pd.Index[Any]", *, k: int, attention: Attention = "log2"
) -> pd.DataFrame:
    """One row per item of the catalogue `items` (ids), in its order: item_id, shown (times), exposure (Σ a[rank]).

    Only the first `k` ranks count; items never shown have 0. Raises `TableError` for a ranked item outside `items`.
    """
    catalogue = pd.Index(items)
    top = rankings[rankings[Columns.Rank] <= k]
    codes = _codes(catalogue, top[Columns.Item])
    weights = attention_weights(attention, k)[top[Columns.Rank].to_numpy(np.int64) - 1]
    return pd.DataFrame({
        Columns.Item: catalogue,
        "shown": np.bincount(codes, minlength=len(catalogue)),
        Columns.Exposure: np.bincount(codes, weights=weights, minlength=len(catalogue)),
    })


def group_exposure(exposure: pd.DataFrame, groups: "pd.Series[Any]") -> pd.DataFrame:
    """Exposure per group, sorted by group: group, items, exposure, share (of the exposure of all grouped items).

    `exposure` comes from `item_exposure`; `groups` (I,) is row-aligned with it. Items without a group are in no row.
    """
    table = pd.DataFrame({"group": groups.to_numpy(), Columns.Exposure: exposure[Columns.Exposure].to_numpy()})
    grouped = table.groupby("group", sort=True)[Columns.Exposure].agg(["size", "sum"])
    total = float(grouped["sum"].sum())
    return pd.DataFrame({
        "group": grouped.index,
        "items": grouped["size"].to_numpy(),
        Columns.Exposure: grouped["sum"].to_numpy(),
        "share": grouped["sum"].to_numpy() / total if total else np.nan,
    })


def list_exposure(
    rankings: pd.DataFrame, tiers: pd.DataFrame, *, k: int, attention: Attention = "log2"
) -> pd.DataFrame:
    """Per request (the index, sorted), over its first `k` ranks: head, tail, new (Σ a[rank] of each), aplt, arp.

    aplt = share of the list's items that are tail or new, each counting 1 (Abdollahpouri et al., FLAIRS 2019); arp =
    mean number of training interactions of the list's items (Yin et al., VLDB 2012). `tiers` holds item_id,
    interactions, tier of the full catalogue.
    """
    top = rankings[rankings[Columns.Rank] <= k]
    codes = _codes(pd.Index(tiers[Columns.Item]), top[Columns.Item])
    requests, request_ids = pd.factorize(top[Columns.Request], sort=True)
    n = len(request_ids)
    weights = attention_weights(attention, k)[top[Columns.Rank].to_numpy(np.int64) - 1]
    tier = pd.Categorical(tiers[Columns.Tier], categories=list(Tier.All)).codes[codes]
    length = np.bincount(requests, minlength=n)

    def total(values: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        return np.bincount(requests, weights=values, minlength=n).astype(np.float64)

    columns = {name: total(weights * (tier == code)) for code, name in enumerate(Tier.All)}
    columns["aplt"] = total(tier != Tier.All.index(Tier.Head)) / length
    columns["arp"] = total(tiers[Columns.Interactions].to_numpy(np.float64)[codes]) / length
    return pd.DataFrame(columns, index=pd.Index(request_ids, name=Columns.Request))


def exposure_table(
    rankings: pd.DataFrame,
    tiers: pd.DataFrame,
    *,
    k: int,
    attention: Attention = "log2",
    users: "pd.Series[Any] | None" = None,
) -> pd.DataFrame:
    """The measures of `exposure_measures` as columns metric, k, tier, value, low, high, n."""
    return measures_table(exposure_measures(rankings, tiers, k=k, attention=attention, users=users))


def exposure_measures(
    rankings: pd.DataFrame,
    tiers: pd.DataFrame,
    *,
    k: int,
    attention: Attention = "log2",
    users: "pd.Series[Any] | None" = None,
) -> list[Measure]:
    """What the first `k` ranks of all lists expose; `users` (index request_id) gives each list's user for intervals.

    - tail_share: Σ a[rank] over tail and new items / Σ a[rank] over all, the two tiers together
    - exposure_share, tier head, tail or new: the same for one tier; the three add up to 1
    - aplt, arp: means over lists of the columns of `list_exposure`
    - coverage: share of the full catalogue (or of one tier) that is in at least one list
    - gini, entropy (nats), entropy_normalised: of exposure over the full catalogue, items never shown as 0
    """
    per_list = list_exposure(rankings, tiers, k=k, attention=attention)
    n = len(per_list)
    clusters = clusters_of(per_list.index, users)
    spent = {tier: per_list[tier].to_numpy() for tier in Tier.All}
    total = spent[Tier.Head] + spent[Tier.Tail] + spent[Tier.New]

    measures = [
        Measure("tail_share", k, AllTiers, Ratio.of(spent[Tier.Tail] + spent[Tier.New], total, clusters), n),
        *(Measure("exposure_share", k, tier, Ratio.of(spent[tier], total, clusters), n) for tier in Tier.All),
        Measure("aplt", k, AllTiers, Ratio.mean(per_list["aplt"].to_numpy(), clusters), n),
        Measure("arp", k, AllTiers, Ratio.mean(per_list["arp"].to_numpy(), clusters), n),
    ]
    exposure = item_exposure(rankings, tiers[Columns.Item], k=k, attention=attention)
    shown = exposure["shown"].to_numpy() > 0
    tier_of = tiers[Columns.Tier].to_numpy(dtype=object)
    for tier in (AllTiers, *Tier.All):
        in_tier = np.ones(len(shown), dtype=bool) if tier == AllTiers else tier_of == tier
        share = float(shown[in_tier].mean()) if in_tier.any() else float("nan")
        measures.append(Measure("coverage", k, tier, share, n))
    amounts = exposure[Columns.Exposure].to_numpy()
    return [
        *measures,
        Measure("gini", k, AllTiers, gini(amounts), n),
        Measure("entropy", k, AllTiers, entropy(amounts), n),
        Measure("entropy_normalised", k, AllTiers, entropy(amounts, normalised=True), n),
    ]


def group_measures(
    rankings: pd.DataFrame,
    items: "pd.Series[Any]",
    groups: "pd.Series[Any]",
    *,
    k: int,
    attention: Attention = "log2",
) -> list[Measure]:
    """How the worst-off groups fare: min_exposure (smallest share of exposure) and mmf50 (share of the worst half).

    `groups` (I,) holds each item's group, row-aligned with the ids `items`; its name is part of the metrics' names.
    """
    exposure = item_exposure(rankings, items, k=k, attention=attention)
    shares = group_exposure(exposure, groups)[Columns.Exposure].to_numpy()
    n = int(rankings[Columns.Request].nunique())
    if len(shares) == 0:
        raise TableError(f"no item has a value in '{groups.name}', so there are no groups to compare.")
    return [
        Measure(f"min_exposure_{groups.name}", k, AllTiers, min_share(shares), n),
        Measure(f"mmf50_{groups.name}", k, AllTiers, worst_share(shares, fraction=0.5), n),
    ]


def _codes(catalogue: "pd.Index[Any]", ids: "pd.Series[Any]") -> npt.NDArray[np.int64]:
    codes = np.asarray(catalogue.get_indexer(pd.Index(ids)), dtype=np.int64)
    if (codes < 0).any():
        stranger = ids.iloc[int(np.flatnonzero(codes < 0)[0])]
        raise TableError(
            f"rankings: item_id '{stranger}' is not in items ({int((codes < 0).sum())} such rows). "
            "Evaluate with the catalogue that the lists were made from."
        )
    return codes
