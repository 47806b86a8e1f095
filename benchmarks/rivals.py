"""History → scores of the rivals that are no part of the product: LightGCN, BPR, and cosine of title vectors.

LightGCN (He et al., SIGIR 2020) is torch-geometric's; with 0 layers it is matrix factorisation learnt with BPR (Rendle
et al., UAI 2009). `fit` and `score` are those of `ltexpo.ranking.scorer.Scorer`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from scipy import sparse
from torch_geometric.nn import LightGCN

from ltexpo.data.history import History
from ltexpo.sparse import Csr, csr

Floats = npt.NDArray[np.float32]
_USERS_AT_ONCE = 256


@dataclass(frozen=True)
class Watch:
    """Held-out users (B,) and what they took afterwards, CSR (B, I): when to stop."""

    users: npt.NDArray[np.int64]
    taken: Csr
    k: int = 12


@dataclass(frozen=True)
class GraphSettings:
    layers: int = 2
    width: int = 64
    learning_rate: float = 0.03
    regularisation: float = 1e-3
    half_life: float | None = None
    """Days after which an interaction is drawn half as often to learn from; None: all alike."""
    batch: int = 16_384
    epochs: int = 100
    """At most so many."""
    every: int = 4
    """Epochs between looks at the watched users."""
    patience: int = 4
    """Looks without a new best before it stops; the best weights are kept."""


class GraphRival:
    """score(u, i) = softplus(e_u · e_i) of items with interactions; fitted: `users_`, `items_`, `taken_`, `epochs_`."""

    def __init__(
        self, settings: GraphSettings, *, seed: int = 0, watch: Watch | None = None, epochs: int | None = None
    ) -> None:
        """With `watch`, stop when these users are served best; else learn for `epochs` (None: as in `settings`)."""
        self.settings, self.seed, self.watch, self.epochs = settings, seed, watch, epochs or settings.epochs

    def fit(self, history: History, items: pd.DataFrame) -> Self:
        """Learn from each user–item pair."""
        settings, rng = self.settings, np.random.default_rng(self.seed)
        self.n_items_ = history.n_items
        self.taken_ = np.unique(history.item)
        pairs = history.matrix(history.decay(settings.half_life))[:, self.taken_].tocoo()
        drawn = pairs.data / pairs.data.sum()
        graph = _normalised(pairs)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            model = LightGCN(graph.shape[0], settings.width, settings.layers, normalize=False)
        optimiser = torch.optim.Adam(model.parameters(), lr=settings.learning_rate)
        best, kept, worse = -1.0, None, 0
        for epoch in range(1, self.epochs + 1):
            order = rng.choice(len(drawn), len(drawn), p=drawn)
            for start in range(0, len(order), settings.batch):
                rows = order[start : start + settings.batch]
                self._step(model, optimiser, graph, pairs.row[rows], pairs.col[rows], rng)
            if self.watch is None or epoch % settings.every:
                continue
            self._adopt(model, graph, history.n_users)
            reached = _precision(self, self.watch)
            if reached > best:
                best, kept, worse = reached, (self.users_, self.items_, epoch), 0
            else:
                worse += 1
                if worse == settings.patience:
                    break
        self._adopt(model, graph, history.n_users)
        self.epochs_ = epoch
        if kept is not None:
            self.users_, self.items_, self.epochs_ = kept
        return self

    def score(self, users: npt.NDArray[np.int64], n: int, *, skip: Csr | None = None) -> Csr:
        """The best `n` items of each user, CSR (B, I)."""
        return _best(self.users_[users], self.items_, self.taken_, n, self.n_items_, skip, positive=_softplus)

    def _step(
        self, model: LightGCN, optimiser: torch.optim.Optimizer, graph: torch.Tensor, users: npt.NDArray[np.int32],
        taken: npt.NDArray[np.int32], rng: np.random.Generator,
    ) -> None:
        first = graph.shape[0] - len(self.taken_)
        user, positive, negative = (
            torch.from_numpy(np.asarray(codes, dtype=np.int64))
            for codes in (users, first + taken, first + rng.integers(0, len(self.taken_), len(taken)))
        )
        vectors = model.get_embedding(graph)
        of_user = vectors[user]
        loss = model.recommendation_loss(
            (of_user * vectors[positive]).sum(-1), (of_user * vectors[negative]).sum(-1),
            node_id=torch.cat([user, positive, negative]), lambda_reg=self.settings.regularisation,
        )
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()

    def _adopt(self, model: LightGCN, graph: torch.Tensor, n_users: int) -> None:
        with torch.no_grad():
            vectors = model.get_embedding(graph).numpy().copy()
        self.users_, self.items_ = vectors[:n_users], vectors[n_users:]


class TitleCosine:
    """score(u, j) = 1 + Σ_i profile(u, i) · cos(i, j), over the user's items i, for any item j.

    `vectors` (I, d), rows of length 1 in the order of the item codes. Fitted: `profiles_` (U, I).
    """

    def __init__(self, vectors: Floats, *, half_life: float | None = 7.0) -> None:
        self.vectors, self.half_life = vectors, half_life

    def fit(self, history: History, items: pd.DataFrame) -> Self:
        """Keep what each user took."""
        self.profiles_ = history.profiles(self.half_life)
        return self

    def score(self, users: npt.NDArray[np.int64], n: int, *, skip: Csr | None = None) -> Csr:
        """The best `n` items of each user, CSR (B, I)."""
        every = np.arange(len(self.vectors))
        mean = np.asarray(self.profiles_[users] @ self.vectors, dtype=np.float32)
        return _best(mean, self.vectors, every, n, len(every), skip, positive=lambda cosine: 1 + cosine)


def _softplus(values: Floats) -> Floats:
    return np.asarray(np.logaddexp(np.float32(0), values))


def _normalised(pairs: sparse.coo_matrix) -> torch.Tensor:
    """Users and items as one graph, edges 1 / √(d_u d_i): sparse tensor (U + T, U + T)."""
    users, size = pairs.shape[0], sum(pairs.shape)
    ones = np.ones(2 * pairs.nnz, dtype=np.float32)
    ends = np.r_[pairs.row, users + pairs.col], np.r_[users + pairs.col, pairs.row]
    both = csr((ones, ends), shape=(size, size))
    degree = np.maximum(np.diff(both.indptr), 1).astype(np.float32)
    rows = np.repeat(np.arange(size), np.diff(both.indptr))
    values = 1 / np.sqrt(degree[rows] * degree[both.indices])
    return torch.sparse_csr_tensor(
        torch.from_numpy(both.indptr.astype(np.int64)), torch.from_numpy(both.indices.astype(np.int64)),
        torch.from_numpy(values), (size, size), check_invariants=True,
    )


def _best(
    left: Floats, right: Floats, codes: npt.NDArray[np.int64], n: int, n_items: int, skip: Csr | None,
    *, positive: Callable[[Floats], Floats],
) -> Csr:
    """The `n` largest left @ rightᵀ of each row as CSR (B, I); row c of `right` is item `codes[c]`.

    `positive` is strictly increasing and makes scores positive.
    """
    n = min(n, len(codes))
    rows, columns, values = [], [], []
    for start in range(0, len(left), _USERS_AT_ONCE):
        scores = left[start : start + _USERS_AT_ONCE] @ right.T
        if skip is not None:
            scores[np.asarray(skip[start : start + len(scores)][:, codes].todense()) > 0] = -np.inf
        best = np.sort(np.argpartition(-scores, n - 1, axis=1)[:, :n], axis=1)
        rows.append(np.repeat(start + np.arange(len(scores)), n))
        columns.append(codes[best].ravel())
        values.append(np.take_along_axis(scores, best, axis=1).ravel())
    row, value = np.concatenate(rows), np.concatenate(values)
    kept = np.isfinite(value)
    return csr(
        (positive(value[kept]), (row[kept], np.concatenate(columns)[kept])), shape=(len(left), n_items),
        dtype=np.float32,
    )



def _precision(rival: GraphRival, watch: Watch) -> float:
    """Mean average precision of the watched users' first `k`."""
    scores = rival.score(watch.users, watch.k)
    total = 0.0
    for at in range(len(watch.users)):
        first, last = scores.indptr[at], scores.indptr[at + 1]
        shown = scores.indices[first:last][np.argsort(-scores.data[first:last], kind="stable")]
        wanted = watch.taken.indices[watch.taken.indptr[at] : watch.taken.indptr[at + 1]]
        hits = np.isin(shown, wanted)
        total += float((np.cumsum(hits) / np.arange(1, len(hits) + 1))[hits].sum()) / min(len(wanted), watch.k)
    return total / max(len(watch.users), 1)
