"""A scored pair → how much of the match each token of the item brings: 60% picture, 25% brand graph …"""

from itertools import combinations
from math import factorial

import numpy as np
import numpy.typing as npt
import pandas as pd

from ltexpo.encoders.item_vectors import Content
from ltexpo.fusion.match import MatchModel

Floats = npt.NDArray[np.float32]


def token_contributions(
    model: MatchModel, items: pd.DataFrame, content: Content, rows: npt.NDArray[np.int64], users: Floats
) -> pd.DataFrame:
    """Shapley values (Shapley 1953) of an item's tokens, by exact ablation: all 2^T sets of T tokens are scored.

    rows (P,): item of each pair, by item_id order; users (P, width + 1): its user's vector. One row per pair, one
    column per token, and 'base': the score with every token hidden. They sum to the score.
    """
    tokens = model.tokens
    inputs = model.inputs(items, content)
    asked, back = np.unique(rows, return_inverse=True)
    scores = {}
    for size in range(len(tokens) + 1):
        for shown in combinations(tokens, size):
            hidden = tuple(token for token in tokens if token not in shown)
            vectors = model.encode_rows(inputs, asked, hidden)
            scores[frozenset(shown)] = np.einsum("pd,pd->p", vectors[back], users).astype(np.float64)
    out = {"base": scores[frozenset()]}
    for token in tokens:
        others = [other for other in tokens if other != token]
        value = np.zeros(len(rows))
        for size in range(len(tokens)):
            weight = factorial(size) * factorial(len(tokens) - size - 1) / factorial(len(tokens))
            for shown in combinations(others, size):
                value += weight * (scores[frozenset((*shown, token))] - scores[frozenset(shown)])
        out[token] = value
    return pd.DataFrame(out)
