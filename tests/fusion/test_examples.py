import numpy as np
import pandas as pd

from ltexpo.data.history import History
from ltexpo.fusion.examples import BUY, CLICK, Examples


def history(*rows: tuple[str, str, str, str]) -> History:
    frame = pd.DataFrame(rows, columns=["user_id", "item_id", "event", "timestamp"])
    items = pd.DataFrame({"item_id": ["a", "b", "c", "d"]})
    return History.of(items, frame.assign(timestamp=pd.to_datetime(frame["timestamp"], utc=True)))


KNOWN = history(
    ("u", "a", "click", "2024-01-01 09:00"), ("u", "b", "purchase", "2024-01-03 09:00"),
    ("u", "c", "purchase", "2024-01-03 10:00"), ("v", "d", "click", "2024-01-02 00:00"),
)


def test_a_past_ends_before_the_day_of_its_target():
    examples = Examples.of(KNOWN)
    past = examples.past(np.arange(4), 3)
    assert past.items.tolist() == [[-1, -1, -1], [0, -1, -1], [0, -1, -1], [-1, -1, -1]]
    assert past.ages[1].tolist() == [np.float32(1 + 15 / 24), 0, 0]
    assert examples.kind.tolist() == [CLICK, BUY, BUY, CLICK]


def test_the_past_of_a_user_is_newest_first_and_cut():
    past = Examples.of(KNOWN).past_of_users(np.array([0, 1, -1]), 2, now=np.floor(KNOWN.now) + 1)
    assert past.items.tolist() == [[2, 1], [3, -1], [-1, -1]]
    assert past.kinds.tolist() == [[BUY, BUY], [CLICK, CLICK], [CLICK, CLICK]]
    assert past.ages[0, 0] == np.float32(14 / 24)


def test_no_past_holds_its_target_or_anything_later():
    rng = np.random.default_rng(0)
    rows = [(f"u{rng.integers(5)}", "abcd"[rng.integers(4)], "purchase", f"2024-01-{rng.integers(1, 20):02d}")
            for _ in range(80)]
    known = history(*rows)
    examples = Examples.of(known)
    past = examples.past(np.arange(len(known.item)), 6)
    for row in range(len(known.item)):
        mine = (known.user == known.user[row]) & (np.floor(known.day) < np.floor(known.day[row]))
        expected = known.item[mine][::-1][:6]
        assert past.items[row, : len(expected)].tolist() == expected.tolist()
        assert (past.items[row, len(expected) :] == -1).all()
