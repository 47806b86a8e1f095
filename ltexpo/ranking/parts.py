"""Names of features → the part of the model that each belongs to: text, image, graph, behaviour, popularity …"""

import re
from collections.abc import Iterable, Mapping

MATCH, ATTRIBUTES, BEHAVIOUR = "match", "attributes", "behaviour"
POPULARITY, PLACE, PRICE, USER, QUERY = "popularity", "place", "price", "user", "query"
GRAPH = "graph"
BASELINE = "baseline"
"""What is said of every candidate before anything is known of it."""
HISTORY = "history"
"""What a product lacks before anybody took it: with it behaviour and popularity."""
RESERVED = (MATCH, ATTRIBUTES, BEHAVIOUR, POPULARITY, PLACE, PRICE, USER, QUERY, HISTORY, BASELINE)
"""Parts that are not vectors: no vectors may be called so."""

_COMPONENTS = {
    "popularity": POPULARITY, "content": ATTRIBUTES, "taste": ATTRIBUTES, "alike": MATCH,
    "repeat": BEHAVIOUR, "cooccurrence": BEHAVIOUR, "ease": BEHAVIOUR, "blend": BEHAVIOUR,
}
_WORDS = {
    "image": "picture", GRAPH: "product graph", "match": "likeness", USER: "the user's habits",
    QUERY: "what was typed", PLACE: "place in the catalogue",
}
_LACKING = {QUERY: "nothing typed that is known"}


def lack_of(part: str) -> str:
    """The part that tells what a model makes of a pair where `part` is not there to be read."""
    return f"no {part}"


def parts_of(features: Iterable[str]) -> dict[str, str]:
    """Feature → part, for every name in `features` (the columns of `CandidateFeatures`).

    Features of vectors V go to V itself, whatever its name; 'match' are those of the match model and likeness by all
    vectors at once. 'behaviour': what the user and others took; 'popularity': how often and how lately an item was
    taken, and how often looked at and then clicked; 'place': where it stands in the catalogue, and beside what.
    """
    names = list(features)
    vectors = {name.removeprefix("i_alike_") for name in names if name.startswith("i_alike_")}
    return {name: _part(name, vectors) for name in names}


def _part(name: str, vectors: set[str]) -> str:
    kind, _, rest = name.partition("_")
    found = re.fullmatch(r"(?:i_alike|i_nearest|p_max|p_mean|p_last)_(.+)", name)
    if found and found[1] in vectors:
        return found[1]
    if kind in ("s", "r"):
        return GRAPH if rest.startswith("given_") else _COMPONENTS[rest]
    if kind == "i" and (rest == "place" or rest.startswith("order_")):
        return PLACE
    if kind == "i":
        return ATTRIBUTES if rest.startswith(("heat_", "size_")) else POPULARITY
    if kind == "p":
        if rest in ("same", "same_age", "near"):
            return BEHAVIOUR
        return PRICE if rest == "price" else ATTRIBUTES
    if kind == "q":
        return QUERY
    return MATCH if kind == "m" else USER


def words(contributions: Mapping[str, float]) -> str:
    """What speaks for one pair, in shares of all that speaks for it, and the part that speaks most against it.

    contributions: part → what it adds to the log-odds; 'baseline' is left aside.
    """
    parts = {name: value for name, value in contributions.items() if name != BASELINE}
    total = sum(value for value in parts.values() if value > 0)
    order = sorted(parts, key=lambda name: (-parts[name], name))
    shares = [(name, parts[name] / total) for name in order if total and parts[name] / total >= 0.005]
    said = ", ".join(f"{share:.0%} {_worded(name)}" for name, share in shares)
    said = f"this match is {said}" if said else "nothing speaks for this match"
    worst = order[-1] if order else None
    return said if worst is None or parts[worst] >= 0 else f"{said}; against it: {_worded(worst)}"


def _worded(part: str) -> str:
    lacked = part.removeprefix(lack_of(""))
    if lacked != part:
        return _LACKING.get(lacked, lack_of(_WORDS.get(lacked, lacked)))
    return _WORDS.get(part, part)
