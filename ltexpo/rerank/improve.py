"""Integral lists + prices → the same lists after swaps that raise clicks + welfare and hurt no goal.

Prices make lists near-optimal to first order; left are ties and the curvature of welfare. A move swaps two slots of a
list or brings a candidate in, is rated by its true gain (welfare is concave, so marginal prices bound the gain and
prune), and is made at once, so later lists see it. One thread: the answer never depends on the number of threads.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from ltexpo.rerank.moves import UNMADE, allowed, violation_change
from ltexpo.rerank.problem import Problem
from ltexpo.rerank.welfare import AlphaFair

Floats = npt.NDArray[np.float64]

ENOUGH = 1e-7
"""Sweeps end when one wins less than this share of all clicks."""
WIDE_LISTS = 20_000
"""Up to so many lists any two slots may be swapped, a candidate may enter any; else neighbours and the last."""
DEAR = (0.1, 1.0, np.inf)
"""What a move may cost at the prices of the goals, per click it wins: goals' room goes to those who use it best."""
LEAST = 1e-9
"""Least gain in clicks of a move."""


class Objective(NamedTuple):
    """Welfare terms T and goals as the kernel reads them, with the exposure (G,) of the moment.

    codes (T, I): coordinate of an item's group, -1 none. gini (T,): 1 where welfare goes by rank. Gini groups stand by
    exposure ÷ merit, poorest first, in `order`, each term in its own stretch; `place` (G,) is a group's position there,
    `falling` the weight of every position, `level` (G,) exposure ÷ merit. slope (G,): marginal clicks of α-fair
    groups.
    """

    codes: npt.NDArray[np.int64]
    gini: npt.NDArray[np.bool_]
    weight: Floats
    alpha: Floats
    offset: Floats
    merit: Floats
    order: npt.NDArray[np.int64]
    place: npt.NDArray[np.int64]
    falling: Floats
    first: npt.NDArray[np.int64]
    end: npt.NDArray[np.int64]
    level: Floats
    slope: Floats
    exposure: Floats
    start: npt.NDArray[np.int64]
    goals: npt.NDArray[np.int64]
    target: Floats
    kind: npt.NDArray[np.int8]
    penalty: Floats
    goal_boost: Floats


def improve(
    problem: Problem, prices: Floats, target: Floats, slots: npt.NDArray[np.signedinteger], exposure: Floats,
    clicks: float, *, most_sweeps: int = 40,
) -> int:
    """Change slots (R, k) and exposure (G,) in place until no sweep wins; `target` (G,) as goals are held to.

    Returns the moves made.
    """
    at = _objective(problem, prices, target, exposure)
    wide = problem.n_lists <= WIDE_LISTS
    # on many lists near ties are dense enough
    dear = (DEAR if wide else DEAR[:1]) if (prices[problem.goals.kind != 0] != 0).any() else (np.inf,)
    made = 0
    for limit in dear:
        for _ in range(most_sweeps):
            moves, won = _sweep(problem.lists, at, slots, wide, limit)
            made += moves
            if won <= ENOUGH * clicks:
                break
    return made


def _objective(problem: Problem, prices: Floats, target: Floats, exposure: Floats) -> Objective:
    assert problem.welfare is not None
    terms = problem.welfare
    member = problem.membership
    codes = np.full((len(terms.terms), problem.n_items), -1, np.int64)
    merit, level, place = np.ones(len(exposure)), np.zeros(len(exposure)), np.zeros(len(exposure), np.int64)
    order: list[npt.NDArray[np.int64]] = []
    falling: list[Floats] = []
    first, end = np.zeros((2, len(terms.terms)), np.int64)
    weight, alpha, offset = np.zeros((3, len(terms.terms)))
    for t, term in enumerate(terms.terms):
        inside = np.full(len(exposure), -1, np.int64)
        inside[term.at] = term.at
        entry = np.repeat(np.arange(problem.n_items), np.diff(member.indptr))
        kept = inside[member.indices] >= 0
        codes[t, entry[kept]] = member.indices[kept]
        merit[term.at] = term.merit
        if isinstance(term, AlphaFair):
            weight[t], alpha[t], offset[t] = term.weight, term.alpha, term.offset
            continue
        first[t] = sum(map(len, order))
        end[t] = first[t] + len(term.at)
        level[term.at] = exposure[term.at] / term.merit
        order.append(term.at[np.argsort(level[term.at], kind="stable")])
        place[order[-1]] = first[t] + np.arange(len(term.at))
        falling.append(term.falling * term.merit.mean())
    goal_price = np.where(problem.goals.kind != 0, prices, 0.0)
    return Objective(
        codes, np.array([not isinstance(term, AlphaFair) for term in terms.terms]), weight, alpha, offset, merit,
        np.concatenate([*order, np.empty(0, np.int64)]), place, np.concatenate([*falling, np.empty(0)]), first, end,
        level, terms.slope(exposure), exposure, member.indptr.astype(np.int64), member.indices.astype(np.int64),
        target, problem.goals.kind, np.ones(len(exposure)), np.asarray(member @ goal_price),
    )  # fmt: skip


