"""Goals from a table: the same as goals in words, in any number; and rows that make no sense."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ltexpo.config import MOST_BYTES, read_settings
from ltexpo.errors import ColumnError, ConfigError, InputError, TableError
from ltexpo.rerank import Goal, RerankSettings, rerank
from ltexpo.rerank.goal_file import all_goals, read_goals
from ltexpo.rerank.groups import expand_goals

ITEMS = pd.DataFrame({
    "item_id": list("abcdef"), "title": list("ABCDEF"), "tier": ["head", "head", "head", "tail", "tail", "new"],
    "seller_id": ["s", "s", "t", "t", "u", None], "size": [38, 39, 38, 40, 39, 38],
})
ROWS = [
    ("seller_id", "t", "min_exposure", 0.5), ("tail", None, "min_share", 0.2), ("item_id", "e", "max_exposure", 3.0),
    ("seller_id", "s", "max_share", 0.9), ("seller_id", "t", "max_exposure", 9.0), ("new", None, "min_exposure", 0.0),
    ("size", "38", "min_of_attainable", 0.1),
]
WORDS = tuple(Goal.model_validate({"group": row[0], "value": row[1], row[2]: row[3]}) for row in ROWS)


def saved(folder: Path, **changes: object) -> Path:
    frame = pd.DataFrame(ROWS, columns=["group", "value", "kind", "amount"]).assign(**changes)
    frame.to_parquet(folder / "goals.parquet")
    return folder / "goals.parquet"


def test_a_table_says_what_words_say(tmp_path: Path):
    filed, said = read_goals(saved(tmp_path), ITEMS), expand_goals(WORDS, ITEMS)
    assert filed.frame.to_dict("records") == said.frame.to_dict("records")
    assert filed.frame["value"].tolist() == ["t", None, "e", "s", "t", None, "38"]
    assert (filed.members.todense() == said.members.todense()).all()
    assert filed.members.todense().tolist() == [
        [0, 0, 1, 1, 0, 0], [0, 0, 0, 1, 1, 1], [0, 0, 0, 0, 1, 0], [1, 1, 0, 0, 0, 0], [0, 0, 1, 1, 0, 0],
        [0, 0, 0, 0, 0, 1], [1, 0, 1, 0, 0, 1],
    ]


def test_goals_in_words_keep_their_order_and_their_items():
    goals = (
        Goal(group="seller_id", value="t", where={"tier": "tail"}, min_share=0.1),
        Goal(group="seller_id", each=True, min_share=0.01),
        Goal(group="seller_id", value="s", min_share=0.1),
        Goal(group="seller_id", value="u", where={"tier": "tail", "size": "39"}, min_share=0.1),
    )
    table = expand_goals(goals, ITEMS)
    assert table.frame["value"].tolist() == ["t", "s", "t", "u", "s", "u"]
    assert [np.flatnonzero(row).tolist() for row in np.asarray(table.members.todense())] == [
        [3], [0, 1], [2, 3], [4], [0, 1], [4],
    ]


def test_a_file_adds_to_goals_and_takes_the_place_of_the_default(tmp_path: Path):
    path = saved(tmp_path)
    assert RerankSettings(goals_file=path).goals == ()
    assert len(all_goals(RerankSettings(goals_file=path), ITEMS)) == len(ROWS)
    both = RerankSettings(goals_file=path, goals=(Goal(group="head", max_share=0.95),))
    table = all_goals(both, ITEMS)
    assert table.frame["group"].tolist() == ["head", *(row[0] for row in ROWS)]
    assert table.members.shape == (len(ROWS) + 1, len(ITEMS))
    candidates = pd.DataFrame({"request_id": "r", "item_id": list("abcdef"), "score": [0.5, 0.4, 0.3, 0.3, 0.2, 0.2]})
    certificate = rerank(candidates, ITEMS, both.model_copy(update={"k": 4})).certificate
    assert certificate.feasible
    assert certificate.goals["kind"].tolist() == ["max_share", *(row[2] for row in ROWS)]


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"kind": "at_least"}, ColumnError, "'kind' row 0 is 'at_least'.*Give one of min_share"),
        ({"amount": [0.5, 1.2, 3, 0.9, 9, 0, 0.1]}, ColumnError, r"'amount' row 1 is .*1\.2"),
        ({"amount": [0.5, 0.2, np.nan, 0.9, 9, 0, 0.1]}, ColumnError, "'amount' row 2"),
        ({"amount": [0.5, 0.2, -1, 0.9, 9, 0, 0.1]}, ColumnError, "'amount' row 2"),
        ({"amount": "much"}, ColumnError, "Give numbers"),
        ({"value": [None, None, "e", "s", "t", None, "38"]}, ColumnError, "'value' row 0.*Say which value"),
        ({"value": list("tteestt")}, ColumnError, "'value' row 1 is 't'.*Leave it empty for a tier"),
        ({"value": ["t", None, "z", "s", "t", None, "38"]}, ConfigError, "row 2: no item of .* has item_id 'z'"),
        ({"group": "colour", "value": "red"}, ColumnError, "'colour' is not a column of items"),
        ({"group": None}, ColumnError, "'group' row 0"),
    ],
)
def test_rows_that_make_no_sense_are_refused(
    changes: dict[str, object], error: type[InputError], message: str, tmp_path: Path
):
    with pytest.raises(error, match=message):
        read_goals(saved(tmp_path, **changes), ITEMS)


def test_files_that_are_no_goals_are_refused(tmp_path: Path):
    with pytest.raises(TableError, match="no such file"):
        read_goals(tmp_path / "goals.parquet", ITEMS)
    ITEMS.to_parquet(tmp_path / "items.parquet")
    with pytest.raises(ColumnError, match="lacks 'group'; found item_id"):
        read_goals(tmp_path / "items.parquet", ITEMS)


def test_tens_of_thousands_of_goals_are_quick_and_more_belong_into_a_file(tmp_path: Path):
    ids = np.char.add("i", np.arange(20_000).astype(str))
    items = pd.DataFrame({"item_id": ids, "title": ids, "tier": "tail"})
    goals = [Goal(group="item_id", value=item, min_exposure=0.1) for item in ids]
    # an item read for every goal would be 4e8 comparisons
    table = expand_goals(goals, items)
    assert (table.members.tocoo().coords[1] == np.arange(20_000)).all()
    path = tmp_path / "job.yaml"
    line = "  - {group: item_id, value: i0000000, min_exposure: 0.5}\n"
    path.write_text("goals:\n" + line * (MOST_BYTES // len(line) + 1))
    with pytest.raises(ConfigError, match=r"bytes of settings, more than 10,000,000.*goals_file"):
        read_settings(RerankSettings, path)
