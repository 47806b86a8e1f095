"""Node vectors and relations → node vectors that have heard from their neighbours."""

import warnings
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ltexpo.graph.encoder_settings import HEADS
from ltexpo.graph.sampling import Relation

Vectors = Mapping[str, Tensor]
RelationKind = tuple[str, str, str]
"""Name of a relation, the type that hears, the type that is heard."""


class Adjacency:
    """A relation as a CSR tensor (targets, sources) whose rows sum to one, with its transpose for the way back."""

    def __init__(self, relation: Relation, device: torch.device) -> None:
        self.name, self.target, self.source = relation.name, relation.target, relation.source
        matrix = relation.matrix.sorted_indices()
        total = torch.from_numpy(matrix.sum(axis=1)).reshape(-1).float()
        weight = torch.from_numpy(matrix.data).float()
        count = torch.from_numpy(matrix.indptr).long().diff()
        share = weight / total.clamp_min(1e-12).repeat_interleave(count)
        matrix = matrix.copy()
        matrix.data = share.numpy()
        self.forward_matrix = _tensor(matrix, device)
        self.backward_matrix = _tensor(matrix.T.tocsr().sorted_indices(), device)
        self.heard = (count > 0).to(device)
        self.rows = torch.nonzero(self.heard)[:, 0]
        """Targets that hear anything."""

    def mean(self, x: Tensor) -> Tensor:
        """Weighted mean over neighbours: x (sources, d) → (targets, d), zero where there is none."""
        product: Tensor = _Propagate.apply(self.forward_matrix, self.backward_matrix, x)  # type: ignore[no-untyped-call]
        return product

    def edge_index(self) -> Tensor:
        """(2, E) source and target of every edge."""
        crow, columns = self.forward_matrix.crow_indices(), self.forward_matrix.col_indices()
        rows = torch.arange(len(crow) - 1, device=crow.device).repeat_interleave(crow.diff())
        return torch.stack([columns, rows]).long()


class _Propagate(torch.autograd.Function):
    """Sparse × dense. torch builds the transpose anew in every backward pass, which takes most of the time."""

    @staticmethod
    def forward(ctx: Any, matrix: Tensor, transposed: Tensor, x: Tensor) -> Tensor:
        ctx.transposed = transposed
        return matrix @ x

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[None, None, Tensor]:
        return None, None, ctx.transposed @ grads[0].contiguous()


def _tensor(matrix: Any, device: torch.device) -> Tensor:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
        return _csr_tensor(matrix).to(device)


def _csr_tensor(matrix: Any) -> Tensor:
    return torch.sparse_csr_tensor(
        torch.from_numpy(matrix.indptr).long(), torch.from_numpy(matrix.indices).long(),
        torch.from_numpy(matrix.data), size=matrix.shape, check_invariants=False,
    )


class SageLayer(nn.Module):
    """h'_i = norm(h_i + relu(W h_i + Σ_r W_r mean_{j∈N_r(i)} h_j)), a matrix for every relation.

    GraphSAGE (Hamilton, Ying & Leskovec 2017) over typed edges (R-GCN, Schlichtkrull et al. 2018).
    """

    def __init__(self, width: int, types: tuple[str, ...], relations: tuple[RelationKind, ...]) -> None:
        super().__init__()
        # lists, not dictionaries: a module's name may not hold a full stop, a column's may
        self.types = {kind: i for i, kind in enumerate(types)}
        self.relations = {name: i for i, (name, _, _) in enumerate(relations)}
        self.own = nn.ModuleList(nn.Linear(width, width) for _ in types)
        self.heard = nn.ModuleList(nn.Linear(width, width, bias=False) for _ in relations)
        self.norm = nn.ModuleList(nn.LayerNorm(width) for _ in types)

    def forward(self, x: Vectors, relations: Mapping[str, Adjacency], keep: Vectors) -> dict[str, Tensor]:
        """Vectors by type → the same after one hop; `keep` (relation → (targets, 1)) silences edges of some rows."""
        out = {kind: self.own[self.types[kind]](h) for kind, h in x.items()}
        for name, adjacency in relations.items():
            # in a sampled part of the graph most nodes only speak: nothing is to be multiplied for them
            rows = adjacency.rows
            message = self.heard[self.relations[name]](adjacency.mean(x[adjacency.source])[rows])
            if name in keep:
                message = message * keep[name][rows]
            out[adjacency.target] = out[adjacency.target].index_add(0, rows, message)
        return {kind: self.norm[self.types[kind]](x[kind] + out[kind].relu()) for kind in x}


class LightLayer(nn.Module):
    """h'_i = mean over the relations heard of mean_{j∈N_r(i)} h_j: no weights (LightGCN, He et al. 2020)."""

    def forward(self, x: Vectors, relations: Mapping[str, Adjacency], keep: Vectors) -> dict[str, Tensor]:
        """See `SageLayer.forward`; a node that hears nothing keeps its vector."""
        total = {kind: torch.zeros_like(h) for kind, h in x.items()}
        count = {kind: torch.zeros(len(h), 1, device=h.device) for kind, h in x.items()}
        for name, adjacency in relations.items():
            heard = adjacency.heard[:, None].float()
            if name in keep:
                heard = heard * keep[name]
            total[adjacency.target] = total[adjacency.target] + adjacency.mean(x[adjacency.source]) * heard
            count[adjacency.target] = count[adjacency.target] + heard
        return {kind: torch.where(count[kind] > 0, total[kind] / count[kind].clamp_min(1), x[kind]) for kind in x}


class AttentionLayer(nn.Module):
    """The heterogeneous graph transformer (Hu et al. 2020), by torch-geometric; edge weights are not looked at."""

    def __init__(self, width: int, types: tuple[str, ...], relations: tuple[RelationKind, ...]) -> None:
        super().__init__()
        from torch_geometric.nn import HGTConv

        self.types = {kind: f"t{i}" for i, kind in enumerate(types)}
        self.edges = {
            name: (self.types[source], f"r{i}", self.types[target])
            for i, (name, target, source) in enumerate(relations)
        }
        self.conv = HGTConv(width, width, (list(self.types.values()), list(self.edges.values())), heads=HEADS)

    def forward(self, x: Vectors, relations: Mapping[str, Adjacency], keep: Vectors) -> dict[str, Tensor]:
        """See `SageLayer.forward`."""
        edges = {}
        for name, adjacency in relations.items():
            pairs = adjacency.edge_index()
            edges[self.edges[name]] = pairs[:, keep[name][pairs[1], 0] > 0] if name in keep else pairs
        out = self.conv({self.types[kind]: h for kind, h in x.items()}, edges)
        heard = {kind: out.get(key) for kind, key in self.types.items()}
        return {kind: h if heard[kind] is None else heard[kind] for kind, h in x.items()}
