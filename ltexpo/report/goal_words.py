"""A goal of a certificate → how the page names it and its numbers."""

from collections.abc import Mapping
from typing import Any

from ltexpo.report.words import number, percent, signed

_TIERS = {"tail": "tail and new products", "new": "new products", "head": "head products"}
_LIMITS = {
    "min_share": "at least {amount} of all exposure",
    "max_share": "at most {amount} of all exposure",
    "min_exposure": "at least {amount} of exposure",
    "max_exposure": "at most {amount} of exposure",
    "min_of_attainable": "at least its part of the exposure it could get",
}


def goal_name(goal: Mapping[str, Any]) -> str:
    """What the goal is about, in words."""
    group = str(goal.get("group"))
    if goal.get("value") is None:
        return _TIERS.get(group, group)
    return f"{group.removesuffix('_id').replace('_', ' ')} {goal['value']}"


def limit(goal: Mapping[str, Any]) -> str:
    """What was asked."""
    kind = str(goal.get("kind"))
    return _LIMITS.get(kind, kind.replace("_", " ") + " {amount}").format(amount=amount(goal, "target"))


def amount(goal: Mapping[str, Any], name: str) -> str:
    """One of its numbers, as a share or an exposure."""
    value = goal.get(name)
    if str(goal.get("kind")).endswith("_share"):
        return percent(value)
    return signed(number(value))


def goal_key(goal: Mapping[str, Any]) -> str:
    """The goal as promotions name it."""
    return " ".join(str(goal[part]) for part in ("group", "value", "kind") if goal.get(part) is not None)