@njit(cache=True, nogil=True)
def _psi(x, alpha):
    if alpha == 1.0:
        return np.log(x)
    return (x ** (1.0 - alpha) - 1.0) / (1.0 - alpha)


@njit(cache=True, nogil=True)
def _refresh(at, t, g):
    """Marginal clicks of group g under α-fair term t, kept in `slope`."""
    x = max(at.exposure[g], 0.0) / at.merit[g] + at.offset[t]
    at.slope[g] = at.weight[t] / x if at.alpha[t] == 1.0 else at.weight[t] * x ** -at.alpha[t]


@njit(cache=True, nogil=True)
def _set_level(at, t, g, level):
    """Move group g to `level` among the groups of Gini term t → change of welfare."""
    p = at.place[g]
    before = at.level[g]
    change = -at.falling[p] * before
    if level > before:
        while p + 1 < at.end[t] and at.level[at.order[p + 1]] < level:
            other = at.order[p + 1]
            change += (at.falling[p] - at.falling[p + 1]) * at.level[other]
            at.order[p], at.place[other] = other, p
            p += 1
    else:
        while p > at.first[t] and at.level[at.order[p - 1]] > level:
            other = at.order[p - 1]
            change += (at.falling[p] - at.falling[p - 1]) * at.level[other]
            at.order[p], at.place[other] = other, p
            p -= 1
    at.order[p], at.place[g] = g, p
    at.level[g] = level
    return change + at.falling[p] * level


@njit(cache=True, nogil=True)
def _welfare_change(at, down, up, amount):
    """Change of welfare when `amount` of exposure goes from item `down` to item `up`."""
    change = 0.0
    for t in range(at.gini.size):
        a, b = at.codes[t, down], at.codes[t, up]
        if a == b:
            continue
        if at.gini[t]:
            # moved and moved back: the order of the rest is then what it was
            was_a = at.level[a] if a >= 0 else 0.0
            was_b = at.level[b] if b >= 0 else 0.0
            if a >= 0:
                change += _set_level(at, t, a, was_a - amount / at.merit[a])
            if b >= 0:
                change += _set_level(at, t, b, was_b + amount / at.merit[b])
                _set_level(at, t, b, was_b)
            if a >= 0:
                _set_level(at, t, a, was_a)
            continue
        for side in range(2):
            g = a if side == 0 else b
            if g < 0:
                continue
            moved = at.exposure[g] + (-amount if side == 0 else amount)
            before = max(at.exposure[g], 0.0) / at.merit[g] + at.offset[t]
            after = max(moved, 0.0) / at.merit[g] + at.offset[t]
            change += at.weight[t] * at.merit[g] * (_psi(after, at.alpha[t]) - _psi(before, at.alpha[t]))
    return change


@njit(cache=True, nogil=True)
def _move_exposure(at, down, up, amount):
    for s in range(at.start[down], at.start[down + 1]):
        at.exposure[at.goals[s]] -= amount
    for s in range(at.start[up], at.start[up + 1]):
        at.exposure[at.goals[s]] += amount
    for t in range(at.gini.size):
        if at.gini[t]:
            for item in (down, up):
                g = at.codes[t, item]
                if g >= 0:
                    _set_level(at, t, g, at.exposure[g] / at.merit[g])
        else:
            for item in (down, up):
                if at.codes[t, item] >= 0:
                    _refresh(at, t, at.codes[t, item])


