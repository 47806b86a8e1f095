"""Vectors → the most alike of each, exact, in blocks that fit the memory."""

import numba
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
        stop = start + len(block)
        _largest(block, kept, usable, found[start:stop], alike[start:stop])
    return found, alike


def _largest_python(
    block: Floats, n: int, names: npt.NDArray[np.int64], found: npt.NDArray[np.int32], alike: Floats
) -> None:
    """The `n` largest of each row, in order; what comes first wins a tie, and −∞ is never found."""
    for row in range(len(block)):
        held = 0
        for column in range(block.shape[1]):
            value = block[row, column]
            if value == -np.inf or (held == n and value <= alike[row, n - 1]):
                continue
            place = held if held < n else n - 1
            held = min(held + 1, n)
            while place > 0 and alike[row, place - 1] < value:
                found[row, place], alike[row, place] = found[row, place - 1], alike[row, place - 1]
                place -= 1
            found[row, place], alike[row, place] = names[column], value


_largest = numba.njit(cache=True, nogil=True)(_largest_python)
