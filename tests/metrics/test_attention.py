"""How often slots are examined: names, lists and fitted files, and what is refused."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ltexpo.errors import ColumnError, ConfigError, InputError, TableError
from ltexpo.metrics.attention import attention_weights

FITTED = pd.DataFrame({"rank": [1, 2, 3, 4], "attention": [1.0, 0.7, 0.7, 0.2]})


def test_names_and_lists():
    assert attention_weights("log2", 3) == pytest.approx([1, 1 / np.log2(3), 0.5])
    assert attention_weights("uniform", 2).tolist() == [1, 1]
    assert attention_weights([0.9, 0.5, 0.1], 2).tolist() == [0.9, 0.5]


@pytest.mark.parametrize("column", ["attention", "examination"])
@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("a.parquet", lambda frame, path: frame.to_parquet(path, index=False)),
        ("a.csv", lambda frame, path: frame.to_csv(path, index=False)),
        ("a.json", lambda frame, path: path.write_text(json.dumps(frame.to_dict("records")))),
        ("a.json", lambda frame, path: path.write_text(json.dumps(frame.to_dict("list")))),
    ],
)
def test_a_fitted_file_is_read_by_rank(
    name: str, write: Callable[[pd.DataFrame, Path], object], column: str, tmp_path: Path
):
    shuffled = FITTED.rename(columns={"attention": column}).iloc[[2, 0, 3, 1]].assign(clicks=7)
    write(shuffled, tmp_path / name)
    for path in (tmp_path / name, str(tmp_path / name)):
        assert attention_weights(path, 3).tolist() == [1.0, 0.7, 0.7]


@pytest.mark.parametrize(
    ("content", "error", "message"),
    [
        ("rank,attention\n1,1\n2,0.5\n", ConfigError, "holds 2 probabilities, fewer than k = 3"),
        ("rank,attention\n1,1\n2,0.5\n3,0.6\n", ConfigError, r"rises with rank: 0\.5 at rank 2, 0\.6 at rank 3"),
        ("rank,attention\n1,1\n2,\n3,0.6\n", ConfigError, "outside 0 to 1"),
        ("rank,attention\n1,1.2\n2,1\n3,0.6\n", ConfigError, "outside 0 to 1"),
        ("rank,attention\n1,1\n3,0.5\n4,0.4\n", ColumnError, "holds 3 where 2 is due"),
        ("rank,attention\n1,1\n1,0.5\n2,0.4\n", ColumnError, "holds 1 where 2 is due"),
        ("rank,attention\n0,1\n1,0.5\n2,0.4\n", ColumnError, "holds 0 where 1 is due"),
        ("rank,attention\n1,often\n2,seldom\n", ColumnError, "'attention' holds .* Give numbers"),
        ("slot,attention\n1,1\n", ColumnError, "lacks 'rank'; found slot, attention"),
        ("rank,p\n1,1\n", ColumnError, r"lacks 'attention' \(or 'examination'\); found rank, p"),
        ("", TableError, "not a readable csv"),
    ],
)
def test_files_that_tell_nothing_are_refused(
    content: str, error: type[InputError], message: str, tmp_path: Path
):
    path = tmp_path / "fitted.csv"
    path.write_text(content)
    with pytest.raises(error, match=message) as refused:
        attention_weights(path, 3)
    assert str(path) in str(refused.value)


def test_no_file_and_no_table(tmp_path: Path):
    with pytest.raises(TableError, match=r"gone\.csv: no such file"):
        attention_weights("gone.csv", 3)
    with pytest.raises(ConfigError, match=r"'cubic'; use log2, uniform, a list of 3 probabilities, or the path"):
        attention_weights("cubic", 3)
    for name, content in (("a.parquet", b"PAR1 no"), ("a.json", b"[1, 2"), ("b.json", b"[3, 4]")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match=f"{name}: (is not a readable|lacks)"):
            attention_weights(tmp_path / name, 3)
