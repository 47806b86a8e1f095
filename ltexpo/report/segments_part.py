"""Effects by segment → for whom the lists do what: a forest for each metric that is watched.

'ltexpo simulate' merges small segments; those of tables that others wrote are left out.
"""

from collections.abc import Sequence

import pandas as pd

from ltexpo.metrics.small_groups import LEAST_USERS
from ltexpo.report.forest import ForestRow, Mark, forest_block, told
from ltexpo.report.markup import Html, escape, html, join
from ltexpo.report.shifts import shift_of, unit_of
from ltexpo.report.simulated import Row, Simulated
from ltexpo.report.words import count, percent, plural
from ltexpo.simulate.result import EFFECT

ITEM_TIER = "item tier"
_KINDS = {
    "tenure": ("users by tenure", {
        "new": "no event yet", "first week": "first seen in the last week", "earlier": "seen before that",
    }),
    "activity": ("users by activity", {
        "none": "none", "low": "lowest third", "middle": "middle third", "high": "highest third",
    }),
    "value": ("users by what they spent", {
        "none": "nothing", "low": "lowest third", "middle": "middle third", "high": "highest third",
    }),
    ITEM_TIER: ("products by tier", {"head": "head", "tail": "tail", "new": "new"}),
}
_OF_TIERS = {"tail share of exposure": "share of exposure", "tail clicks per visit": "clicks per visit"}
"""The metric of the item tiers that stands for one of everybody, where it is named otherwise."""


def segments_part(tested: Simulated, arm: str) -> Html:
    """One forest for each watched metric; nothing where no segment was read."""
    if set(tested.effects["by"]) <= {"all"}:
        return Html("")
    small = _small(tested, arm)
    forests = [_forest(tested, arm, metric, small) for metric in tested.watched(arm)]
    effect = tested.best == EFFECT
    left_out = ""
    if len(small):
        names = ", ".join(f"{_names(by).get(name, name)} ({_kind(by)}; {plural(users, 'user')})"
                          for by, name, users in small.itertuples(index=False, name=None))
        left_out = f" Left out, for fewer than {LEAST_USERS} users in an arm: {names}."
    merged = tested.facts.get("merged_segments") or {}
    if merged:
        names = "; ".join(
            f"{_kind(by)}: {', '.join(_names(by).get(name, name) for name in held)}" for by, held in merged.items()
        )
        left_out += f" Merged, for fewer than {tested.facts['least_users']} users in an arm: {names}."
    return html(
        "<h3>For whom</h3><p>{what} Users were sorted into segments by what they did before the test. A change is bold "
        "and solid when it is more than chance after Holm’s adjustment for all the tests of its kind of segment.{left}"
        '</p><div class="forests">{forests}</div>',
        what="What the lists do in each segment." if effect else "What the test reads in each segment.",
        left=left_out, forests=join(forests),
    )


def _forest(tested: Simulated, arm: str, metric: str, small: pd.DataFrame) -> Html:
    tiny = set(zip(small["by"], small["segment"], strict=True))
    blocks = []
    for by in (*_KINDS, *(kind for kind in tested.effects["by"].unique() if kind not in _KINDS and kind != "all")):
        name = _OF_TIERS.get(metric, metric) if by == ITEM_TIER else metric
        rows = tested.rows(arm, tested.best, by)
        chosen = [row for row in rows[rows["metric"] == name].to_dict("records") if (by, row["segment"]) not in tiny]
        if chosen:
            blocks.append(_block(by, _ordered(by, chosen), alpha=1 - tested.level, twins=tested.best == EFFECT))
    if not blocks:
        return Html("")
    return html(
        '<table class="forest segments"><caption>{metric}</caption><thead><tr><th scope="col">segment</th>'
        '<th scope="col">users</th><th scope="col">change, {level} interval</th><th scope="col" class="plot"></th></tr>'
        "</thead>{blocks}</table>",
        metric=metric[:1].upper() + metric[1:], level=percent(tested.level, digits=0), blocks=join(blocks),
    )


def _block(by: str, chosen: Sequence[Row], *, alpha: float, twins: bool) -> Html:
    """`twins`: both arms hold the same users."""
    unit = unit_of(chosen)
    rows = []
    for record in chosen:
        shift = shift_of(record, unit)
        sure = bool(record["p_holm"] < alpha)
        users = record["n_control"] + (0 if twins else record["n_treatment"])
        held = "all" if by == ITEM_TIER else count(users)
        cells = [("users", html("<span>{held}</span>", held=held)), ("change", told(shift, strong=sure))]
        # a merged segment names what it holds
        name = " + ".join(_names(by).get(part, part) for part in str(record["segment"]).split(" + "))
        rows.append(ForestRow(cells, escape(name), [Mark(shift, "effect", sure)]))
    title = _kind(by)
    if by == ITEM_TIER and chosen[0]["metric"] in _OF_TIERS.values():
        title = f"{chosen[0]['metric']}, {title}"
    return forest_block(title[:1].upper() + title[1:], rows, unit=unit)


def _small(tested: Simulated, arm: str) -> pd.DataFrame:
    """by, segment and users (of the smaller arm) of the segments that are too small to be read."""
    rows = tested.effects
    rows = rows[(rows["arm"] == arm) & (rows["reading"] == tested.best) & ~rows["by"].isin(["all", ITEM_TIER])]
    users = rows[["n_control", "n_treatment"]].min(axis=1)
    held = rows[["by", "segment"]].assign(users=users)[users < LEAST_USERS]
    return held.drop_duplicates(["by", "segment"])


def _ordered(by: str, rows: Sequence[Row]) -> list[Row]:
    order = list(_names(by))
    return sorted(rows, key=lambda row: (
        order.index(row["segment"]) if row["segment"] in order else len(order), str(row["segment"])
    ))


def _kind(by: str) -> str:
    return _KINDS[by][0] if by in _KINDS else f"users by {by}"


def _names(by: str) -> dict[str, str]:
    return _KINDS[by][1] if by in _KINDS else {}
