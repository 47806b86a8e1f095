"""H&M, Olist and Myntra: hand-made files of their formats with the exact rows expected, then the real data."""

import json
from pathlib import Path

import pandas as pd
import pytest

from ltexpo.data import Dataset
from ltexpo.data.importers import import_source
from ltexpo.data.importers.hm import ATTRIBUTES
from ltexpo.errors import ColumnError, ImportFormatError


def facts(out: Path) -> dict:
    return json.loads((out / "dataset.json").read_text())


def rows(frame: pd.DataFrame, *columns: str) -> list[list]:
    """Values with gaps as None and times as text."""
    picked = frame[list(columns)].copy()
    for column in picked.select_dtypes("datetimetz"):
        picked[column] = picked[column].dt.strftime("%Y-%m-%dT%H:%M:%S")
    return picked.astype(object).where(picked.notna(), None).to_numpy().tolist()


@pytest.fixture
def hm(tmp_path: Path) -> Path:
    folder = tmp_path / "hm"
    (folder / "images" / "010").mkdir(parents=True)
    (folder / "images" / "010" / "0108775015.jpg").write_bytes(b"picture")
    header = ["article_id", "prod_name", "product_type_name", "detail_desc", *ATTRIBUTES]
    articles = [
        ["0108775015", "Strap top", "Vest top", "Jersey, narrow straps", "0108775", *ATTRIBUTES[1:]],
        ["0000000002", "Socks", "Socks", None, "0000000", *ATTRIBUTES[1:]],
    ]
    pd.DataFrame(articles, columns=header).to_csv(folder / "articles.csv", index=False)
    (folder / "customers.csv").write_text(
        "customer_id,FN,Active,club_member_status,fashion_news_frequency,age,postal_code\n"
        "c1,1.0,,ACTIVE,NONE,49.0,x\nc9,,,,,,y\n"
    )
    (folder / "transactions_train.csv").write_text(
        "t_dat,customer_id,article_id,price,sales_channel_id\n"
        "2018-09-20,c1,0108775015,0.0508,2\n"
        "2018-09-20,c1,0108775015,0.0508,2\n"
        "2018-09-21,c2,0999999999,0.0305,1\n"
    )
    return folder


def test_hm(hm: Path, tmp_path: Path):
    out = import_source("hm", hm, tmp_path / "out")
    dataset = Dataset.load(out)
    assert rows(dataset.items, "item_id", "title", "description", "category", "product_code", "image") == [
        ["0108775015", "Strap top", "Jersey, narrow straps", "Vest top", "0108775", "images/010/0108775015.jpg"],
        ["0000000002", "Socks", None, "Socks", "0000000", None],
    ]
    assert set(ATTRIBUTES) < set(dataset.items.columns)
    bought = ["c1", "0108775015", "purchase", "2018-09-20T00:00:00", 0.0508, "2"]
    columns = ("user_id", "item_id", "event", "timestamp", "price", "sales_channel_id")
    assert rows(dataset.events, *columns) == [bought, bought]  # two units, not a mistake
    assert rows(dataset.users, "user_id", "age", "club_member_status", "fashion_news_frequency") == [
        ["c1", 49.0, "ACTIVE", "NONE"], ["c9", None, None, None],
    ]
    assert facts(out)["left_out"] == {"events: item not in the catalogue": 1}


def test_hm_parquet_gives_the_same_tables(hm: Path, tmp_path: Path):
    other = tmp_path / "parquet"
    other.mkdir()
    (other / "images").symlink_to(hm / "images")
    for name in ("articles", "customers"):
        pd.read_csv(hm / f"{name}.csv", dtype={"article_id": str, "product_code": str}).to_parquet(
            other / f"{name}.parquet"
        )
    # Article ids that went through numbers lose their zeros; parts are read in the order of their names.
    sales = pd.read_csv(hm / "transactions_train.csv", parse_dates=["t_dat"])
    sales[:1].to_parquet(other / "transactions_1.parquet")
    sales[1:].to_parquet(other / "transactions_2.parquet")
    first = Dataset.load(import_source("hm", hm, tmp_path / "a"))
    second = Dataset.load(import_source("hm", other, tmp_path / "b"))
    pd.testing.assert_frame_equal(first.items, second.items)
    pd.testing.assert_frame_equal(first.events, second.events)
    pd.testing.assert_frame_equal(first.users, second.users)


