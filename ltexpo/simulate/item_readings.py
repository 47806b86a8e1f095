"""What two arms showed to whom → coverage, Gini and seller floors with their intervals."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy import sparse

from ltexpo.simulate.behaviour import World
from ltexpo.simulate.catalogue import Catalogue
from ltexpo.simulate.stats import Effect, Shown, compare_coverage, compare_gini, compare_permuted

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

COVERAGE, GINI, SELLERS = "coverage of the catalogue", "Gini of exposure", "sellers with half a fair share"
SELLER_FLOOR = 0.5
"""A seller's fair share of the exposure is its share of the products; the floor is this part of it."""
ITEM_METRICS = {
    COVERAGE: "share of the catalogue that was shown to anybody during the test",
    GINI: "how unevenly exposure is spread over the catalogue: 0 if every product has the same, 1 if one has all",
    SELLERS: "share of the sellers that got at least half of the exposure that their share of the products would give",
}
"""Metric → what it is, in a line."""


def item_effects(
    treatment: World, control: World, treated: Flags, untreated: Flags, catalogue: Catalogue, *, paired: bool,
    level: float, seed: int,
) -> list[Effect]:
    """Of the users marked in `treated` and `untreated`, (U,) each; without sellers, only the first two."""
    arms = [_shown(world, who, len(catalogue)) for world, who in ((treatment, treated), (control, untreated))]
    found = [
        compare_coverage(COVERAGE, *arms, paired=paired, level=level, rng=seed),
        compare_gini(GINI, *arms, paired=paired, level=level, rng=seed),
    ]
    if len(catalogue.sellers):
        served = _share_of_sellers(catalogue)
        found.append(compare_permuted(SELLERS, served, *arms, paired=paired, level=level, rng=seed))
    return found


def _shown(world: World, who: Flags, n_items: int) -> Shown:
    rows = world.everything()
    rows = rows[who[rows["user"].to_numpy()]]
    place = np.cumsum(who) - 1
    return Shown.of_pairs(
        place[rows["user"]], rows["item"], rows["exposure"], users=np.flatnonzero(who), catalogue=n_items
    )


def _share_of_sellers(catalogue: Catalogue) -> Callable[[Floats], Floats]:
    """Exposure (B, I) of some worlds → (B,) share of the sellers whose exposure reaches the floor."""
    known = catalogue.seller >= 0
    n = len(catalogue.sellers)
    belongs = sparse.csr_matrix(
        (np.ones(int(known.sum())), (np.flatnonzero(known), catalogue.seller[known])), shape=(len(catalogue), n)
    )
    fair = np.bincount(catalogue.seller[known], minlength=n) / known.sum()

    def share(exposure: Floats) -> Floats:
        got = np.asarray((belongs.T @ exposure.T).T)
        floor = SELLER_FLOOR * fair * got.sum(axis=1, keepdims=True)
        reached: Floats = (got >= floor).mean(axis=1)
        return reached

    return share
