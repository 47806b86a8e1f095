"""Vectors → the most alike of each, exact, in blocks that fit the memory."""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

_BLOCK = 64_000_000
"""Numbers in one block of similarities: 256 MB."""


def nearest(
    queries: Floats, vectors: Floats, n: int, *, allowed: npt.NDArray[np.bool_] | None = None,
    same: npt.NDArray[np.int64] | None = None,
) -> tuple[npt.NDArray[np.int32], Floats]:
    """The `n` rows of `vectors` (I, d) of greatest inner product with each row of `queries` (Q, d), best first.

    → (Q, n) row and similarity; row −1 where there are fewer. Ties go to the lower row. `allowed` (I,) marks the rows
    that may be found; `same` (Q,) names a row that is left out for each query (itself), −1 for none.
    """
    usable = np.arange(len(vectors)) if allowed is None else np.flatnonzero(allowed)
    pool = np.ascontiguousarray(vectors[usable], dtype=np.float32)
    kept = min(n, len(usable))
    found = np.full((len(queries), n), -1, dtype=np.int32)
    alike = np.full((len(queries), n), -np.inf, dtype=np.float32)
    if not kept:
        return found, alike
    step = max(1, _BLOCK // len(usable))
    for start in range(0, len(queries), step):
        block = np.asarray(queries[start : start + step], dtype=np.float32) @ pool.T
        if same is not None:
            place = np.searchsorted(usable, same[start : start + step])
            hit = (place < len(usable)) & (usable[np.minimum(place, len(usable) - 1)] == same[start : start + step])
            block[np.flatnonzero(hit), place[hit]] = -np.inf
        # One more than asked shows whether a tie stands at the edge.
        best = np.argpartition(-block, min(kept, block.shape[1] - 1), axis=1)[:, :kept] if kept < block.shape[1] else (
            np.broadcast_to(np.arange(kept), block.shape).copy()
        )
        values = np.take_along_axis(block, best, axis=1)
        _mend_ties(block, best, values)
        order = np.lexsort((best, -values), axis=1)
        best, values = np.take_along_axis(best, order, axis=1), np.take_along_axis(values, order, axis=1)
        stop = start + len(block)
        found[start:stop, :kept] = np.where(np.isfinite(values), usable[best], -1)
        alike[start:stop, :kept] = values
    return found, alike


def _mend_ties(block: Floats, best: npt.NDArray[np.intp], values: Floats) -> None:
    """Among candidates equal to the last one kept, keep the lowest rows, as a full stable sort would."""
    edge = values.min(axis=1)
    tied = (block == edge[:, None]).sum(axis=1) > (values == edge[:, None]).sum(axis=1)
    for row in np.flatnonzero(tied):
        order = np.argsort(-block[row], kind="stable")[: best.shape[1]]
        best[row], values[row] = order, block[row, order]