def test_hm_bad_input(hm: Path, tmp_path: Path):
    sales = hm / "transactions_train.csv"
    sales.write_text("t_dat,customer_id,article_id,price,sales_channel_id\n2018-09-20,c1,0108775015,free,2\n")
    with pytest.raises(ColumnError, match="'price' row 0 is 'free', not a number"):
        import_source("hm", hm, tmp_path / "out")
    sales.write_text("t_dat,customer_id,article_id,sales_channel_id\n2018-09-20,c1,0108775015,2\n")
    with pytest.raises(ColumnError, match="lacks 'price'"):
        import_source("hm", hm, tmp_path / "out")
    sales.rename(hm / "sales.csv")
    with pytest.raises(ImportFormatError, match=r"no transactions_train.csv.*found articles.csv.*sales.csv"):
        import_source("hm", hm, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_hm_real(shared_data: Path, tmp_path: Path):
    out = import_source("hm", shared_data / "hm", tmp_path / "out")
    dataset = Dataset.load(out)
    noted = facts(out)
    assert noted["items"] == 105_542
    assert noted["events"] == {"purchase": 175_269}
    assert noted["left_out"] == {}
    assert noted["users_with_attributes"] == 3_562
    assert noted["missing"]["image"] == 105_542 - 8_000
    assert len(list((out / "images").rglob("*.jpg"))) == 8_000
    assert dataset.items["item_id"].str.fullmatch(r"\d{10}").all()
    assert (noted["from"][:10], noted["to"][:10]) == ("2018-09-20", "2020-09-19")
    tiers = {row["tier"]: row for row in noted["tail"]["tiers"]}
    assert tiers["head"]["interaction_share"] == pytest.approx(0.8, abs=0.001)
    assert tiers["head"]["item_share"] < 0.1
    assert tiers["new"]["items"] == 105_542 - dataset.events["item_id"].nunique()


OLIST_MEASURES = (
    "product_name_lenght,product_description_lenght,product_photos_qty,product_weight_g,product_length_cm,"
    "product_height_cm,product_width_cm"
)
OLIST_REVIEW = "review_score,review_comment_title,review_comment_message,review_creation_date"


def write_olist(folder: Path) -> None:
    folder.mkdir()
    tables = {
        "olist_orders_dataset": """order_id,customer_id,order_status,order_purchase_timestamp
            o1,c1,delivered,2017-07-09 21:57:05
            o2,c2,canceled,2017-07-10 10:00:00
            o3,c3,shipped,2017-07-11 10:00:00
            o4,c4,unavailable,2017-07-12 10:00:00
            o5,c3,invoiced,2017-07-13 10:00:00""",
        "olist_order_items_dataset": """order_id,order_item_id,product_id,seller_id,price
            o1,1,p1,s1,10.0
            o1,2,p1,s1,12.0
            o2,1,p1,s2,20.0
            o3,1,p1,s2,14.0
            o3,2,p2,s1,5.0""",
        "olist_products_dataset": f"""product_id,product_category_name,{OLIST_MEASURES}
            p1,bebes,56,728,4,7150,50,19,45
            p2,pc_gamer,,,,100,1,2,3
            p3,,1,2,3,4,5,6,7""",
        "olist_customers_dataset": """customer_id,customer_unique_id,customer_city,customer_state
            c1,u1,franca,SP
            c2,u1,franca,SP
            c3,u3,rio,RJ
            c4,u1,santos,SP""",
        "olist_order_reviews_dataset": f"""review_id,order_id,{OLIST_REVIEW}
            r1,o1,5,Bom,"gostei,\nmuito",2017-07-20 00:00:00
            r2,o1,1,,,2017-07-21 00:00:00
            r1,o1,5,Bom,x,2017-07-20 00:00:00
            r3,o2,1,,,2017-07-20 00:00:00
            r4,o3,4,,,2017-07-20 00:00:00
            r5,o5,4,,,2017-07-20 00:00:00""",
        "product_category_name_translation": """\ufeffproduct_category_name,product_category_name_english
            bebes,baby""",
    }
    for name, text in tables.items():
        lines = "\n".join(line.strip() for line in text.split("\n"))
        (folder / f"{name}.csv").write_text(lines + "\n", encoding="utf-8")


def test_olist(tmp_path: Path):
    write_olist(tmp_path / "olist")
    out = import_source("olist", tmp_path / "olist", tmp_path / "out")
    dataset = Dataset.load(out)
    # p1: 10, 12, 20 and 14 give the median 13; s1 and s2 sold it twice each, the smaller id wins.
    columns = ("item_id", "title", "category", "category_pt", "seller_id", "price", "product_weight_g")
    assert rows(dataset.items, *columns) == [
        ["p1", None, "baby", "bebes", "s1", 13.0, 7150.0],
        ["p2", None, "pc_gamer", "pc_gamer", "s1", 5.0, 100.0],
        ["p3", None, None, None, None, None, 4.0],
    ]
    columns = ("user_id", "item_id", "event", "timestamp", "price", "rating", "text", "order_id")
    assert rows(dataset.events, *columns) == [
        ["u1", "p1", "purchase", "2017-07-09T21:57:05", 10.0, None, None, "o1"],
        ["u1", "p1", "purchase", "2017-07-09T21:57:05", 12.0, None, None, "o1"],
        ["u3", "p1", "purchase", "2017-07-11T10:00:00", 14.0, None, None, "o3"],
        ["u3", "p2", "purchase", "2017-07-11T10:00:00", 5.0, None, None, "o3"],
        ["u1", "p1", "rating", "2017-07-20T00:00:00", None, 5.0, "Bom\ngostei,\nmuito", "o1"],
        ["u1", "p1", "rating", "2017-07-21T00:00:00", None, 1.0, None, "o1"],
    ]
    assert rows(dataset.users, "user_id", "customer_city") == [["u1", "franca"], ["u3", "rio"]]
    noted = facts(out)
    assert noted["left_out"] == {
        "orders: canceled": 1, "orders: unavailable": 1, "order items: of orders left out or unknown": 1,
        "reviews: of orders left out or unknown": 1, "reviews: order of several products": 1,
        "reviews: order without products": 1, "reviews: repeated review": 1,
    }
    assert noted["tolerated"] == {
        "items: category without a translation, kept in Portuguese": 1, "users: further addresses, first one kept": 1,
    }


def test_olist_missing_table(tmp_path: Path):
    write_olist(tmp_path / "olist")
    (tmp_path / "olist" / "olist_customers_dataset.csv").unlink()
    with pytest.raises(ImportFormatError, match=r"holds no olist_customers_dataset.csv, which 'olist' needs; found"):
        import_source("olist", tmp_path / "olist", tmp_path / "out")


def test_olist_real(shared_data: Path, tmp_path: Path):
    out = import_source("olist", shared_data / "olist_sample", tmp_path / "out")
    dataset, noted = Dataset.load(out), facts(out)
    assert noted["items"] == 5_460
    # 8,365 order items and 8,225 reviews: each one is either there or counted.
    left = noted["left_out"]
    assert noted["events"]["purchase"] == 8_365 - left["order items: of orders left out or unknown"] == 7_816
    assert noted["events"]["rating"] == 8_225 - sum(n for why, n in left.items() if why.startswith("reviews")) == 6_755
    assert (left["orders: canceled"], left["orders: unavailable"]) == (625, 609)
    assert dataset.events["user_id"].isin(dataset.users["user_id"]).all()
    assert dataset.items["seller_id"].notna().all()


def test_myntra(tmp_path: Path):
    folder = tmp_path / "myntra"
    (folder / "images").mkdir(parents=True)
    (folder / "images" / "15970.jpg").write_bytes(b"picture")
    (folder / "styles.csv").write_text(
        "id,gender,masterCategory,subCategory,articleType,baseColour,season,year,usage,productDisplayName\n"
        "15970,Men,Apparel,Topwear,Shirts,Navy Blue,Fall,2011,Casual,Turtle Check Shirt\n"
        "6394,Women,Apparel,Topwear,Tops,,Summer,2012,Casual,Pink Top, Set of 2, S\n"
        "7000,Women,Apparel\n"
        "15970,Men,Apparel,Topwear,Shirts,Red,Fall,2011,Casual,Again\n"
    )
    out = import_source("myntra", folder, tmp_path / "out")
    dataset = Dataset.load(out)
    assert rows(dataset.items, "item_id", "title", "category", "gender", "baseColour", "year", "image") == [
        ["15970", "Turtle Check Shirt", "Shirts", "Men", "Navy Blue", "2011", "images/15970.jpg"],
        ["6394", "Pink Top, Set of 2, S", "Tops", "Women", None, "2012", None],
    ]
    assert dataset.events is None
    noted = facts(out)
    assert noted["left_out"] == {"items: row with too few cells": 1, "items: repeated item_id, first row kept": 1}
    assert noted["tolerated"] == {"items: unquoted comma in the name": 1, "items: picture missing": 1}


def test_myntra_name_before_another_column(tmp_path: Path):
    (tmp_path / "styles.csv").write_text(
        "id,gender,masterCategory,subCategory,articleType,baseColour,season,year,usage,productDisplayName,image\n"
        "1,Men,Apparel,Topwear,Shirts,Blue,Fall,2011,Casual,One, Two,1.jpg\n"
    )
    out = import_source("myntra", tmp_path, tmp_path / "out")
    assert Dataset.load(out).items["title"].tolist() == ["One, Two"]


def test_myntra_missing_column(tmp_path: Path):
    (tmp_path / "styles.csv").write_text("id,title\n1,x\n")
    with pytest.raises(ColumnError, match=r"lacks 'productDisplayName'.*found id, title"):
        import_source("myntra", tmp_path, tmp_path / "out")


def test_myntra_real(shared_data: Path, tmp_path: Path):
    out = import_source("myntra", shared_data / "myntra", tmp_path / "out")
    dataset, noted = Dataset.load(out), facts(out)
    assert noted["items"] == 3_221
    assert (noted["left_out"], noted["tolerated"]) == ({}, {})
    assert dataset.items["title"].notna().all()
    assert all((out / path).is_file() for path in dataset.items["image"])
