"""A made marketplace whose truth is known: `make_shop` draws catalogue, users, pictures and logs from a seed."""

from ltexpo.data.synthetic.graph import product_graph
from ltexpo.data.synthetic.pictures import draw_picture
from ltexpo.data.synthetic.policy import LoggingPolicy
from ltexpo.data.synthetic.shop import Shop, make_shop
from ltexpo.data.synthetic.truth import TRUTH_FOLDER, Truth

__all__ = ["TRUTH_FOLDER", "LoggingPolicy", "Shop", "Truth", "draw_picture", "make_shop", "product_graph"]
