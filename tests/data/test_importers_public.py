"""MovieLens, Amazon reviews and KG, Open Bandit: hand-made files with the exact rows expected, then the real data."""

import gzip
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ltexpo.data import Dataset, time_split
from ltexpo.data.importers import import_source
from ltexpo.errors import ColumnError, ImportFormatError


def facts(out: Path) -> dict:
    return json.loads((out / "dataset.json").read_text())


def rows(frame: pd.DataFrame, *columns: str) -> list[list]:
    """Values with gaps as None and times as text."""
    picked = frame[list(columns)].copy()
    for column in picked.select_dtypes("datetimetz"):
        picked[column] = picked[column].dt.strftime("%Y-%m-%dT%H:%M:%S")
    return picked.astype(object).where(picked.notna(), None).to_numpy().tolist()


def write_movielens(folder: Path) -> None:
    folder.mkdir()
    (folder / "movies.csv").write_text(
        'movieId,title,genres\n1,Toy Story (1995),Adventure|Comedy\n11,"American President, The (1995)",Drama\n'
        "12,Untold (2000),(no genres listed)\n"
    )
    (folder / "ratings.csv").write_text(
        "userId,movieId,rating,timestamp\n1,11,2.5,1260759144\n1,11,2.5,1260759144\n2,1,4.0,1260759179\n"
        "2,99,4.0,1260759179\n"
    )
    (folder / "tags.csv").write_text("userId,movieId,tag,timestamp\n15,11,dentist,1193435061\n")


def test_movielens(tmp_path: Path):
    write_movielens(tmp_path / "ml")
    out = import_source("movielens", tmp_path / "ml", tmp_path / "out")
    dataset = Dataset.load(out)
    assert rows(dataset.items, "item_id", "title", "category", "genres") == [
        ["1", "Toy Story (1995)", "Adventure", "Adventure|Comedy"],
        ["11", "American President, The (1995)", "Drama", "Drama"],
        ["12", "Untold (2000)", None, None],
    ]
    assert rows(dataset.events, "user_id", "item_id", "event", "rating", "timestamp") == [
        ["1", "11", "rating", 2.5, "2009-12-14T02:52:24"], ["2", "1", "rating", 4.0, "2009-12-14T02:52:59"],
    ]
    assert rows(pd.read_parquet(out / "tags.parquet"), "user_id", "item_id", "tag", "timestamp") == [
        ["15", "11", "dentist", "2007-10-26T21:44:21"],
    ]
    assert facts(out)["left_out"] == {"events: repeated rating": 1, "events: item not in the catalogue": 1}


def test_movielens_bad_input(tmp_path: Path):
    write_movielens(tmp_path / "ml")
    (tmp_path / "ml" / "ratings.csv").write_text("userId,movieId,rating\n1,11,2.5\n")
    with pytest.raises(ColumnError, match="lacks 'timestamp'; found userId, movieId, rating"):
        import_source("movielens", tmp_path / "ml", tmp_path / "out")
    (tmp_path / "ml" / "ratings.csv").rename(tmp_path / "ml" / "ratings.dat")
    with pytest.raises(ImportFormatError, match=r"no ratings.csv.*found movies.csv, ratings.dat"):
        import_source("movielens", tmp_path / "ml", tmp_path / "out")


def test_movielens_real(shared_data: Path, tmp_path: Path):
    out = import_source("movielens", shared_data / "ml_latest_small", tmp_path / "out")
    dataset, noted = Dataset.load(out), facts(out)
    assert (noted["items"], noted["users"], noted["events"]) == (9_125, 671, {"rating": 100_004})
    assert noted["left_out"] == {}
    assert (noted["from"][:10], noted["to"][:10]) == ("1995-01-09", "2016-10-16")
    assert set(dataset.events["rating"]) == set(np.arange(0.5, 5.5, 0.5))
    assert len(pd.read_parquet(out / "tags.parquet")) == 1_296


def write_lines(path: Path, *values: dict) -> None:
    text = "".join(json.dumps(value) + "\n" for value in values).encode()
    path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)


