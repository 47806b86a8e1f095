"""The items table as sellers filled it → the product knowledge graph: edges from products to what they are."""

import numpy as np
import pandas as pd

from ltexpo.columns import Columns

RELATIONS = {
    "has_brand": Columns.Brand, "in_category": Columns.Category, "sold_by": Columns.Seller, "has_colour": "colour",
    "has_pattern": "pattern", "has_shape": "shape", "has_style": "style", "made_of": "material",
}
"""Relation → the items column its targets come from."""


def product_graph(items: pd.DataFrame) -> pd.DataFrame:
    """Edges source, relation, target; a product's node is its item_id, any other node is 'column:value'.

    Beside RELATIONS: ``part_of`` (category → department) and ``similar``, from each product to its neighbours in price
    among those of its category with the same style and material, where the seller named both. Empty fields give no
    edge.
    """
    parts = []
    for relation, column in RELATIONS.items():
        filled = items[items[column].notna()]
        kind = column.removesuffix("_id")
        parts.append(_edges(filled[Columns.Item], relation, kind + ":" + filled[column].astype(str)))
    categories = items[[Columns.Category, "department"]].drop_duplicates().sort_values(Columns.Category)
    parts.append(_edges(
        "category:" + categories[Columns.Category].astype(str), "part_of",
        "department:" + categories["department"].astype(str),
    ))
    alike = [Columns.Category, "style", "material"]
    ordered = items.dropna(subset=alike).sort_values([*alike, Columns.Price, Columns.Item])
    ids = ordered[Columns.Item].to_numpy()
    keys = ordered[alike].astype(str).agg("|".join, axis=1).to_numpy() if len(ordered) else np.empty(0, dtype=object)
    for step in (1, 2):
        same = keys[step:] == keys[:-step]
        parts.append(_edges(ids[:-step][same], "similar", ids[step:][same]))
        parts.append(_edges(ids[step:][same], "similar", ids[:-step][same]))
    return pd.concat(parts, ignore_index=True)


def _edges(source: pd.Series | np.ndarray, relation: str, target: pd.Series | np.ndarray) -> pd.DataFrame:
    return pd.DataFrame({
        "source": pd.Series(np.asarray(source), dtype=str), "relation": relation,
        "target": pd.Series(np.asarray(target), dtype=str),
    })
