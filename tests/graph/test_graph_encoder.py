import numpy as np
import pandas as pd
import pytest

from ltexpo.data.synthetic import make_shop
from ltexpo.errors import ConfigError, LtexpoError, TableError
from ltexpo.graph import GraphSettings, ProductGraph
from ltexpo.graph.sampling import Relation, sample_neighbours
from ltexpo.sparse import csr

torch = pytest.importorskip("torch")
from ltexpo.graph.encoder import GraphEncoder  # noqa: E402
from ltexpo.graph.encoder_settings import GraphEncoderSettings  # noqa: E402
from ltexpo.graph.layers import Adjacency, SageLayer  # noqa: E402
from ltexpo.graph.network import relations_of  # noqa: E402

QUICK = GraphEncoderSettings(width=16, steps=60, batch=256, rate=1e-2)


def groups(n_groups: int = 6, size: int = 20) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Products of a few brands; users buy within one brand, so the brand says what is bought together."""
    rng = np.random.default_rng(0)
    n = n_groups * size
    items = pd.DataFrame({
        "item_id": [f"i{i:03d}" for i in range(n)], "title": "t", "brand": [f"b.{i // size}" for i in range(n)],
    })
    rows = []
    for user in range(300):
        brand = rng.integers(n_groups)
        for item in rng.choice(size - 2, 3, replace=False):  # the last two of each brand are new
            rows.append((f"u{user}", f"i{brand * size + item:03d}", "purchase", "2024-01-01"))
    events = pd.DataFrame(rows, columns=["user_id", "item_id", "event", "timestamp"])
    return items, events.assign(timestamp=pd.to_datetime(events["timestamp"], utc=True))


def graph_of(items: pd.DataFrame, events: pd.DataFrame) -> ProductGraph:
    return ProductGraph.build(items, events, until=None, settings=GraphSettings(max_share=0.5))


def noise(n: int, seed: int = 1) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    rng = np.random.default_rng(seed)
    return {"text": (rng.normal(size=(n, 5)).astype(np.float32), rng.random(n) < 0.8)}


def share_of_own_brand(vectors: np.ndarray, rows: np.ndarray, size: int = 20) -> float:
    alike = vectors[rows] @ vectors.T
    alike[np.arange(len(rows)), rows] = -np.inf
    best = np.argsort(-alike, axis=1)[:, :5]
    return float((best // size == (rows // size)[:, None]).mean())


# without weights a product's own content, here noise, stays a third of its vector
@pytest.mark.parametrize(("convolution", "least"), [("sage", 0.8), ("hgt", 0.8), ("lightgcn", 0.4)])
def test_products_taken_together_lie_together_and_so_do_new_ones(convolution, least):
    items, events = groups()
    graph, content = graph_of(items, events), noise(len(items))
    settings = QUICK.model_copy(update={"convolution": convolution})
    encoder = GraphEncoder(settings).fit(graph, content)
    vectors = encoder.encode(graph, content)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    new = np.flatnonzero(np.arange(len(items)) % 20 >= 18)
    assert share_of_own_brand(vectors, new) > least  # chance: 1/6
    assert encoder.history_[-1] <= encoder.history_[0]
    hidden = encoder.encode(graph, content, known=np.zeros(len(items), dtype=bool))
    assert share_of_own_brand(hidden, np.arange(0, 120, 7)) > least


def test_a_sampled_graph_learns_too():
    items, events = groups()
    graph, content = graph_of(items, events), noise(len(items))
    encoder = GraphEncoder(QUICK.model_copy(update={"full_batch": 0, "fanout": 4, "steps": 40})).fit(graph, content)
    assert share_of_own_brand(encoder.encode(graph, content), np.arange(120)) > 0.8


def test_same_seed_same_bytes_and_another_graph():
    items, events = groups()
    graph, content = graph_of(items, events), noise(len(items))
    first = GraphEncoder(QUICK).fit(graph, content, rng=4)
    again = GraphEncoder(QUICK).fit(graph, content, rng=4)
    assert (first.encode(graph, content) == again.encode(graph, content)).all()
    # a catalogue that has grown, without the relation from events
    grown = pd.concat([items, pd.DataFrame({"item_id": ["zz"], "title": ["t"], "brand": ["b.0"]})], ignore_index=True)
    later = ProductGraph.build(grown, until=None, settings=GraphSettings(max_share=0.5))
    vectors = first.encode(later, noise(121))
    assert vectors.shape == (121, 16)
    assert share_of_own_brand(vectors, np.array([5])) > 0.5


def test_save_and_load(tmp_path):
    items, events = groups()
    graph, content = graph_of(items, events), noise(len(items))
    encoder = GraphEncoder(QUICK.model_copy(update={"steps": 20})).fit(graph, content)
    again = GraphEncoder.load(encoder.save(tmp_path / "model"))
    assert (again.encode(graph, content) == encoder.encode(graph, content)).all()
    assert sorted(path.name for path in (tmp_path / "model").iterdir()) == [
        ".ltexpo", "config.json", "model.safetensors",
    ]


def test_refusals(tmp_path):
    items, events = groups()
    graph = graph_of(items, events)
    with pytest.raises(LtexpoError, match="not fitted"):
        GraphEncoder().encode(graph, {})
    with pytest.raises(TableError, match="no edge from behaviour"):
        GraphEncoder(QUICK).fit(ProductGraph.build(items, until=None), {})
    with pytest.raises(TableError, match="'text': 3 rows for 120 products"):
        GraphEncoder(QUICK).fit(graph, noise(3))
    encoder = GraphEncoder(QUICK.model_copy(update={"steps": 1})).fit(graph, noise(120))
    with pytest.raises(ConfigError, match="learnt \\['text'\\]"):
        encoder.encode(graph, {})


def test_the_layer_is_graphsage():
    """Against torch-geometric's operator with the same weights, without the residual and the norm."""
    from torch_geometric.nn import SAGEConv

    rng = np.random.default_rng(0)
    matrix = csr((rng.random((4, 6)) * (rng.random((4, 6)) < 0.6)).astype(np.float32))
    relation = Relation("r.1", "a", "b", matrix)
    adjacency = Adjacency(relation, torch.device("cpu"))
    layer = SageLayer(3, ("a", "b"), (("r.1", "a", "b"),))
    x = {"a": torch.randn(4, 3), "b": torch.randn(6, 3)}
    theirs = SAGEConv((3, 3), 3, aggr="sum", root_weight=False, bias=False)
    theirs.lin_l.weight.data = layer.heard[0].weight.data
    message = theirs((x["b"], x["a"]), adjacency.forward_matrix)
    expected = layer.norm[0](x["a"] + (layer.own[0](x["a"]) + message).relu())
    assert torch.allclose(layer(x, {"r.1": adjacency}, {})["a"], expected, atol=1e-6)


