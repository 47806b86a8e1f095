"""Importance weights → k̂, the shape of the Pareto tail that their largest follow."""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

_FEWEST = 5


def pareto_k(weights: Floats) -> float:
    """k̂ of the weights (n,) above 0 (Vehtari et al., JMLR 2024): a tail with k > 0.5 has no variance, k > 1 no mean.

    A generalised Pareto distribution is fitted to what the min(0.2 n, 3 √n) largest exceed the next one by. −∞ when
    nothing exceeds it, NaN when there are too few weights to tell.
    """
    held = np.sort(weights[weights > 0])
    tail = int(min(0.2 * len(held), 3 * np.sqrt(len(held))))
    if tail < _FEWEST:
        return float("nan")
    excess = held[-tail:] - held[-tail - 1]
    # ties at the threshold exceed it by nothing
    excess = excess[excess > held[-tail - 1] * 1e-12]
    if len(excess) < _FEWEST:
        return float("-inf")
    return _shape(excess)


def _shape(excess: Floats) -> float:
    """Shape of the generalised Pareto distribution, by the posterior mean of Zhang & Stephens (Technometrics 2009).

    `excess` (n,) is ascending and above 0. As Vehtari et al. do, drawn towards 0.5 as by ten further values.
    """
    n = len(excess)
    grid = 30 + int(np.sqrt(n))
    quartile = excess[int(n / 4 + 0.5) - 1]
    theta = 1 / excess[-1] + (1 - np.sqrt(grid / (np.arange(1, grid + 1) - 0.5))) / (3 * quartile)
    theta[theta == 0] = 1e-9 / excess[-1]  # an exponential tail, of which the ratio below has a limit only
    shape = np.log1p(-theta[:, None] * excess).mean(axis=1)
    likelihood = n * (np.log(-theta / shape) - shape - 1)
    weights = np.exp(likelihood - likelihood.max())
    best = float((weights * theta).sum() / weights.sum())
    k = float(np.log1p(-best * excess).mean())
    return (n * k + 10 * 0.5) / (n + 10)
