"""Popularity and users' category mixes → lists shown at random, each slot with its exact propensity.

Slot by slot, item i is shown with probability

    P(i | above) = (1 − ε) · s_u(i) / (1 − Σ_{j above} s_u(j)) + ε / (N − number above)

where s_u(i) = mix_u(category of i) · popularity share of i within its category, over the N items that can be shown and
do not stand above. The first part is Plackett–Luce sampling without replacement (Plackett 1975) from a popularity
ranking by category, the second explores uniformly. `propensity` is this conditional probability; the probability of a
whole list is the product over its slots.
"""

from dataclasses import dataclass

import numba
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class LoggingPolicy:
    """One day's policy over I items, of which those with a positive `share` can be shown."""

    mix: Floats
    """(U, C) each user's category shares; rows sum to 1 and are 0 where a category has nothing to show."""
    category: Integers
    """(I,) each item's category."""
    share: Floats
    """(I,) each item's share within its category: they sum to 1 over a category, 0 where the item cannot be shown."""
    exploration: float
    """ε, between 0 and 1."""

    @classmethod
    def of(cls, mix: Floats, category: Integers, weight: Floats, exploration: float) -> "LoggingPolicy":
        """Shares from each item's `weight` (I,), 0 for items that cannot be shown."""
        totals = np.bincount(category, weights=weight, minlength=mix.shape[1])
        offered = np.where(totals > 0, mix, 0.0)
        share = np.divide(weight, totals[category], out=np.zeros_like(weight), where=weight > 0)
        return cls(offered / offered.sum(axis=1, keepdims=True), category, share, exploration)

    def draw(self, users: Integers, k: int, rng: np.random.Generator) -> tuple[Integers, Floats]:
        """Lists for `users` (R,): items (R, k) by rank, and the propensity of each (R, k)."""
        shown = np.flatnonzero(self.share > 0)
        shown = shown[np.argsort(self.category[shown], kind="stable")]
        starts = np.searchsorted(self.category[shown], np.arange(self.mix.shape[1] + 1))
        within = self.share[shown].cumsum()
        before = np.concatenate([[0.0], within])[starts[:-1]]
        items: Integers
        propensities: Floats
        items, propensities = _draw(
            users, self.mix, self.mix.cumsum(axis=1), self.category, self.share, shown, starts, within, before,
            self.exploration, k, rng,
        )
        return items, propensities

    def probabilities(self, user: int, above: Integers) -> Floats:
        """P(i | above) for every item (I,): the formula on top, written plainly."""
        open_ = self.share > 0
        open_[above] = False
        base = np.where(open_, self.mix[user, self.category] * self.share, 0.0)
        probabilities: Floats = (1 - self.exploration) * base / base.sum() + self.exploration * open_ / open_.sum()
        return probabilities


@numba.njit(cache=True)
def _draw(
    users: Integers, mix: Floats, mix_sums: Floats, category: Integers, share: Floats, shown: Integers,
    starts: Integers, within: Floats, before: Floats, exploration: float, k: int, rng: np.random.Generator,
) -> tuple[Integers, Floats]:
    """`shown` holds the items that can be shown, grouped by category; `within` their running shares."""
    n_requests, n_shown, n_categories = len(users), len(shown), mix.shape[1]
    items = np.empty((n_requests, k), dtype=np.int64)
    propensities = np.empty((n_requests, k))
    for request in range(n_requests):
        user = users[request]
        for slot in range(k):
            left = 1.0
            for above in range(slot):
                left -= mix[user, category[items[request, above]]] * share[items[request, above]]
            explore = rng.random() < exploration
            # Redrawing what already stands above leaves exactly the distribution without it.
            while True:
                if explore:
                    item = shown[min(int(rng.random() * n_shown), n_shown - 1)]
                else:
                    wanted = rng.random() * mix_sums[user, n_categories - 1]
                    chosen = min(np.searchsorted(mix_sums[user], wanted, side="right"), n_categories - 1)
                    while starts[chosen] == starts[chosen + 1]:
                        chosen -= 1
                    group = within[starts[chosen]:starts[chosen + 1]]
                    reach = before[chosen] + rng.random() * (group[-1] - before[chosen])
                    place = min(np.searchsorted(group, reach, side="right"), len(group) - 1)
                    item = shown[starts[chosen] + place]
                repeated = False
                for above in range(slot):
                    repeated = repeated or items[request, above] == item
                if not repeated:
                    break
            base = mix[user, category[item]] * share[item]
            items[request, slot] = item
            # Rounding may leave `left` a hair below the last item's own share.
            propensities[request, slot] = (1 - exploration) * base / max(left, base) + exploration / (n_shown - slot)
    return items, propensities
