"""Lists → expected counts and scores of the models in which the user walks down the list and may stop.

All slots down to the last click were examined. Below it only one thing is hidden, where the user stopped, so that one
pass from the list's end upwards gives the E-step exactly.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numba import njit
from scipy import sparse

from ltexpo.simulate.clicks.draw import DBN, DCM, ClickParameters
from ltexpo.simulate.clicks.em import Counts, Floats, Theta
from ltexpo.simulate.clicks.sessions import Codes


@dataclass(frozen=True)
class WalkEvidence:
    """R lists; the slot parameters are `after_click` by surface and rank (DCM), one γ per surface (DBN), none (CM)."""

    kind: int
    items: npt.NDArray[np.int32]
    """(R, K)"""
    clicks: npt.NDArray[np.bool_]
    """(R, K)"""
    surface: Codes
    """(R,)"""
    n_keys: int
    fixed: npt.NDArray[np.bool_]
    first: Floats
    """(G,) where EM begins."""
    make: Callable[[Floats], tuple[ClickParameters, ...]]

    def start(self) -> Floats:
        """Where EM begins."""
        return self.first.copy()

    def parameters(self, slots: Floats) -> tuple[ClickParameters, ...]:
        """One set per surface."""
        return self.make(slots)

    def expect(self, theta: Theta) -> Counts:
        """Expected examinations, satisfactions and continuations."""
        after_click, after_skip = self._going_on(theta.slots)
        keys = np.zeros((4, self.n_keys))
        on = np.zeros((4, *after_click.shape))
        value = _expect(
            self.kind, self.items, self.clicks, self.surface, theta.attraction, self._satisfaction(theta),
            after_click, after_skip, keys, on,
        )
        if self.kind == DBN:
            slots = (on[0] + on[2]).sum(axis=1), (on[1] + on[3]).sum(axis=1)
        else:
            slots = on[0].ravel()[:len(theta.slots)], on[1].ravel()[:len(theta.slots)]
        none = np.zeros(0)
        pleased = (keys[2], keys[3]) if self.kind == DBN else (none, none)
        return Counts((keys[0], keys[1]), pleased, slots, value)

    def scores(self, theta: Theta) -> sparse.csr_array:
        """One row per list: the derivative of its log-likelihood, by Fisher's identity (Louis 1982)."""
        after_click, after_skip = self._going_on(theta.slots)
        parts = np.zeros((4, *self.items.shape))
        _scores(
            self.kind, self.items, self.clicks, self.surface, theta.attraction, self._satisfaction(theta),
            after_click, after_skip, parts,
        )
        n_sat = len(theta.satisfaction)
        where = self.items >= 0
        request = np.broadcast_to(np.arange(len(self.items))[:, None], self.items.shape)
        values, rows, columns = [parts[0][where]], [request[where]], [self.items[where].astype(np.int64)]
        if self.kind == DBN:
            values += [parts[1][where], (parts[2] + parts[3]).sum(axis=1)]
            rows += [request[where], np.arange(len(self.items))]
            columns += [self.n_keys + self.items[where].astype(np.int64), self.n_keys + n_sat + self.surface]
        if self.kind == DCM:
            slot = self.surface[:, None] * self.items.shape[1] + np.arange(self.items.shape[1])
            values.append(parts[2][where])
            rows.append(request[where])
            columns.append(self.n_keys + slot[where])
        return sparse.csr_array(
            (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))),
            shape=(len(self.items), self.n_keys + n_sat + len(theta.slots)),
        )

    def learnable(self) -> npt.NDArray[np.bool_]:
        """(G,) those after which any list went on: what a user does after the last slot never shows."""
        if self.kind != DCM:
            return np.ones(len(self.first), dtype=np.bool_)
        followed = np.zeros((len(self.first) // self.items.shape[1], self.items.shape[1]), dtype=np.bool_)
        goes_on = self.clicks[:, :-1] & (self.items[:, 1:] >= 0)
        request, slot = np.nonzero(goes_on)
        followed[self.surface[request], slot] = True
        return followed.ravel()

    def _going_on(self, slots: Floats) -> tuple[Floats, Floats]:
        made = self.make(slots)
        return np.stack([part.after_click for part in made]), np.stack([part.after_skip for part in made])

    def _satisfaction(self, theta: Theta) -> Floats:
        return theta.satisfaction if self.kind == DBN else np.zeros(self.n_keys)


@njit(cache=True, nogil=True)
def _one_list(
    kind, items, clicks, attraction, satisfaction, after_click, after_skip, below, seen, trial, goes, pleased
):
    """Fill what is expected of one list's slots, given its clicks → (slots, log-likelihood).

    seen (K,): P(examined); trial, goes (K,): expected decisions to go on after the slot, and those that did;
    pleased (K,): P(satisfied), of clicked slots. below (K + 1,): P(no click from this slot on | it is examined).
    The last slot decides nothing: whether the user would have gone on cannot show.
    """
    n = 0
    last = -1
    while n < items.size and items[n] >= 0:
        if clicks[n]:
            last = n
        n += 1
    value = 0.0
    for j in range(last + 1):
        a = attraction[items[j]]
        seen[j] = 1.0
        pleased[j] = 0.0
        trial[j] = goes[j] = 1.0
        value += np.log(a) if clicks[j] else np.log(1.0 - a)
        if j < last:
            if clicks[j]:
                value += np.log(after_click[j])
                if kind == DBN:
                    value += np.log(1.0 - satisfaction[items[j]])
            elif after_skip[j] < 1.0:
                value += np.log(after_skip[j])
    if last >= 0:
        trial[last] = goes[last] = 0.0
    if last == n - 1:
        return n, value
    below[n - 1] = 1.0 - attraction[items[n - 1]]
    for j in range(n - 2, last, -1):
        below[j] = (1.0 - attraction[items[j]]) * (1.0 - after_skip[j] + after_skip[j] * below[j + 1])
    on = 1.0
    if last >= 0:
        on = after_click[last]
        if kind == DBN:
            on *= 1.0 - satisfaction[items[last]]
    total = 1.0 - on + on * below[last + 1]
    value += np.log(total)
    reach = on * below[last + 1] / total
    if last >= 0:
        goes[last] = reach
        trial[last] = 1.0
        if kind == DBN:
            pleased[last] = (1.0 - reach) * satisfaction[items[last]] / (1.0 - on)
            trial[last] = 1.0 - pleased[last]
    for j in range(last + 1, n):
        seen[j] = reach
        pleased[j] = 0.0
        trial[j] = goes[j] = 0.0
        if j < n - 1:
            trial[j] = reach
            stay = after_skip[j] * below[j + 1]
            reach *= stay / (1.0 - after_skip[j] + stay)
            goes[j] = reach
    return n, value


@njit(cache=True, nogil=True)
def _expect(kind, items, clicks, surface, attraction, satisfaction, after_click, after_skip, keys, on):
    """keys (4, I): clicks, examinations, satisfactions, and clicks that could satisfy; on (4, S, K): went on and tried
    after a click, went on and tried after a skip."""
    k = items.shape[1]
    below, seen, trial, goes, pleased = np.empty(k + 1), np.empty(k), np.empty(k), np.empty(k), np.empty(k)
    value = 0.0
    for r in range(items.shape[0]):
        s = surface[r]
        n, part = _one_list(
            kind, items[r], clicks[r], attraction, satisfaction, after_click[s], after_skip[s], below, seen, trial,
            goes, pleased,
        )
        value += part
        for j in range(n):
            i = items[r, j]
            keys[1, i] += seen[j]
            if clicks[r, j]:
                keys[0, i] += 1.0
                on[0, s, j] += goes[j]
                on[1, s, j] += trial[j]
                if j < n - 1:
                    keys[2, i] += pleased[j]
                    keys[3, i] += 1.0
            else:
                on[2, s, j] += goes[j]
                on[3, s, j] += trial[j]
    return value


@njit(cache=True, nogil=True)
def _scores(kind, items, clicks, surface, attraction, satisfaction, after_click, after_skip, parts):
    """parts (4, R, K): by attraction, by satisfaction, by going on after a click, by going on after a skip."""
    k = items.shape[1]
    below, seen, trial, goes, pleased = np.empty(k + 1), np.empty(k), np.empty(k), np.empty(k), np.empty(k)
    for r in range(items.shape[0]):
        s = surface[r]
        n, _ = _one_list(
            kind, items[r], clicks[r], attraction, satisfaction, after_click[s], after_skip[s], below, seen, trial,
            goes, pleased,
        )
        for j in range(n):
            a = attraction[items[r, j]]
            if clicks[r, j]:
                parts[0, r, j] = 1.0 / a
                if kind == DBN and j < n - 1:
                    p = satisfaction[items[r, j]]
                    parts[1, r, j] = pleased[j] / p - (1.0 - pleased[j]) / (1.0 - p)
                parts[2, r, j] = _score(goes[j], trial[j], after_click[s, j])
            else:
                parts[0, r, j] = -seen[j] / (1.0 - a)
                parts[3, r, j] = _score(goes[j], trial[j], after_skip[s, j])


@njit(cache=True, nogil=True)
def _score(successes, trials, chance):
    """Derivative of the log-likelihood of a Bernoulli chance; 0 for one that is fixed at 0 or 1."""
    if chance <= 0.0 or chance >= 1.0:
        return 0.0
    return successes / chance - (trials - successes) / (1.0 - chance)
