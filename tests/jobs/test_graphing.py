from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ltexpo.data.synthetic import make_shop
from ltexpo.encoders.item_vectors import ItemVectors
from ltexpo.errors import TableError
from ltexpo.graph import ProductGraph
from ltexpo.graph.encoder_settings import GraphEncoderSettings
from ltexpo.jobs.encoding import EncodeJob, run_encode
from ltexpo.jobs.graphing import GraphJob, run_graph

pytest.importorskip("torch")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shop") / "data"
    make_shop(n_items=200, n_users=120, n_days=6, rng=2).save(folder)
    return folder


def test_a_graph_of_words_behaviour_and_given_edges_and_its_vectors(data, tmp_path):
    run_encode(EncodeJob(data=data, out=tmp_path / "encoded"))
    items = pd.read_parquet(data / "items.parquet")["item_id"]
    pd.DataFrame({"source": items[:9], "relation": "also_bought", "target": items[1:10].to_numpy()}).to_parquet(
        tmp_path / "edges.parquet"
    )
    result = run_graph(GraphJob(
        data=data, out=tmp_path / "graph", vectors=tmp_path / "encoded", edges=tmp_path / "edges.parquet", train=True,
        network=GraphEncoderSettings(width=8, steps=5, batch=64),
    ))
    relations = set(result.to_pandas()["relation"])
    assert {"brand", "category", "viewed_together", "similar_text", "also_bought"} <= relations
    assert "held-out pairs" in str(result)
    assert set(ProductGraph.load(tmp_path / "graph").edges) == relations
    vectors, mask = ItemVectors.load(tmp_path / "graph" / "vectors").of("graph", items.to_list())
    assert mask.all() and vectors.shape == (200, 8)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_a_failed_job_leaves_nothing(data, tmp_path):
    with pytest.raises(TableError, match="no such file"):
        run_graph(GraphJob(data=data, out=tmp_path / "graph", edges=tmp_path / "none.parquet"))
    assert not (tmp_path / "graph").exists()