def test_amazon_reviews_2018(tmp_path: Path):
    folder = tmp_path / "amazon"
    folder.mkdir()
    review = {
        "reviewerID": "A1", "asin": "B1", "overall": 5.0, "unixReviewTime": 1448409600, "reviewText": "Very good. ",
        "summary": "Five", "verified": True, "vote": "3", "style": {"Size:": " L"},
    }
    write_lines(
        folder / "AMAZON_FASHION_5.json.gz", review, review,
        {"reviewerID": "A2", "asin": "B2", "overall": 1, "unixReviewTime": 1448409601},
        {"reviewerID": "A2", "asin": "B9", "overall": 1.0, "unixReviewTime": 1448409601},
    )
    write_lines(
        folder / "meta_AMAZON_FASHION.json.gz",
        {
            "asin": "B1", "title": "Slippers", "brand": "Powerstep", "category": ["Clothing", "Shoes", "Slippers"],
            "price": "$5.00 - $9.99", "description": ["Soft.", "Warm."], "also_buy": ["B2", "B7", "B2"],
            "also_view": ["B2"], "imageURL": ["https://x/1._SS40.jpg"], "imageURLHighRes": ["https://x/1.jpg"],
        },
        {"asin": "B2", "title": "", "category": [], "main_cat": "Beauty", "price": ".css{a:b}", "feature": ["Light"]},
        {"asin": "B1", "title": "Slippers again"},
    )
    out = import_source("amazon-reviews", folder, tmp_path / "out")
    dataset = Dataset.load(out)
    columns = ("item_id", "title", "description", "brand", "category", "price", "category_path", "image_url")
    assert rows(dataset.items, *columns) == [
        ["B1", "Slippers", "Soft.\nWarm.", "Powerstep", "Slippers", 5.0, "Clothing > Shoes > Slippers",
         "https://x/1.jpg"],
        ["B2", None, "Light", None, "Beauty", None, "Beauty", None],
    ]
    columns = ("user_id", "item_id", "event", "timestamp", "rating", "text", "summary", "verified")
    assert rows(dataset.events, *columns) == [
        ["A1", "B1", "rating", "2015-11-25T00:00:00", 5.0, "Very good.", "Five", True],
        ["A2", "B2", "rating", "2015-11-25T00:00:01", 1.0, None, None, None],
    ]
    assert rows(pd.read_parquet(out / "edges.parquet"), "source", "relation", "target") == [
        ["B1", "also_bought", "B2"], ["B1", "also_viewed", "B2"],
    ]
    noted = facts(out)
    assert noted["left_out"] == {
        "events: repeated review": 1, "edges: target not in the catalogue": 1,
        "items: repeated item_id, first row kept": 1, "events: item not in the catalogue": 1,
    }
    assert noted["tolerated"] == {
        "items: price range, lowest taken": 1, "items: price not readable, left empty": 1,
    }


def write_amazon_2023(folder: Path) -> None:
    folder.mkdir()
    write_lines(
        folder / "All_Beauty.jsonl",
        {
            "rating": 5.0, "title": "Such a scent", "text": "I like it", "images": [], "asin": "B00YQ6X8EO",
            "parent_asin": "B0P", "user_id": "AGK", "timestamp": 1588687728923, "helpful_vote": 0,
            "verified_purchase": True,
        },
        {"rating": 2, "title": "", "text": "no", "asin": "B0Q", "parent_asin": "B0Q", "user_id": "AGL",
         "timestamp": 1588687728924, "verified_purchase": False},
    )
    write_lines(
        folder / "meta_All_Beauty.jsonl",
        {
            "main_category": "All Beauty", "title": "Howard Wood Care", "average_rating": 4.8, "features": ["F1"],
            "description": ["D1", "D2"], "price": 14.5, "store": "Howard", "categories": [], "parent_asin": "B0P",
            "images": [{"thumb": "t", "large": "https://l", "variant": "MAIN", "hi_res": None}],
            "details": {"Brand": "H"}, "bought_together": None,
        },
        {"main_category": None, "title": "Q", "categories": ["Beauty", "Nails"], "parent_asin": "B0Q", "store": None,
         "price": "None", "images": {"hi_res": ["https://h"], "large": ["x"]}, "features": [], "description": []},
    )


