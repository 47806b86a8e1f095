"""The networks read every product in item_id order, whatever the rows' order, and what came after training."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("torch", reason="extra 'model' is not installed")

from tiny_ranking import tiny_settings

from ltexpo.columns import Columns
from ltexpo.data.history import History
from ltexpo.encoders.item_vectors import Content
from ltexpo.errors import ConfigError
from ltexpo.ranking.reader import GRAPH, Reader, ReaderSettings

N_BRANDS, SIZE = 6, 20


def _catalogue() -> pd.DataFrame:
    n = N_BRANDS * SIZE
    return pd.DataFrame({
        Columns.Item: [f"i{i:03d}" for i in range(n)], Columns.Title: "t", "brand": [f"b{i // SIZE}" for i in range(n)],
    })


def _purchases() -> pd.DataFrame:
    """Each of 200 users buys one brand, once a day; the last two products of a brand are never bought."""
    rng = np.random.default_rng(0)
    rows = []
    for user in range(200):
        brand = rng.integers(N_BRANDS)
        for day, item in enumerate(rng.choice(SIZE - 2, 4, replace=False)):
            stamp = pd.Timestamp("2024-01-01", tz="UTC") + pd.Timedelta(days=day)
            rows.append((f"u{user}", f"i{brand * SIZE + item:03d}", "purchase", stamp))
    return pd.DataFrame(rows, columns=[Columns.User, Columns.Item, Columns.Event, Columns.Timestamp])


def _content() -> Content:
    rng = np.random.default_rng(5)
    n = N_BRANDS * SIZE
    picture = np.eye(N_BRANDS)[np.arange(n) // SIZE] + 0.2 * rng.normal(size=(n, N_BRANDS))
    return {"image": (picture.astype(np.float32), np.arange(n) % 5 > 0)}


def _settings(**more: object) -> ReaderSettings:
    tiny = tiny_settings()
    given = {"network": tiny["network"], "fusion": {"width": 16, "heads": 2}, "training": tiny["training"]}
    return ReaderSettings.model_validate({**given, **more})


@pytest.fixture(scope="module")
def reader() -> Reader:
    training = {"epochs": 12, "batch": 64, "uniform": 32, "rate": 0.003}
    return Reader(_settings(training=training)).fit(_catalogue(), _purchases(), _content(), rng=0)


def test_vectors_have_length_one_and_none_where_there_are_none(reader: Reader):
    vectors, matcher = reader.read(_catalogue(), _purchases(), _content())
    assert set(vectors) == {"image", GRAPH} and matcher is not None
    there = _content()["image"][1]
    for name, rows in vectors.items():
        length = np.linalg.norm(rows, axis=1)
        expected = there.astype(float) if name == "image" else np.ones(len(there))
        assert length == pytest.approx(expected, abs=1e-5), name


def test_the_order_of_rows_says_nothing(reader: Reader):
    order = np.random.default_rng(2).permutation(N_BRANDS * SIZE)
    rows, there = _content()["image"]
    shuffled = _catalogue().iloc[order].reset_index(drop=True)
    mine, _ = reader.read(_catalogue(), _purchases(), _content())
    theirs, _ = reader.read(shuffled, _purchases(), {"image": (rows[order], there[order])})
    for name, vectors in mine.items():
        assert theirs[name] == pytest.approx(vectors, abs=1e-5), name


def test_products_that_came_later_are_read_and_matched(reader: Reader):
    items = _catalogue()
    later = pd.DataFrame({Columns.Item: [f"j{n}" for n in range(N_BRANDS)], Columns.Title: "t",
                          "brand": [f"b{n}" for n in range(N_BRANDS)]})
    rows, there = _content()["image"]
    content = {"image": (np.vstack([rows, np.eye(N_BRANDS, dtype=np.float32)]), np.r_[there, np.ones(N_BRANDS, bool)])}
    every = pd.concat([items, later], ignore_index=True)
    _, matcher = reader.read(every, _purchases(), content)
    assert matcher is not None and len(matcher.items) == len(every)
    history = History.of(every, _purchases())
    users = np.arange(60)
    new = np.arange(len(items), len(every))
    matched = matcher.match(history, users, np.full(len(every), "head", dtype=object), 1)
    scores = np.stack([matched.score(users, np.full(60, item)) for item in new], axis=1)
    brand = np.array([history.item[history.user == user][0] // SIZE for user in users])
    assert (scores.argmax(axis=1) == brand).mean() > 0.6  # one in six by chance


def test_products_read_as_new_are_read_as_if_nobody_had_seen_them(reader: Reader):
    ids = np.array(["i001", "i050"], dtype=object)
    events = _purchases()
    vectors, matcher = reader.read(_catalogue(), events, _content(), as_new=ids)
    gone = events[~events[Columns.Item].isin(ids)]
    same, _ = reader.read(_catalogue(), gone, _content())
    assert vectors[GRAPH] == pytest.approx(same[GRAPH], abs=1e-6)
    before = reader.read(_catalogue(), events, _content())[1]
    assert matcher is not None and before is not None and reader.match_ is not None
    changed = np.abs(matcher.items - before.items).max(axis=1)
    assert (changed[[1, 50]] > 1e-3).all()
    hidden = reader.match_.item_vectors(_catalogue(), matcher.content, hidden=("behaviour",))
    assert matcher.items[[1, 50]] == pytest.approx(hidden[[1, 50]], abs=1e-6)


@pytest.mark.parametrize("without", ["graph", "fusion"])
def test_saved_and_loaded_it_reads_the_same_bytes(reader: Reader, without: str, tmp_path: Path):
    for name, one in (("whole", reader), ("part", Reader(_settings(**{without: None})))):
        if name == "part":
            one.fit(_catalogue(), _purchases(), _content(), rng=0)
        one.save(tmp_path / name)
        again = Reader.load(tmp_path / name, one.settings)
        mine, theirs = (each.read(_catalogue(), _purchases(), _content())[0] for each in (one, again))
        assert set(mine) == set(theirs)
        for kind, vectors in mine.items():
            assert theirs[kind].tobytes() == vectors.tobytes(), kind
    assert ((tmp_path / "part" / "graph").exists(), (tmp_path / "part" / "match").exists()) == (
        without != "graph", without != "fusion"
    )


def test_two_kinds_of_graph_vectors_are_refused(reader: Reader):
    image = _content()["image"]
    with pytest.raises(ConfigError, match="Set graph: null"):
        reader.read(_catalogue(), _purchases(), {"image": image, GRAPH: image})
    given = Reader(_settings(graph=None)).fit(_catalogue(), _purchases(), {GRAPH: image}, rng=0)
    assert set(given.read(_catalogue(), _purchases(), {GRAPH: image})[0]) == {GRAPH}
