"""A product graph and the content of its products → the vector of every product, new ones included."""

import copy
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import load_file, save
from torch import Tensor

from ltexpo.config import check_settings
from ltexpo.data.files import read_json, write_json
from ltexpo.data.output_folder import output_folder
from ltexpo.encoders.device import RunSettings, choose_device
from ltexpo.encoders.item_vectors import Content
from ltexpo.errors import ConfigError, LtexpoError, TableError
from ltexpo.graph.encoder_settings import GraphEncoderSettings
from ltexpo.graph.layers import Adjacency
from ltexpo.graph.network import GraphNet, from_behaviour, relations_of
from ltexpo.graph.product_graph import PRODUCT, ProductGraph
from ltexpo.graph.sampling import Relation, sample_neighbours
from ltexpo.progress import Watch, track

Floats = npt.NDArray[np.float32]
CONFIG_FILE, WEIGHTS_FILE = "config.json", "model.safetensors"


class GraphEncoder:
    """Learns vectors whose cosine tells which products are taken together.

    Positive pairs are the graph's behaviour edges, drawn by weight; a tenth is held out, also from the graph. The loss
    is a softmax over the batch with the logQ correction (Yi et al. 2019). Fitted: `net_`, `history_` (loss on held-out
    pairs at every look).
    """

    def __init__(self, settings: GraphEncoderSettings | None = None, *, device: str = "auto") -> None:
        self.settings = settings or GraphEncoderSettings()
        self.device, _ = choose_device(check_settings(RunSettings, {"device": device}, "options"))

    def fit(
        self, graph: ProductGraph, content: Content, *, rng: int | np.random.Generator = 0, watch: Watch | None = None
    ) -> Self:
        """Train on `graph`; `content` in the code order of its products; `watch` is told the losses at every look.

        Raises `TableError` without any pair.
        """
        settings, generator = self.settings, np.random.default_rng(rng)
        self._check(graph, content)
        source, target, weight = _behaviour_pairs(graph)
        held = generator.random(len(source)) < 0.1
        if not held.any() or held.all():
            raise TableError(f"the graph has {len(source)} pairs of products taken together, too few to learn from.")
        relations = _without(relations_of(graph), source[held], target[held])
        torch.manual_seed(int(generator.integers(2**31)))
        self.kinds_ = tuple((r.name, r.target, r.source) for r in relations)
        self.behaviour_ = tuple(sorted(from_behaviour(graph)))
        self.content_ = {name: int(vectors.shape[1]) for name, (vectors, _) in content.items()}
        self.net_ = self._network()
        whole = _Whole(relations, content, self.device) if self._fits(relations) else None
        optimizer = torch.optim.AdamW(self.net_.parameters(), lr=settings.rate, weight_decay=1e-4)
        chance = np.cumsum(weight * ~held)
        frequency = np.bincount(target, weights=weight * ~held, minlength=graph.n_products)
        logq = torch.from_numpy(np.log(np.maximum(frequency / frequency.sum(), 1e-12))).float().to(self.device)
        judged = np.flatnonzero(held)[: settings.batch]
        best, kept, stale = np.inf, copy.deepcopy(self.net_.state_dict()), 0
        self.history_: list[float] = []
        for step in track(range(settings.steps), "graph network", total=settings.steps):
            drawn = np.searchsorted(chance, generator.random(settings.batch) * chance[-1], side="right")
            self.net_.train()
            loss = self._loss(relations, content, whole, source[drawn], target[drawn], logq, generator)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            if step % 20 == 19 or step == settings.steps - 1:
                if watch is not None:
                    watch("graph network/training loss", step + 1, float(loss.detach()))
                self.net_.eval()
                with torch.no_grad():
                    loss = self._loss(relations, content, whole, source[judged], target[judged], logq,
                                      np.random.default_rng(0))
                self.history_.append(float(loss))
                if watch is not None:
                    watch("graph network/held-out loss", step + 1, self.history_[-1])
                if self.history_[-1] < best - 1e-4:
                    best, kept, stale = self.history_[-1], copy.deepcopy(self.net_.state_dict()), 0
                else:
                    stale += 1
                if stale >= settings.patience:
                    break
        self.net_.load_state_dict(kept)
        return self

    def encode(
        self, graph: ProductGraph, content: Content, *, known: npt.NDArray[np.bool_] | None = None
    ) -> Floats:
        """(I, width) unit vectors of the products of `graph`, which may hold others than the one fitted.

        `known` (I,) false hides a product's own behaviour. Relations and modalities must be those of training; a
        relation that has no edge now counts as silent.
        """
        if not hasattr(self, "net_"):
            raise LtexpoError("this graph encoder is not fitted. Call fit or load first.")
        self._check(graph, content)
        if set(content) != set(self.content_):
            raise ConfigError(f"content holds {sorted(content)}; the graph encoder learnt {sorted(self.content_)}.")
        whole = _Whole(_aligned(graph, self.kinds_), content, self.device)
        shown = np.ones(graph.n_products, dtype=bool) if known is None else known
        self.net_.eval()
        with torch.no_grad():
            vectors: Floats = whole.run(self.net_, torch.from_numpy(shown).to(self.device)).cpu().numpy()
        return vectors

    def save(self, out: Path) -> Path:
        """Write config.json and model.safetensors."""
        with output_folder(out, verb="graph-encoder") as folder:
            self.write_into(folder)
        return Path(out)

    def write_into(self, folder: Path) -> None:
        """The files of `save`, into a folder that the caller makes appear at once."""
        if not hasattr(self, "net_"):
            raise LtexpoError("this graph encoder is not fitted. Call fit first.")
        facts: dict[str, Any] = {
            "settings": self.settings.model_dump(mode="json"), "relations": self.kinds_,
            "behaviour": self.behaviour_, "content": self.content_, "held_out_loss": self.history_,
        }
        write_json(facts, folder / CONFIG_FILE)
        weights = {name: value.cpu().contiguous() for name, value in self.net_.state_dict().items()}
        (folder / WEIGHTS_FILE).write_bytes(save(weights))  # save_file would let nobody else read it

    @classmethod
    def load(cls, folder: Path, *, device: str = "auto") -> "GraphEncoder":
        """Read what `save` wrote."""
        facts = read_json(Path(folder) / CONFIG_FILE)
        made = cls(check_settings(GraphEncoderSettings, facts["settings"], str(folder)), device=device)
        made.kinds_ = tuple((name, target, source) for name, target, source in facts["relations"])
        made.behaviour_ = tuple(facts["behaviour"])
        made.content_ = dict(facts["content"])
        made.history_ = list(facts["held_out_loss"])
        made.net_ = made._network()
        made.net_.load_state_dict(load_file(Path(folder) / WEIGHTS_FILE))
        made.net_.to(made.device)
        return made

    def _network(self) -> GraphNet:
        settings = self.settings
        return GraphNet(
            width=settings.width, hops=settings.hops, convolution=settings.convolution, content=self.content_,
            relations=self.kinds_, behaviour=frozenset(self.behaviour_),
        ).to(self.device)

    def _fits(self, relations: tuple[Relation, ...]) -> bool:
        return bool(sum(relation.matrix.nnz for relation in relations) <= self.settings.full_batch)

    def _check(self, graph: ProductGraph, content: Content) -> None:
        for name, (vectors, there) in content.items():
            if len(vectors) != graph.n_products or len(there) != graph.n_products:
                raise TableError(
                    f"content '{name}': {len(vectors):,} rows for {graph.n_products:,} products of the graph."
                )

    def _loss(
        self, relations: tuple[Relation, ...], content: Content, whole: "_Whole | None",
        source: npt.NDArray[np.int64], target: npt.NDArray[np.int64], logq: Tensor, generator: np.random.Generator,
    ) -> Tensor:
        """Softmax over the batch's targets, with the popularity by which they were drawn taken out."""
        if whole is None:
            seeds = np.unique(np.concatenate([source, target]))
            part = sample_neighbours(
                # one hop more, since an attribute value starts as the mean of its products
                relations, {PRODUCT: seeds}, hops=self.settings.hops + 1, fanout=self.settings.fanout, rng=generator
            )
            rows = part.nodes[PRODUCT]
            near = {name: (vectors[rows], there[rows]) for name, (vectors, there) in content.items()}
            used = _Whole(part.relations, near, self.device)
            left, right = np.searchsorted(seeds, source), np.searchsorted(seeds, target)
        else:
            used, left, right = whole, source, target
        known = torch.from_numpy(generator.random(used.n_products) >= self.settings.cold_share).to(self.device)
        z = used.run(self.net_, known)
        scores = z[torch.from_numpy(left)] @ z[torch.from_numpy(right)].T / self.settings.temperature
        scores = scores - logq[torch.from_numpy(target)][None, :]
        same = torch.from_numpy(target[None, :] == target[:, None]).to(self.device)
        same.fill_diagonal_(False)
        scores = scores.masked_fill(same, -torch.inf)
        return torch.nn.functional.cross_entropy(scores, torch.arange(len(source), device=self.device))


