"""The one place where column names, event kinds and tiers are spelled."""

from typing import Final


class Columns:
    """Column names of the table contracts."""

    Request: Final = "request_id"
    User: Final = "user_id"
    Item: Final = "item_id"
    Score: Final = "score"
    ScoreStd: Final = "score_std"
    ScoreSpread: Final = "score_spread"
    Weight: Final = "weight"
    Rank: Final = "rank"
    Query: Final = "query"
    Timestamp: Final = "timestamp"

    Event: Final = "event"
    Propensity: Final = "propensity"
    Price: Final = "price"
    Rating: Final = "rating"
    Text: Final = "text"

    Title: Final = "title"
    Description: Final = "description"
    Brand: Final = "brand"
    Category: Final = "category"
    Seller: Final = "seller_id"
    Image: Final = "image"
    CreatedAt: Final = "created_at"
    Segment: Final = "segment"

    Exposure: Final = "exposure"
    Boosted: Final = "boosted"

    Interactions: Final = "interactions"
    Tier: Final = "tier"

    Personal: Final = frozenset({"user_id", "request_id"})
    """Ids of people, and of requests, which often are these. Refusals and logs name a row and never such an id."""


class EventKind:
    """Values of the ``event`` column."""

    Impression: Final = "impression"
    Click: Final = "click"
    Cart: Final = "cart"
    Purchase: Final = "purchase"
    Rating: Final = "rating"

    All: Final = (Impression, Click, Cart, Purchase, Rating)
    # What a user did, as opposed to what was merely shown.
    Interactions: Final = (Click, Cart, Purchase, Rating)


class Tier:
    """Values of the ``tier`` column: see ``TailSpec``."""

    Head: Final = "head"
    Tail: Final = "tail"
    New: Final = "new"

    All: Final = (Head, Tail, New)
