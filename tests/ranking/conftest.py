"""The small shop, with vectors, that tests of the whole model share."""

import pytest
from tiny_ranking import vectors_of

from ltexpo.data.synthetic import Shop, make_shop
from ltexpo.encoders.item_vectors import Content


@pytest.fixture(scope="module")
def shop() -> Shop:
    return make_shop(n_items=300, n_users=400, n_days=6, rng=0)


@pytest.fixture(scope="module")
def content(shop: Shop) -> Content:
    return vectors_of(shop.dataset)
