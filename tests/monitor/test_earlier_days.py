import numpy as np
import pandas as pd
import pytest

from ltexpo.errors import ColumnError
from ltexpo.monitor.controller import check_price_columns, empty_decisions
from ltexpo.monitor.history import check_decisions, check_metrics
from ltexpo.monitor.rows import Row, frame_of

SOUND = frame_of([Row("2024-05-31", "events", "click", 3.0), Row("2024-05-31", "events", "cart", np.nan)])


def test_what_a_monitor_wrote_passes():
    pd.testing.assert_frame_equal(check_metrics(SOUND, where="metrics"), SOUND)
    assert check_metrics(SOUND.iloc[:0], where="metrics").empty
    assert check_decisions(empty_decisions(), where="decisions").empty


@pytest.mark.parametrize(("column", "values", "said"), [
    ("value", ["3", "4"], "expected numbers"),
    ("alarm", [0.0, 1.0], "expected true and false"),
    ("group", ["click", None], "expected texts without gaps"),
    ("day", ["2024-05-31", "31 May"], "expected days like 2024-05-31"),
])
def test_what_it_never_writes_is_refused(column: str, values: list[object], said: str):
    with pytest.raises(ColumnError, match=f"metrics: '{column}' holds .*{said}"):
        check_metrics(SOUND.assign(**{column: values}), where="metrics")
    with pytest.raises(ColumnError, match=f"metrics: lacks '{column}'"):
        check_metrics(SOUND.drop(columns=column), where="metrics")


def test_prices_are_numbers():
    prices = pd.DataFrame({"group": ["tail"], "value": [None], "kind": ["min_share"], "price": ["0.1"]})
    with pytest.raises(ColumnError, match=r"'price' holds .*expected numbers"):
        check_price_columns(prices)