def test_amazon_reviews_2023(tmp_path: Path):
    write_amazon_2023(tmp_path / "amazon")
    out = import_source("amazon-reviews", tmp_path / "amazon", tmp_path / "out")
    dataset = Dataset.load(out)
    columns = ("item_id", "title", "description", "brand", "category", "price", "category_path", "image_url")
    assert rows(dataset.items, *columns) == [
        ["B0P", "Howard Wood Care", "F1\nD1\nD2", "Howard", "All Beauty", 14.5, "All Beauty", "https://l"],
        ["B0Q", "Q", None, None, "Nails", None, "Beauty > Nails", "https://h"],
    ]
    columns = ("user_id", "item_id", "asin", "event", "timestamp", "rating", "text", "summary", "verified")
    assert rows(dataset.events, *columns) == [
        ["AGK", "B0P", "B00YQ6X8EO", "rating", "2020-05-05T14:08:48", 5.0, "I like it", "Such a scent", True],
        ["AGL", "B0Q", "B0Q", "rating", "2020-05-05T14:08:48", 2.0, "no", None, False],
    ]
    assert dataset.events["timestamp"][0].microsecond == 923_000
    assert not (out / "edges.parquet").exists()
    assert facts(out)["left_out"] == {}


def test_amazon_reviews_are_the_same_in_any_batch_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    write_amazon_2023(tmp_path / "amazon")
    whole = Dataset.load(import_source("amazon-reviews", tmp_path / "amazon", tmp_path / "a"))
    monkeypatch.setattr("ltexpo.data.importers.amazon_reviews.BATCH", 1)
    pieces = Dataset.load(import_source("amazon-reviews", tmp_path / "amazon", tmp_path / "b"))
    pd.testing.assert_frame_equal(whole.items, pieces.items)
    pd.testing.assert_frame_equal(whole.events, pieces.events)


def test_amazon_reviews_bad_input(tmp_path: Path):
    folder = tmp_path / "amazon"
    write_amazon_2023(folder)
    meta, reviews = folder / "meta_All_Beauty.jsonl", folder / "All_Beauty.jsonl"
    with reviews.open("a") as file:
        file.write('{"rating": 5.0, "title"\n')
    with pytest.raises(ImportFormatError, match=r"All_Beauty.jsonl line 3: is not JSON"):
        import_source("amazon-reviews", folder, tmp_path / "out")
    write_lines(reviews, {"rating": 5.0, "parent_asin": "B0P", "user_id": "A", "timestamp": "noon"})
    with pytest.raises(ColumnError, match="'noon', not a number"):
        import_source("amazon-reviews", folder, tmp_path / "out")
    write_lines(reviews, {"rating": 5, "parent_asin": "B0P", "user_id": "A", "timestamp": 1},
                {"rating": "five", "parent_asin": "B0P", "user_id": "A", "timestamp": 1})
    with pytest.raises(ImportFormatError, match="a number in some lines, text in others"):
        import_source("amazon-reviews", folder, tmp_path / "out")
    write_lines(reviews, {"reviewerID": "A", "asin": "B"})
    with pytest.raises(ImportFormatError, match=r"found reviews of 2018 .*; metadata of 2023 "):
        import_source("amazon-reviews", folder, tmp_path / "out")
    write_lines(reviews, {"hello": 1})
    with pytest.raises(ImportFormatError, match=r"neither a review nor a product.*it holds hello"):
        import_source("amazon-reviews", folder, tmp_path / "out")
    reviews.unlink()
    with pytest.raises(ImportFormatError, match=r"expected reviews and metadata.*found metadata of 2023"):
        import_source("amazon-reviews", folder, tmp_path / "out")
    assert meta.exists() and not (tmp_path / "out").exists()


def write_kg(folder: Path) -> None:
    files = {
        "pgpr/product": "P0\nP1\nP2\n", "pgpr/users": "U0\nU1\n", "pgpr/brand": "Conair\n\n",
        "pgpr/category": "Beauty\nMakeup\nFace\n", "pgpr/brand_p_b": "0\n\n1\n",
        # Makeup is on two products, Face on one: the rarest is the category, however the file orders them.
        "pgpr/category_p_c": "2 0 1\n1 0\n0\n", "pgpr/related_product": "X\nP1\nP0\n",
        "pgpr/also_bought_p_p": "1 0\n\n2 1\n", "pgpr/bought_together_p_p": "\n2\n\n",
        "cafe/train_labels": "0\t2\t0\n1\t1\n", "cafe/test_labels": "0\t1\n1\t1\n",
    }
    for name, text in files.items():
        path = folder / f"{name}.txt.gz"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.compress(text.encode()))


