"""What was known of the users before + their outcomes → predictions that make CUPED's covariate."""

from typing import Literal

import numpy as np
import numpy.typing as npt

from ltexpo.errors import ConfigError

Array = npt.NDArray[np.float64]


def cupac(
    features: npt.ArrayLike,
    outcome: npt.ArrayLike,
    *,
    model: Literal["linear", "trees"] = "linear",
    folds: int = 5,
    rng: int | np.random.Generator = 0,
) -> Array:
    """Features from before the test (n, p) and the outcome (n,), both arms' users → predictions (n,) for `cuped`.

    Each user is predicted by a model of the other folds' users, so that no outcome foretells itself (CUPAC: Tang et
    al. 2020; cross-fitting: Chernozhukov et al. 2018). The model is not told the arms. "linear" is ridge regression,
    "trees" boosted trees of scikit-learn, for outcomes that bend. For a ratio metric the outcome is the numerator −
    R · denominator (`linearised`).
    """
    # Loaded here: the trees take a second to import, and few experiments ask for a prediction.
    from sklearn.ensemble import HistGradientBoostingRegressor
    from sklearn.linear_model import RidgeCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    x, y = np.asarray(features, dtype=np.float64), np.asarray(outcome, dtype=np.float64)
    x = x.reshape(len(y), -1)
    if not 2 <= folds <= len(y):
        raise ConfigError(f"folds must lie between 2 and the {len(y)} users; found {folds}.")
    generator = np.random.default_rng(rng)
    fold = generator.permutation(np.arange(len(y)) % folds)
    seed = int(generator.integers(2**31))
    predicted = np.empty(len(y))
    for held in range(folds):
        regressor = (
            make_pipeline(StandardScaler(), RidgeCV(np.geomspace(1e-2, 1e4, 7)))
            if model == "linear"
            else HistGradientBoostingRegressor(max_iter=100, learning_rate=0.06, max_leaf_nodes=15, random_state=seed)
        )
        regressor.fit(x[fold != held], y[fold != held])
        predicted[fold == held] = regressor.predict(x[fold == held])
    return predicted
