"""H&M Personalized Fashion Recommendations (Kaggle, 2022): articles, transactions, customers, images → contract tables.

Files: articles, customers, transactions_train, each as .csv (Kaggle) or .parquet (transactions also in parts named
transactions_*.parquet); images/NNN/NNNNNNNNNN.jpg. A row is one unit sold, so equal rows are two units and stay.
Prices are scaled by the publisher and stand in events only: a price for the whole period would tell training what
later days cost. The house sells one brand, so items have none.
"""

from pathlib import Path

import pandas as pd

from ltexpo.columns import Columns, EventKind
from ltexpo.data.importers.base import Imported
from ltexpo.data.importers.convert import as_ids, as_numbers, as_times
from ltexpo.data.importers.files import find_file, find_optional, listing, read_columns
from ltexpo.errors import ImportFormatError

ATTRIBUTES = (
    "product_code", "product_group_name", "graphical_appearance_name", "colour_group_name",
    "perceived_colour_value_name", "perceived_colour_master_name", "department_name", "index_name",
    "index_group_name", "section_name", "garment_group_name",
)
USER_ATTRIBUTES = ("age", "club_member_status", "fashion_news_frequency")
ID_DIGITS = 10


def import_hm(path: Path) -> Imported:
    """Products, purchases (day resolution) and customers; customers.csv and images/ may be absent."""
    articles = find_file(path, "articles.csv", "articles.parquet", source="hm")
    customers = find_optional(path, "customers.csv", "customers.parquet")
    transactions = _transactions(path)
    return Imported(
        items=_items(articles, path / "images"),
        events=pd.concat([_events(part) for part in transactions], ignore_index=True),
        users=None if customers is None else _users(customers),
        remarks={"price": "scaled by the publisher, no currency", "timestamp": "known to the day only, read as UTC"},
        image_root=path / "images",
    )


def _transactions(path: Path) -> list[Path]:
    whole = find_optional(path, "transactions_train.csv", "transactions_train.parquet")
    parts = [whole] if whole else sorted(path.glob("transactions_*.parquet"))
    if not parts:
        raise ImportFormatError(
            f"{path}: holds no transactions_train.csv or transactions_*.parquet, which 'hm' needs; found "
            f"{listing(path)}. Give the folder with those files."
        )
    return parts


def _items(articles: Path, images: Path) -> pd.DataFrame:
    named = {
        "article_id": Columns.Item, "prod_name": Columns.Title, "detail_desc": Columns.Description,
        "product_type_name": Columns.Category,
    }
    items = read_columns(articles, [*named, *ATTRIBUTES]).rename(columns=named)[[*named.values(), *ATTRIBUTES]]
    items[Columns.Item] = _article_ids(items[Columns.Item], articles)
    items["product_code"] = as_ids(items["product_code"], f"{articles}: 'product_code'")
    # One listing of the folder is much quicker than asking for each of 105,542 names.
    pictures = {picture.stem: picture.relative_to(images).as_posix() for picture in images.glob("*/*.jpg")}
    return items.assign(**{Columns.Image: items[Columns.Item].map(pictures)})


def _events(transactions: Path) -> pd.DataFrame:
    rows = read_columns(transactions, ["t_dat", "customer_id", "article_id", "price", "sales_channel_id"])
    return pd.DataFrame({
        Columns.User: as_ids(rows["customer_id"], f"{transactions}: 'customer_id'"),
        Columns.Item: _article_ids(rows["article_id"], transactions),
        Columns.Event: EventKind.Purchase,
        Columns.Timestamp: as_times(rows["t_dat"], f"{transactions}: 't_dat'"),
        Columns.Price: as_numbers(rows["price"], f"{transactions}: 'price'"),
        "sales_channel_id": as_ids(rows["sales_channel_id"], f"{transactions}: 'sales_channel_id'"),
    })


def _users(customers: Path) -> pd.DataFrame:
    users = read_columns(customers, ["customer_id", *USER_ATTRIBUTES])
    users = users.rename(columns={"customer_id": Columns.User})[[Columns.User, *USER_ATTRIBUTES]]
    return users.assign(age=as_numbers(users["age"], f"{customers}: 'age'"))


def _article_ids(values: pd.Series, path: Path) -> pd.Series:
    """Ids with the leading zeros that a detour over numbers loses."""
    return as_ids(values, f"{path}: 'article_id'").str.zfill(ID_DIGITS)