def test_amazon_kg(tmp_path: Path):
    write_kg(tmp_path / "kg")
    out = import_source("amazon-kg", tmp_path / "kg", tmp_path / "out")
    dataset = Dataset.load(out)
    assert rows(dataset.items, "item_id", "title", "brand", "category", "category_path") == [
        ["P0", None, "Conair", "Face", "Beauty > Makeup > Face"],
        ["P1", None, None, "Makeup", "Beauty > Makeup"],
        ["P2", None, None, "Beauty", "Beauty"],
    ]
    split = time_split(dataset.events, "2000-01-02")
    assert rows(split.train, "user_id", "item_id", "event") == [
        ["U0", "P2", "purchase"], ["U0", "P0", "purchase"], ["U1", "P1", "purchase"],
    ]
    assert rows(split.test, "user_id", "item_id") == [["U0", "P1"]]
    assert rows(pd.read_parquet(out / "edges.parquet"), "source", "relation", "target") == [
        ["P0", "also_bought", "P1"], ["P2", "also_bought", "P0"], ["P2", "also_bought", "P1"],
        ["P1", "bought_together", "P0"],
    ]
    noted = facts(out)
    assert noted["left_out"] == {"events: repeated user and product": 1, "edges: target not in the catalogue": 1}
    assert "fictive" in noted["remarks"]["timestamp"]


def test_amazon_kg_with_review_files(tmp_path: Path):
    folder = tmp_path / "kg"
    write_kg(folder)
    with_labels = Dataset.load(import_source("amazon-kg", folder, tmp_path / "a"))
    for part, text in (("train", "0\t2\t5 6 7\n0\t0\t1\n1\t1\t\n"), ("test", "0\t1\t3\n1\t1\t4\n")):
        (folder / "pgpr" / f"{part}.txt").write_text(text)
        (folder / "cafe" / f"{part}_labels.txt.gz").unlink()
    with_reviews = Dataset.load(import_source("amazon-kg", folder / "pgpr", tmp_path / "b"))
    pd.testing.assert_frame_equal(with_labels.events, with_reviews.events)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("cafe/train_labels", "0\t3\n", "line 1: points at line 3 of product.txt, which has 3"),
        ("cafe/train_labels", "7\t0\n", "line 1: points at line 7 of users.txt, which has 2"),
        ("cafe/test_labels", "0\tone\n", "line 1: holds '0', expected line numbers only"),
        ("pgpr/brand_p_b", "0\n1\n", "has 2 lines, expected 3"),
        ("pgpr/category_p_c", "0\n9\n1\n", "line 2: points at line 9"),
    ],
)
def test_amazon_kg_bad_input(name: str, text: str, message: str, tmp_path: Path):
    write_kg(tmp_path / "kg")
    (tmp_path / "kg" / f"{name}.txt.gz").write_bytes(gzip.compress(text.encode()))
    with pytest.raises(ImportFormatError, match=message):
        import_source("amazon-kg", tmp_path / "kg", tmp_path / "out")


def test_amazon_kg_without_labels(tmp_path: Path):
    write_kg(tmp_path / "kg")
    (tmp_path / "kg" / "cafe" / "test_labels.txt.gz").unlink()
    with pytest.raises(ImportFormatError, match=r"holds no test_labels.txt.*found train_labels.txt.gz"):
        import_source("amazon-kg", tmp_path / "kg", tmp_path / "out")