def test_gradients_of_the_mean():
    rng = np.random.default_rng(0)
    matrix = csr((rng.random((4, 6)) * (rng.random((4, 6)) < 0.6)).astype(np.float32))
    adjacency = Adjacency(Relation("r", "a", "b", matrix), torch.device("cpu"))
    x = torch.randn(6, 3, requires_grad=True)
    (adjacency.mean(x) ** 2).sum().backward()
    own = x.grad.clone()
    x.grad = None
    ((adjacency.forward_matrix.to_dense() @ x) ** 2).sum().backward()
    assert torch.allclose(own, x.grad, atol=1e-6)


def test_sampling_follows_real_edges_and_keeps_small_parts_whole():
    shop = make_shop(n_items=150, n_users=100, n_days=6, rng=1).dataset
    relations = relations_of(ProductGraph.build(shop.items, shop.events, until=None))
    seeds = {"product": np.array([3, 1, 70])}
    whole = {relation.name: relation.matrix for relation in relations}
    part = sample_neighbours(relations, seeds, hops=2, fanout=3, rng=np.random.default_rng(0))
    assert part.nodes["product"][:3].tolist() == [3, 1, 70]
    for relation in part.relations:
        rows, columns = relation.matrix.nonzero()
        assert len(rows) == 0 or np.bincount(rows).max() <= 3
        known, local = whole[relation.name].toarray(), relation.matrix.toarray()
        assert (known[part.nodes[relation.target][rows], part.nodes[relation.source][columns]]
                == local[rows, columns]).all()
    every = sample_neighbours(relations, seeds, hops=1, fanout=10_000, rng=np.random.default_rng(0))
    for relation in every.relations:
        if relation.target == "product":
            assert (np.diff(relation.matrix.indptr)[:3] == np.diff(whole[relation.name].indptr)[[3, 1, 70]]).all()
