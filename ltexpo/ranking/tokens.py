"""Catalogue → sparse weights of the attribute values and words of each item."""

import numpy as np
import pandas as pd
from scipy import sparse
from sklearn.feature_extraction.text import TfidfVectorizer

from ltexpo.columns import Columns
from ltexpo.data.attributes import attribute_values
from ltexpo.sparse import Csr, csr, unit_rows

_ALWAYS_FEW = 200


def catalogue_tokens(items: pd.DataFrame, *, text_weight: float, max_share: float) -> Csr:
    """IDF-weighted tokens: CSR (I, V); words have row length `text_weight`, attribute values 1 − `text_weight`.

    A token on one item alone cannot join it to another, one on more than `max_share` of them (and more than 200) joins
    too many: both are left out. Every column that is not text, picture, time or a fraction is an attribute; a list
    holds several values, and so does a path such as 'Beauty > Makeup > Lips'.
    """
    words = unit_rows(_words(items, max_share)) * text_weight
    values = unit_rows(_attribute_values(items, max_share)) * (1 - text_weight)
    return csr(sparse.hstack([words, values], format="csr"))


def _words(items: pd.DataFrame, max_share: float) -> Csr:
    texts = items[Columns.Title].fillna("").astype(object)
    if Columns.Description in items.columns:
        texts = texts + " " + items[Columns.Description].fillna("").astype(object)
    try:
        counted = TfidfVectorizer(
            min_df=2, max_df=_most(items, max_share), sublinear_tf=True, dtype=np.float32
        ).fit_transform(texts)
    except ValueError:  # no word is left: texts are empty or have nothing in common
        return csr((len(items), 0), dtype=np.float32)
    return csr(counted)


def _attribute_values(items: pd.DataFrame, max_share: float) -> Csr:
    blocks = [csr((len(items), 0), dtype=np.float32)]
    for _, rows, names in attribute_values(items):
        codes, values = pd.factorize(names, sort=True)
        block = csr((np.ones(len(codes), dtype=np.float32), (rows, codes)), shape=(len(items), len(values)))
        held = np.bincount(block.indices, minlength=len(values))
        kept = np.flatnonzero((held >= 2) & (held <= _most(items, max_share)))
        idf = np.log((1 + len(items)) / held[kept])
        blocks.append(csr(block[:, kept].multiply(idf[None, :])))
    return csr(sparse.hstack(blocks, format="csr", dtype=np.float32))


def _most(items: pd.DataFrame, max_share: float) -> int:
    # In a small catalogue even a whole category is few enough to search by.
    return max(_ALWAYS_FEW, int(max_share * len(items)))
