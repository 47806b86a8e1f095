"""Two sparse matrices → the n largest entries of each row of their product, which is never held whole."""

import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeAlias

import numba
import numpy as np
import numpy.typing as npt
from scipy import sparse

_ROWS_PER_TASK = 512

# Stubs of scipy differ between its versions: matrices are not typed more closely than by name.
Csr: TypeAlias = Any
csr: Any = sparse.csr_matrix


def top_product(left: Csr, right: Csr, n: int, *, skip: Csr | None = None) -> Csr:
    """The `n` largest positive entries of each row of left @ right: (R, K) × (K, C) → CSR (R, C), float32.

    Entries at the places stored in `skip` (R, C) are left out. Columns are ascending within a row; of equal values
    the lower column stays. One dense row of length C is held per thread, nothing of size R × C, and the result does
    not depend on the number of threads.
    """
    left, right = _plain(left), _plain(right)
    rows, columns = left.shape[0], right.shape[1]
    n = min(n, columns)
    hidden = csr((rows, columns), dtype=np.float32) if skip is None else _plain(skip)

    def task(start: int) -> tuple[npt.NDArray[Any], ...]:
        stop = min(start + _ROWS_PER_TASK, rows)
        found: tuple[npt.NDArray[Any], ...] = _top_rows(
            left.indptr, left.indices, left.data, right.indptr, right.indices, right.data,
            hidden.indptr, hidden.indices, start, stop, columns, n,
        )
        return found

    starts = range(0, rows, _ROWS_PER_TASK)
    if len(starts) <= 1:
        parts = [task(start) for start in starts]
    else:
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            parts = list(pool.map(task, starts))
    return _joined(parts, (rows, columns))


def top_rows(matrix: Csr, n: int) -> Csr:
    """The `n` largest positive entries of each row of `matrix` (R, C); of equal values the lower column stays."""
    matrix = _plain(matrix)
    longest = int(np.diff(matrix.indptr).max(initial=0))
    if longest <= n and (matrix.data > 0).all():
        return matrix
    identity = sparse.identity(matrix.shape[0], dtype=np.float32, format="csr")
    return top_product(identity, matrix, n)


def scaled_rows(matrix: Csr, factors: npt.NDArray[np.floating]) -> Csr:
    """Row r of `matrix` times `factors[r]`."""
    return csr(
        (matrix.data * np.repeat(factors, np.diff(matrix.indptr)), matrix.indices, matrix.indptr), shape=matrix.shape
    )


def unit_rows(matrix: Csr) -> Csr:
    """Rows of `matrix` scaled to Euclidean length 1; empty rows stay empty."""
    squares = np.zeros(matrix.shape[0])
    np.add.at(squares, np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr)), matrix.data.astype(float) ** 2)
    return scaled_rows(matrix, 1.0 / np.sqrt(np.where(squares > 0, squares, 1.0)))


def _plain(matrix: Csr) -> Csr:
    matrix = csr(matrix, dtype=np.float32)
    # Sorting in place would also reorder the caller's indices, which the conversion shares, but not the caller's data.
    return matrix if matrix.has_sorted_indices else matrix.sorted_indices()


def _joined(parts: list[tuple[npt.NDArray[Any], ...]], shape: tuple[int, int]) -> Csr:
    if not parts:
        return csr(shape, dtype=np.float32)
    lengths = np.concatenate([part[0] for part in parts])
    indptr = np.concatenate([[0], np.cumsum(lengths)])
    indices = np.concatenate([part[1] for part in parts])
    data = np.concatenate([part[2] for part in parts])
    return csr((data, indices, indptr), shape=shape)


def _top_rows_python(
    left_start: npt.NDArray[Any], left_column: npt.NDArray[Any], left_value: npt.NDArray[Any],
    right_start: npt.NDArray[Any], right_column: npt.NDArray[Any], right_value: npt.NDArray[Any],
    skip_start: npt.NDArray[Any], skip_column: npt.NDArray[Any], first: int, last: int, width: int, n: int,
) -> tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any]]:
    total = np.zeros(width, dtype=np.float32)
    seen = np.zeros(width, dtype=np.bool_)
    touched = np.empty(width, dtype=np.int64)
    lengths = np.zeros(last - first, dtype=np.int64)
    out_column = np.empty((last - first) * n, dtype=np.int64)
    out_value = np.empty((last - first) * n, dtype=np.float32)
    filled = 0
    for row in range(first, last):
        count = 0
        for a in range(left_start[row], left_start[row + 1]):
            middle, factor = left_column[a], left_value[a]
            for b in range(right_start[middle], right_start[middle + 1]):
                column = right_column[b]
                if not seen[column]:
                    seen[column] = True
                    touched[count] = column
                    count += 1
                total[column] += factor * right_value[b]
        for s in range(skip_start[row], skip_start[row + 1]):
            total[skip_column[s]] = 0.0
        kept = 0
        for t in range(count):
            if total[touched[t]] > 0.0:
                touched[kept], touched[t] = touched[t], touched[kept]
                kept += 1
        if kept > n:
            # The n-th largest value is the threshold; ties at it go to the lowest columns.
            values = np.empty(kept, dtype=np.float32)
            for t in range(kept):
                values[t] = total[touched[t]]
            threshold = np.partition(values, kept - n)[kept - n]
            room = n
            for t in range(kept):
                if values[t] > threshold:
                    room -= 1
            columns = np.sort(touched[:kept])
            for t in range(kept):
                value = total[columns[t]]
                if value > threshold or (value == threshold and room > 0):
                    if value == threshold:
                        room -= 1
                    out_column[filled] = columns[t]
                    out_value[filled] = value
                    filled += 1
                    lengths[row - first] += 1
        else:
            columns = np.sort(touched[:kept])
            for t in range(kept):
                out_column[filled] = columns[t]
                out_value[filled] = total[columns[t]]
                filled += 1
            lengths[row - first] = kept
        for t in range(count):
            total[touched[t]] = 0.0
            seen[touched[t]] = False
        for s in range(skip_start[row], skip_start[row + 1]):
            total[skip_column[s]] = 0.0
    return lengths, out_column[:filled].copy(), out_value[:filled].copy()


_top_rows = numba.njit(cache=True, nogil=True)(_top_rows_python)
