"""Content of products and the relations around them → one unit vector per product."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from ltexpo.graph.encoder_settings import Convolution
from ltexpo.graph.layers import Adjacency, AttentionLayer, LightLayer, RelationKind, SageLayer
from ltexpo.graph.product_graph import BOUGHT, PRODUCT, VIEWED, ProductGraph
from ltexpo.graph.sampling import Relation
from ltexpo.sparse import csr


def relations_of(graph: ProductGraph) -> tuple[Relation, ...]:
    """Who hears whom: products their attributes and their neighbours, attributes the products that hold them."""
    relations = []
    for name in graph.edges:
        kind = graph.target_type(name)
        matrix = graph.matrix(name)
        relations.append(Relation(name, PRODUCT, kind, matrix))
        if kind != PRODUCT:
            relations.append(Relation(f"products of {name}", kind, PRODUCT, csr(matrix.T).sorted_indices()))
    return tuple(relations)


def from_behaviour(graph: ProductGraph) -> frozenset[str]:
    """Relations that a new product has no edge of: those from events, and given ones between products."""
    return frozenset(
        name for name in graph.edges
        if name in (BOUGHT, VIEWED) or (graph.target_type(name) == PRODUCT and not name.startswith("similar_"))
    )


class GraphNet(nn.Module):
    """Content in, hops over the typed graph, unit vectors out.

    A product without a modality gets that modality's learned vector; an attribute value starts as the mean of its
    products. Nothing belongs to a single node, so a product that was never seen gets a vector all the same.
    """

    def __init__(
        self, *, width: int, hops: int, convolution: Convolution, content: Mapping[str, int],
        relations: tuple[RelationKind, ...], behaviour: frozenset[str],
    ) -> None:
        super().__init__()
        kinds = tuple(sorted({PRODUCT} | {kind for _, target, source in relations for kind in (target, source)}))
        self.types = {kind: i for i, kind in enumerate(kinds)}
        self.behaviour = behaviour
        self.members = {target: name for name, target, _ in relations if target != PRODUCT}
        self.names = tuple(sorted(content))
        self.content = nn.ModuleList(nn.Linear(content[name], width) for name in self.names)
        self.missing = nn.Parameter(torch.zeros(len(self.names), width))
        self.start = nn.Embedding(len(kinds), width)
        nn.init.normal_(self.start.weight, std=0.02)
        layer = {"sage": SageLayer, "hgt": AttentionLayer}.get(convolution)
        self.layers = nn.ModuleList(
            LightLayer() if layer is None else layer(width, kinds, relations) for _ in range(hops)
        )
        self.averaged = layer is None
        self.out = nn.Linear(width, width)

    def forward(
        self, content: Mapping[str, tuple[Tensor, Tensor]], relations: Mapping[str, Adjacency],
        n_products: int, known: Tensor,
    ) -> Tensor:
        """Unit vectors (n, width) of the n products of a graph or of a part of one.

        content: name → vectors (n, d) and which are there (n,); known (n, 1) is 0 where a product's behaviour may not
        be looked at.
        """
        h = self.start.weight[self.types[PRODUCT]].expand(n_products, -1)
        for i, name in enumerate(self.names):
            vectors, there = content[name]
            h = h + torch.where(there[:, None], self.content[i](vectors), self.missing[i])
        x = {PRODUCT: h}
        for kind, name in self.members.items():
            x[kind] = relations[name].mean(h) + self.start.weight[self.types[kind]]
        keep = dict.fromkeys(self.behaviour, known)
        total = h
        for layer in self.layers:
            x = layer(x, relations, keep)
            total = total + x[PRODUCT]
        h = total / (len(self.layers) + 1) if self.averaged else x[PRODUCT]
        return nn.functional.normalize(self.out(h), dim=1)