@njit(cache=True, nogil=True)
def _rate(lists, at, lo, hi, worth, held):
    """What a bit more exposure of each candidate is worth: clicks and welfare into worth, goals into held."""
    for i in range(lo, hi):
        item = lists.items[i]
        value = np.float64(lists.scores[i])
        for t in range(at.gini.size):
            g = at.codes[t, item]
            if g >= 0:
                value += at.falling[at.place[g]] / at.merit[g] if at.gini[t] else at.slope[g]
        worth[i - lo] = value
        held[i - lo] = at.goal_boost[item]


@njit(cache=True, nogil=True)
def _gain(lists, at, i, j, amount, best, limit):
    """True gain of giving `amount` of candidate i's exposure to j, if above `best` and no goal is hurt; else `best`."""
    down, up = lists.items[i], lists.items[j]
    lost = amount * (at.goal_boost[down] - at.goal_boost[up])
    gain = amount * (np.float64(lists.scores[j]) - np.float64(lists.scores[i]))
    gain += _welfare_change(at, down, up, amount)
    if gain <= best or lost - gain > limit * gain:
        return best
    if violation_change(at.start, at.goals, at.exposure, at.target, at.kind, at.penalty, down, up, amount) > 0.0:
        return best
    return gain


@njit(cache=True, nogil=True)
def _best_move(lists, at, slots, r, n, inside, worth, held, weight, wide, limit, plain, chosen):
    """Move of list r that gains most → (gain, slot, other slot or -1, candidate that moves into the slot)."""
    lo, hi = lists.indptr[r], lists.indptr[r + 1]
    best, p, q, who = LEAST, -1, -1, -1
    for j in range(lists.protect, n):
        u = lo + slots[r, j]
        last = n if wide else min(j + 2, n)
        for m in range(j + 1, last):
            v = lo + slots[r, m]
            amount = weight * (lists.attention[j] - lists.attention[m])
            most = amount * (worth[v - lo] - worth[u - lo])
            # the loss at the prices of goals: near ties first
            if most <= best or amount * (held[u - lo] - held[v - lo]) > (1.0 + limit) * most:
                continue
            gain = _gain(lists, at, u, v, amount, best, limit)
            if gain > best and (not lists.guarded or allowed(lists, lo, hi, slots, r, n, j, v, plain, chosen)):
                best, p, q, who = gain, j, m, v
        if not wide and j + 1 < n:
            continue
        amount = weight * lists.attention[j]
        for v in range(lo, hi):
            most = amount * (worth[v - lo] - worth[u - lo])
            if most <= best or inside[v - lo] or amount * (held[u - lo] - held[v - lo]) > (1.0 + limit) * most:
                continue
            gain = _gain(lists, at, u, v, amount, best, limit)
            if gain > best and (not lists.guarded or allowed(lists, lo, hi, slots, r, n, j, v, plain, chosen)):
                best, p, q, who = gain, j, -1, v
    return best, p, q, who


@njit(cache=True, nogil=True)
def _sweep(lists, at, slots, wide, limit):
    """One look at every list, in order → moves made, clicks + welfare won."""
    k = slots.shape[1]
    plain, chosen = np.empty(k, np.int64), np.empty(k, np.int64)
    longest = 0
    for r in range(slots.shape[0]):
        longest = max(longest, lists.indptr[r + 1] - lists.indptr[r])
    worth, held, inside = np.empty(longest), np.empty(longest), np.zeros(longest, np.bool_)
    made, won = 0, 0.0
    for r in range(slots.shape[0]):
        lo, hi = lists.indptr[r], lists.indptr[r + 1]
        plain[0] = UNMADE
        weight = np.float64(lists.weights[r]) if lists.weights.size > 0 else 1.0
        n = 0
        while n < k and slots[r, n] >= 0:
            inside[slots[r, n]] = True
            n += 1
        for _ in range(2 * k if n > lists.protect and weight > 0.0 else 0):
            _rate(lists, at, lo, hi, worth, held)
            gain, p, q, who = _best_move(
                lists, at, slots, r, n, inside, worth, held, weight, wide, limit, plain, chosen
            )
            if p < 0:
                break
            u = lo + slots[r, p]
            amount = weight * (lists.attention[p] - (lists.attention[q] if q >= 0 else 0.0))
            slots[r, p] = who - lo
            inside[who - lo] = True
            if q >= 0:
                slots[r, q] = u - lo
            else:
                inside[u - lo] = False
            _move_exposure(at, lists.items[u], lists.items[who], amount)
            won += gain
            made += 1
        for j in range(n):
            inside[slots[r, j]] = False
    return made, won