class _Whole:
    """Relations and content as tensors."""

    def __init__(self, relations: tuple[Relation, ...], content: Content, device: torch.device) -> None:
        self.relations = {relation.name: Adjacency(relation, device) for relation in relations}
        self.n_products = next(
            relation.matrix.shape[0 if relation.target == PRODUCT else 1] for relation in relations
        )
        self.content = {
            name: (torch.from_numpy(np.where(there[:, None], vectors, 0).astype(np.float32)).to(device),
                   torch.from_numpy(there).to(device))
            for name, (vectors, there) in content.items()
        }

    def run(self, net: GraphNet, known: Tensor) -> Tensor:
        vectors: Tensor = net(self.content, self.relations, self.n_products, known.float()[:, None])
        return vectors


def _behaviour_pairs(
    graph: ProductGraph,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Source, target and weight of every behaviour edge, each relation weighing the same in all."""
    parts = [graph.edges[name] for name in sorted(from_behaviour(graph))]
    if not parts:
        raise TableError(
            "the graph has no edge from behaviour to learn from: no two products were taken or looked at by the same "
            "user. Build it with more events or given edges, or train a model without it (graph: null)."
        )
    return (
        np.concatenate([edges.source for edges in parts]).astype(np.int64),
        np.concatenate([edges.target for edges in parts]).astype(np.int64),
        np.concatenate([edges.weight / edges.weight.sum() for edges in parts]).astype(np.float64),
    )


def _without(
    relations: tuple[Relation, ...], source: npt.NDArray[np.int64], target: npt.NDArray[np.int64]
) -> tuple[Relation, ...]:
    """Relations between products without the held-out pairs, in either direction."""
    kept = []
    for relation in relations:
        if relation.target == relation.source == PRODUCT and not relation.name.startswith("similar_"):
            matrix = relation.matrix.tocoo()
            n = matrix.shape[0]
            hidden = np.unique(np.concatenate([source * n + target, target * n + source]))
            stays = ~np.isin(matrix.row.astype(np.int64) * n + matrix.col, hidden)
            smaller = relation.matrix.__class__(
                (matrix.data[stays], (matrix.row[stays], matrix.col[stays])), shape=matrix.shape
            )
            relation = Relation(relation.name, relation.target, relation.source, smaller)
        kept.append(relation)
    return tuple(kept)


def _aligned(graph: ProductGraph, kinds: tuple[tuple[str, str, str], ...]) -> tuple[Relation, ...]:
    """The relations of training as `graph` has them; those it lacks are empty."""
    have = {relation.name: relation for relation in relations_of(graph)}
    aligned = []
    for name, target, source in kinds:
        if name in have:
            aligned.append(have[name])
            continue
        sizes = [len(graph.nodes[kind]) if kind in graph.nodes else 0 for kind in (target, source)]
        aligned.append(Relation(name, target, source, next(iter(have.values())).matrix.__class__(tuple(sizes))))
    return tuple(aligned)
