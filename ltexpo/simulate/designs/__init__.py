"""Experiments that randomise items instead of users: how far each is off, where items compete for the same slots."""

from ltexpo.simulate.designs.item_side import ItemSideResult, ItemSideSettings, simulate_item_designs

__all__ = ["ItemSideResult", "ItemSideSettings", "simulate_item_designs"]
