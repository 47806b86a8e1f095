"""Olist's Brazilian marketplace (Kaggle, 2018): orders, items, products, customers, reviews (CSV) → contract tables.

A purchase for each order item, at the time of the order, with its price; a rating for each review, at the day it was
written. Reviews belong to orders: where an order holds several products, nobody knows which one is meant, and the
review is left out. So are cancelled and unavailable orders with their reviews. Product names are not published.
"""

from pathlib import Path

import pandas as pd

from ltexpo.columns import Columns, EventKind
from ltexpo.data.importers.base import Imported
from ltexpo.data.importers.convert import as_numbers, as_times
from ltexpo.data.importers.files import find_file, read_columns

FILES = {
    "orders": "olist_orders_dataset.csv",
    "order_items": "olist_order_items_dataset.csv",
    "products": "olist_products_dataset.csv",
    "customers": "olist_customers_dataset.csv",
    "reviews": "olist_order_reviews_dataset.csv",
    "names": "product_category_name_translation.csv",
}
NOT_SOLD = ("canceled", "unavailable")
MEASURES = (
    "product_weight_g", "product_length_cm", "product_height_cm", "product_width_cm", "product_photos_qty",
    # The publisher's spelling.
    "product_name_lenght", "product_description_lenght",
)
PLACE = ("customer_city", "customer_state")


def import_olist(path: Path) -> Imported:
    """Products, purchases and ratings, customers; reads six of the nine files."""
    files = {name: find_file(path, file, source="olist") for name, file in FILES.items()}
    left_out: dict[str, int] = {}
    tolerated: dict[str, int] = {}
    sold = read_columns(files["order_items"], ["order_id", "order_item_id", "product_id", "seller_id", "price"])
    sold["price"] = as_numbers(sold["price"], f"{files['order_items']}: 'price'")
    orders = _orders(files["orders"], files["customers"], left_out)
    purchases = _purchases(sold, orders, left_out)
    ratings = _ratings(files["reviews"], sold, orders, left_out)
    return Imported(
        items=_items(files["products"], files["names"], sold, tolerated),
        events=pd.concat([purchases, ratings], ignore_index=True),
        users=_users(files["customers"], tolerated),
        left_out=left_out,
        tolerated=tolerated,
        remarks={
            "items": "price is the median and seller_id the most frequent over all order items of the product",
            "timestamp": "local times without a zone, read as UTC",
        },
    )


def _orders(orders: Path, customers: Path, left_out: dict[str, int]) -> pd.DataFrame:
    """user_id and timestamp of every order that was not cancelled, by order_id."""
    rows = read_columns(orders, ["order_id", "customer_id", "order_status", "order_purchase_timestamp"])
    people = read_columns(customers, ["customer_id", "customer_unique_id"]).drop_duplicates("customer_id")
    rows[Columns.User] = rows["customer_id"].map(people.set_index("customer_id")["customer_unique_id"])
    rows[Columns.Timestamp] = as_times(rows["order_purchase_timestamp"], f"{orders}: 'order_purchase_timestamp'")
    rows = rows.drop_duplicates("order_id").set_index("order_id")
    for status in NOT_SOLD:
        if count := int((rows["order_status"] == status).sum()):
            left_out[f"orders: {status}"] = count
    return rows.loc[~rows["order_status"].isin(NOT_SOLD), [Columns.User, Columns.Timestamp]]


def _purchases(sold: pd.DataFrame, orders: pd.DataFrame, left_out: dict[str, int]) -> pd.DataFrame:
    kept = sold["order_id"].isin(orders.index)
    if not kept.all():
        left_out["order items: of orders left out or unknown"] = int((~kept).sum())
    rows = sold[kept].join(orders, on="order_id")
    return pd.DataFrame({
        Columns.User: rows[Columns.User],
        Columns.Item: rows["product_id"],
        Columns.Event: EventKind.Purchase,
        Columns.Timestamp: rows[Columns.Timestamp],
        Columns.Price: rows["price"],
        "order_id": rows["order_id"],
    })


def _ratings(path: Path, sold: pd.DataFrame, orders: pd.DataFrame, left_out: dict[str, int]) -> pd.DataFrame:
    rows = read_columns(path, [
        "review_id", "order_id", "review_score", "review_comment_title", "review_comment_message",
        "review_creation_date",
    ])
    products = sold.groupby("order_id")["product_id"].agg(["nunique", "first"])
    count = rows["order_id"].map(products["nunique"]).fillna(0)
    rows[Columns.Item] = rows["order_id"].map(products["first"])
    reasons = pd.Series("", index=rows.index)
    reasons[rows.duplicated(["review_id", Columns.Item])] = "repeated review"
    reasons[count > 1] = "order of several products"
    reasons[count == 0] = "order without products"
    reasons[~rows["order_id"].isin(orders.index)] = "of orders left out or unknown"
    left_out |= {f"reviews: {why}": int(n) for why, n in reasons[reasons != ""].value_counts().sort_index().items()}
    rows = rows[reasons == ""]
    title, message = rows["review_comment_title"].str.strip(), rows["review_comment_message"].str.strip()
    both = title.str.cat(message, sep="\n")
    return pd.DataFrame({
        Columns.User: rows["order_id"].map(orders[Columns.User]),
        Columns.Item: rows[Columns.Item],
        Columns.Event: EventKind.Rating,
        Columns.Timestamp: as_times(rows["review_creation_date"], f"{path}: 'review_creation_date'"),
        Columns.Rating: as_numbers(rows["review_score"], f"{path}: 'review_score'"),
        Columns.Text: both.fillna(title).fillna(message),
        "order_id": rows["order_id"],
    })


def _items(products: Path, names: Path, sold: pd.DataFrame, tolerated: dict[str, int]) -> pd.DataFrame:
    rows = read_columns(products, ["product_id", "product_category_name", *MEASURES])
    english = read_columns(names, ["product_category_name", "product_category_name_english"])
    english = english.drop_duplicates("product_category_name").set_index("product_category_name")
    own = rows["product_category_name"]
    category = own.map(english["product_category_name_english"])
    if untranslated := int((category.isna() & own.notna()).sum()):
        tolerated["items: category without a translation, kept in Portuguese"] = untranslated
    counts = sold.value_counts(["product_id", "seller_id"]).reset_index(name="count")
    sellers = counts.sort_values(["count", "seller_id"], ascending=[False, True]).drop_duplicates("product_id")
    return pd.DataFrame({
        Columns.Item: rows["product_id"],
        Columns.Title: None,
        Columns.Category: category.fillna(own),
        Columns.Seller: rows["product_id"].map(sellers.set_index("product_id")["seller_id"]),
        Columns.Price: rows["product_id"].map(sold.groupby("product_id")["price"].median()),
        "category_pt": own,
        **{name: as_numbers(rows[name], f"{products}: '{name}'") for name in MEASURES},
    })


def _users(customers: Path, tolerated: dict[str, int]) -> pd.DataFrame:
    rows = read_columns(customers, ["customer_unique_id", *PLACE]).rename(columns={"customer_unique_id": Columns.User})
    rows = rows[[Columns.User, *PLACE]]
    # A customer has a row for each order; most repeat the same place.
    if moved := int(rows.drop_duplicates()[Columns.User].duplicated().sum()):
        tolerated["users: further addresses, first one kept"] = moved
    return rows.drop_duplicates(Columns.User)