def test_amazon_kg_real(shared_data: Path, tmp_path: Path):
    source = shared_data / "amazon_beauty_kg"
    out = import_source("amazon-kg", source, tmp_path / "out")
    dataset, noted = Dataset.load(out), facts(out)
    split = time_split(dataset.events, "2000-01-02")
    assert (noted["items"], noted["users"], len(dataset.events)) == (12_101, 22_363, 198_502)
    assert (len(split.train), len(split.test)) == (149_844, 48_658)
    # The labels come from CAFE, the products from PGPR: CAFE's own entity list says that they number alike.
    with gzip.open(source / "cafe" / "kg_entities.txt.gz", "rt", encoding="utf-8") as lines:
        entities = [line.rstrip("\n").split("\t") for line in lines]
    assert [value for _, name, value in entities if name.startswith("product_")] == dataset.items["item_id"].tolist()
    edges = pd.read_parquet(out / "edges.parquet")
    assert set(edges["relation"]) == {"also_bought", "also_viewed", "bought_together"}
    assert edges[["source", "target"]].isin(set(dataset.items["item_id"])).all().all()
    assert {row["tier"]: row["items"] for row in noted["tail"]["tiers"]}["new"] == 0


def write_bandit(folder: Path) -> None:
    folder.mkdir()
    features = "user_feature_0,user_feature_1,user_feature_2,user_feature_3"
    (folder / "men.csv").write_text(
        f",timestamp,item_id,position,click,propensity_score,{features},user-item_affinity_0\n"
        "0,2019-11-24 00:03:13.442536+00:00,1,3,0,0.25,a,b,c,d,0.0\n"
        "1,2019-11-24 00:03:14+00:00,0,1,1,0.5,a,b,c,e,0.0\n"
        "2,2019-11-24 00:03:15+00:00,1,2,0,0.5,a,b,c,d,0.0\n"
    )
    (folder / "item_context.csv").write_text(
        ",item_id,item_feature_0,item_feature_1,item_feature_2,item_feature_3\n0,0,-0.5,x,y,z\n1,1,0.5,x,y,w\n"
    )


def test_open_bandit(tmp_path: Path):
    write_bandit(tmp_path / "men")
    out = import_source("open-bandit", tmp_path / "men", tmp_path / "out")
    dataset = Dataset.load(out)
    assert rows(dataset.items, "item_id", "title", "item_feature_0", "item_feature_3") == [
        ["0", None, -0.5, "z"], ["1", None, 0.5, "w"],
    ]
    assert rows(dataset.events, "item_id", "event", "timestamp", "request_id", "rank", "propensity") == [
        ["1", "impression", "2019-11-24T00:03:13", "0", 3, 0.25],
        ["0", "impression", "2019-11-24T00:03:14", "1", 1, 0.5],
        ["0", "click", "2019-11-24T00:03:14", "1", 1, 0.5],
        ["1", "impression", "2019-11-24T00:03:15", "2", 2, 0.5],
    ]
    first, second, _, third = dataset.events["user_id"]
    assert first == third != second
    assert first.startswith("features:")
    assert rows(dataset.users, "user_id", "user_feature_3") == [[first, "d"], [second, "e"]]


def test_open_bandit_bad_input(tmp_path: Path):
    write_bandit(tmp_path / "men")
    (tmp_path / "men" / "women.csv").write_text("x\n")
    with pytest.raises(ImportFormatError, match=r"expected one campaign log.*found item_context.csv, men.csv, women"):
        import_source("open-bandit", tmp_path / "men", tmp_path / "out")
    (tmp_path / "men" / "women.csv").unlink()
    log = tmp_path / "men" / "men.csv"
    log.write_text(log.read_text().replace(",0.25,", ",1.25,"))
    with pytest.raises(ColumnError, match=r"'propensity' row 0 is .*not a probability"):
        import_source("open-bandit", tmp_path / "men", tmp_path / "out")


@pytest.mark.parametrize(("policy", "clicks"), [("random", 46), ("bts", 69)])
def test_open_bandit_real(policy: str, clicks: int, shared_data: Path, tmp_path: Path):
    out = import_source("open-bandit", shared_data / "obd" / policy / "men", tmp_path / "out")
    dataset, noted = Dataset.load(out), facts(out)
    assert (noted["items"], noted["events"]) == (34, {"impression": 10_000, "click": clicks})
    if policy == "random":
        assert np.allclose(dataset.events["propensity"], 1 / 34)
    clicked = dataset.events[dataset.events["event"] == "click"]
    shown = dataset.events[dataset.events["event"] == "impression"].set_index("request_id")
    assert (shown.loc[clicked["request_id"], "item_id"].to_numpy() == clicked["item_id"].to_numpy()).all()
