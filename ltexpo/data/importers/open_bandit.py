"""Open Bandit Dataset (Saito et al., NeurIPS 2021 datasets track): <campaign>.csv, item_context.csv → contract tables.

Give the folder of one policy and one campaign, such as obd/random/men. Each row of the log is one shown slot with the
propensity that its policy logged; it becomes an impression, and a click on top where one was made, both under the same
request_id (the row's number). The log has no user ids: a user here is one combination of the four hashed user
features. Item names are not published, so titles are empty; the affinity columns belong to pairs and are not taken.
"""

import hashlib
from pathlib import Path

import numpy as np
import pandas as pd

from ltexpo.columns import Columns, EventKind
from ltexpo.data.importers.base import Imported
from ltexpo.data.importers.convert import as_ids, as_numbers, as_times
from ltexpo.data.importers.files import find_file, listing, read_columns
from ltexpo.errors import ImportFormatError

CONTEXT = "item_context.csv"
ITEM_FEATURES = tuple(f"item_feature_{number}" for number in range(4))
USER_FEATURES = tuple(f"user_feature_{number}" for number in range(4))


def import_open_bandit(path: Path) -> Imported:
    """Items with their features, impressions and clicks with rank and propensity, users by features."""
    context = find_file(path, CONTEXT, source="open-bandit")
    logs = sorted(file for file in path.glob("*.csv*") if not file.name.startswith("item_context"))
    if len(logs) != 1:
        raise ImportFormatError(
            f"{path}: expected one campaign log such as men.csv beside {CONTEXT}; found {listing(path)}. "
            "Give the folder of one policy and one campaign."
        )
    log = read_columns(
        logs[0], ["timestamp", "item_id", "position", "click", "propensity_score", *USER_FEATURES]
    )
    users = _users(log)
    return Imported(
        items=_items(context),
        events=_events(log, users, logs[0]),
        users=users.drop_duplicates(),
        remarks={
            "user_id": "the log has none; 'features:' + a hash of the four user features, so one id can be many people",
            "affinity": "user-item_affinity_* columns are not taken over",
        },
    )


def _items(context: Path) -> pd.DataFrame:
    rows = read_columns(context, ["item_id", *ITEM_FEATURES])
    return pd.DataFrame({
        Columns.Item: as_ids(rows["item_id"], f"{context}: 'item_id'"),
        Columns.Title: None,
        # The first feature is a number, the others are hashes.
        ITEM_FEATURES[0]: as_numbers(rows[ITEM_FEATURES[0]], f"{context}: '{ITEM_FEATURES[0]}'"),
        **{feature: rows[feature] for feature in ITEM_FEATURES[1:]},
    })


def _users(log: pd.DataFrame) -> pd.DataFrame:
    """user_id and features, a row for each row of `log`."""
    features = log[list(USER_FEATURES)].fillna("")
    keys = features[USER_FEATURES[0]].str.cat(features[list(USER_FEATURES[1:])], sep="|")
    ids = {key: f"features:{hashlib.sha256(key.encode()).hexdigest()[:12]}" for key in keys.unique()}
    return pd.DataFrame({Columns.User: keys.map(ids), **{name: log[name] for name in USER_FEATURES}})


def _events(log: pd.DataFrame, users: pd.DataFrame, path: Path) -> pd.DataFrame:
    shown = pd.DataFrame({
        Columns.User: users[Columns.User],
        Columns.Item: as_ids(log["item_id"], f"{path}: 'item_id'"),
        Columns.Event: EventKind.Impression,
        Columns.Timestamp: as_times(log["timestamp"], f"{path}: 'timestamp'"),
        Columns.Request: np.arange(len(log)).astype(str),
        Columns.Rank: as_numbers(log["position"], f"{path}: 'position'"),
        Columns.Propensity: as_numbers(log["propensity_score"], f"{path}: 'propensity_score'"),
    })
    clicked = as_numbers(log["click"], f"{path}: 'click'") == 1
    clicks = shown[clicked].assign(**{Columns.Event: EventKind.Click})
    # Each click right after its impression.
    return pd.concat([shown, clicks]).sort_index(kind="stable").reset_index(drop=True)
