"""Catalogue, events and vectors → the product knowledge graph, and the vectors that a GNN reads from it."""

from ltexpo.graph.product_graph import GraphSettings, ProductGraph

__all__ = ["GraphSettings", "ProductGraph"]
