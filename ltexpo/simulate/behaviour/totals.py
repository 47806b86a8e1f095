"""The columns in which a user's days add up, and what each stands for."""

from typing import Final

VISITS: Final = 0
IMPRESSIONS: Final = 1
"""Slots shown."""
DEPTH: Final = 2
"""Rank of the deepest slot examined, summed over visits: how long sessions were."""
CLICKS: Final = 3
PURCHASES: Final = 4
REVENUE: Final = 5
ACTIVE: Final = 6
"""Days with a visit."""
DUE_1: Final = 7
"""Active days of which the next day has passed."""
BACK_1: Final = 8
"""Of these, the days after which the user was active on the next day."""
DUE_7: Final = 9
BACK_7: Final = 10
"""The same, seven days later."""
IMPRESSIONS_OF: Final = 11
"""Three columns: head, tail, new; as the next three."""
EXPOSURE_OF: Final = 14
CLICKS_OF: Final = 17
PURCHASES_OF: Final = 20
WIDTH: Final = 23

NAMES: Final = (
    "visits", "impressions", "depth", "clicks", "purchases", "revenue", "active_days", "due_1", "back_1", "due_7",
    "back_7",
    *(f"{what}_{tier}" for what in ("impressions", "exposure", "clicks", "purchases")
      for tier in ("head", "tail", "new")),
)
"""Name of each column, in order."""
