"""Malformed inputs: each ends with exit code 2, one clear line on stderr, and nothing written."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ltexpo.cli import main
from ltexpo.data import Dataset
from ltexpo.data.tables import write_frame

DAYS = pd.date_range("2024-01-01", periods=4, tz="UTC")


def items(**changes: object) -> pd.DataFrame:
    return pd.DataFrame({"item_id": ["a", "b", "c"], "title": ["A", "B", "C"], "price": [1.0, 2.0, 3.0]} | changes)


def events(**changes: object) -> pd.DataFrame:
    return pd.DataFrame({
        "user_id": ["u", "v", "u", "v"], "item_id": ["a", "a", "b", "b"], "event": "purchase", "timestamp": DAYS,
    } | changes)


def candidates(**changes: object) -> pd.DataFrame:
    return pd.DataFrame({"request_id": ["u", "u", "v"], "item_id": ["a", "b", "a"], "score": [0.3, 0.2, 0.1]} | changes)


def rankings(**changes: object) -> pd.DataFrame:
    return pd.DataFrame({
        "request_id": ["u", "u", "v"], "rank": [1, 2, 1], "item_id": ["a", "b", "a"], "score": [0.3, 0.2, 0.1],
        "exposure": [1.0, 0.63, 1.0],
    } | changes)


@pytest.fixture
def room(tmp_path: Path) -> Path:
    """A folder with sound inputs: data/, candidates.parquet, rankings.parquet."""
    Dataset.of(items(), events()).save(tmp_path / "data")
    write_frame(candidates(), tmp_path / "candidates.parquet")
    write_frame(rankings(), tmp_path / "rankings.parquet")
    (tmp_path / "source").mkdir()
    return tmp_path


Spoil = Callable[[Path], object]
RERANK = "rerank --data data --candidates candidates.parquet --tail-share 0 --out out"
GOALS = RERANK.replace(" --tail-share 0", "")
EVALUATE = "evaluate --data data --rankings rankings.parquet --since 2024-01-03 --out out"
SIMULATE = "simulate --data data --control rankings.parquet --treatment rankings.parquet --out out"


def table(name: str, frame: pd.DataFrame) -> Spoil:
    return lambda room: write_frame(frame, room / name)


def text(name: str, content: str | bytes) -> Spoil:
    return lambda room: (room / name).write_bytes(content if isinstance(content, bytes) else content.encode())


def gone(name: str) -> Spoil:
    return lambda room: (room / name).unlink()


def config(content: str) -> Spoil:
    return text("job.yaml", content)


def nothing(room: Path) -> None:
    pass


CASES: list[tuple[str, Spoil, str, str]] = [
    # items
    ("items without title", table("data/items.parquet", items().drop(columns="title")), RERANK, "lacks 'title'"),
    ("items empty", table("data/items.parquet", items().iloc[:0]), RERANK, "items is empty"),
    ("items with one id twice", table("data/items.parquet", items(item_id=["a", "b", "a"])), RERANK, "stands there twice"),
    ("items with an id gap", table("data/items.parquet", items(item_id=["a", "b", None])), RERANK, "'item_id' row 2"),
    ("items with a blank id", table("data/items.parquet", items(item_id=["a", "b", ""])), RERANK, "an empty id"),
    ("items with float ids", table("data/items.parquet", items(item_id=[1.0, 2.0, 3.0])), RERANK, "floats lose ids"),
    ("items with numbers as ids, events strings", table("data/items.parquet", items(item_id=[1, 2, 3])), RERANK, "numbers in items and strings in events"),
    ("items with a negative price", table("data/items.parquet", items(price=[1.0, -1.0, 2.0])), RERANK, "'price' row 1"),
    ("items with an infinite price", table("data/items.parquet", items(price=[1.0, np.inf, 2.0])), RERANK, "not finite"),
    ("items with a price in words", table("data/items.parquet", items(price=["1", "2", "3"])), RERANK, "expected numbers"),
    ("items missing", gone("data/items.parquet"), RERANK, "holds no items.parquet"),
    ("items truncated", text("data/items.parquet", b"PAR1 not really"), RERANK, "not readable Parquet"),
    # events
    ("events without timestamp", table("data/events.parquet", events().drop(columns="timestamp")), RERANK, "lacks 'timestamp'"),
    ("events empty", table("data/events.parquet", events().iloc[:0]), RERANK, "events is empty"),
    ("events on an unknown item", table("data/events.parquet", events(item_id=["a", "a", "b", "z"])), RERANK, "'z' is not in items"),
    ("events of an unknown kind", table("data/events.parquet", events(event="hug")), RERANK, "not a known event"),
    ("events in mixed zones", table("data/events.parquet", events(timestamp=["2024-01-01T00:00:00Z", "2024-01-01T00:00:00+02:00"] * 2)), RERANK, "mixes time zones"),
    ("events at unreadable times", table("data/events.parquet", events(timestamp=["2024-01-01", "soon"] * 2)), RERANK, "not an ISO 8601 time"),
    ("events in epoch seconds", table("data/events.parquet", events(timestamp=[1, 2, 3, 4])), RERANK, "unit='s'"),
    ("events with propensity 0", table("data/events.parquet", events(propensity=[0.5, 0.5, 0.5, 0.0])), RERANK, "'propensity' row 3"),
    ("events with propensity above 1", table("data/events.parquet", events(propensity=[0.5, 0.5, 0.5, 1.5])), RERANK, "'propensity' row 3"),
    ("events with rank 0", table("data/events.parquet", events(rank=[1, 2, 3, 0])), RERANK, "not a rank"),
    ("events with integer users and a users table of strings",
     lambda room: (write_frame(events(user_id=[1, 2, 1, 2]), room / "data/events.parquet"),
                   write_frame(pd.DataFrame({"user_id": ["u"]}), room / "data/users.parquet")),
     RERANK, "numbers in events and strings in users"),
    # candidates
    ("candidates without score", table("candidates.parquet", candidates().drop(columns="score")), RERANK, "lacks 'score'"),
    ("candidates empty", table("candidates.parquet", candidates().iloc[:0]), RERANK, "candidates is empty"),
    ("candidates with a NaN score", table("candidates.parquet", candidates(score=[0.1, np.nan, 0.1])), RERANK, "'score' row 1"),
    ("candidates with an infinite score", table("candidates.parquet", candidates(score=[0.1, np.inf, 0.1])), RERANK, "not finite"),
    ("candidates with a negative score", table("candidates.parquet", candidates(score=[0.1, -0.2, 0.1])), RERANK, "negative"),
    ("candidates with scores in words", table("candidates.parquet", candidates(score=["x", "y", "z"])), RERANK, "expected numbers"),
    ("candidates twice", table("candidates.parquet", candidates(item_id=["a", "a", "a"])), RERANK, "stands there twice"),
    ("candidates of an unknown item", table("candidates.parquet", candidates(item_id=["a", "z", "a"])), RERANK, "'z' is not in items"),
    ("candidates missing", gone("candidates.parquet"), RERANK, "no such file"),
    ("candidates that are CSV", text("candidates.parquet", "request_id,item_id,score\nu,a,1\n"), RERANK, "not readable Parquet"),
    # rankings
    ("rankings with a hole", table("rankings.parquet", rankings(rank=[1, 3, 1])), EVALUATE, "ranks 1, 3, expected 1 to 2"),
    ("rankings with a rank twice", table("rankings.parquet", rankings(rank=[1, 1, 1])), EVALUATE, "expected 1 to 2"),
    ("rankings with an item twice", table("rankings.parquet", rankings(item_id=["a", "a", "a"])), EVALUATE, "stands there twice"),
    ("rankings without rank", table("rankings.parquet", rankings().drop(columns="rank")), EVALUATE, "lacks 'rank'"),
    ("rankings of an unknown item", table("rankings.parquet", rankings(item_id=["a", "z", "a"])), EVALUATE, "'z' is not in items"),
    ("rankings trained on the test period",
     lambda room: write_frame(rankings(), room / "rankings.parquet", metadata={"trained_until": "2024-01-04"}),
     EVALUATE, "later than the start of the test period"),
    ("a test period after the data", nothing, EVALUATE.replace("2024-01-03", "2030-01-01"), "no event from 2030-01-01"),
    ("a test period before the data", nothing, EVALUATE.replace("2024-01-03", "2020-01-01"), "no event before 2020-01-01"),
    ("a test period that is not a date", nothing, EVALUATE.replace("2024-01-03", "soon"), "'soon' is not a date"),
    ("a test period that ends before it begins", nothing, EVALUATE + " --until 2024-01-02", "before it begins"),
    # simulation
    ("a simulation on what the ranker may have seen", nothing, SIMULATE, "fit.since is missing"),
    ("known preferences of nobody knows whom", config("environment: known"), SIMULATE + " --config job.yaml", "holds no truth/ folder"),
    ("a metric that there is not", config("primary: joy"), SIMULATE + " --config job.yaml", "primary: 'joy' is no metric"),
    # settings
    ("an unknown setting", config("gaols: []"), GOALS + " --config job.yaml", "unknown setting 'gaols'"),
    ("a setting of the wrong type", config("k: much"), GOALS + " --config job.yaml", "'k' is 'much'"),
    ("a setting out of range", config("tolerance: -1"), GOALS + " --config job.yaml", "'tolerance' is -1"),
    ("an unknown setting in a block", config("guardrails: {max_pr: {}}"), GOALS + " --config job.yaml", "unknown setting 'guardrails.max_pr'. Did you mean 'max_per'? Known: max_click_loss, "),
    ("an unknown setting in place of one that must be", config("goals: [{grup: tail, min_share: 0.1}]"), GOALS + " --config job.yaml", "unknown setting 'goals.0.grup'. Did you mean 'group'?"),
    ("a nested setting that is missing", config("goals: [{min_share: 0.1}]"), GOALS + " --config job.yaml", "'goals.0.group' is missing. Give it in the YAML."),
    ("a number for a block", config("guardrails: 3"), GOALS + " --config job.yaml", "'guardrails' is 3: expected a block of 'name: value' lines. Known: max_click_loss, "),
    ("a block for a name", config("attention: {a: 1}"), GOALS + " --config job.yaml", "'attention': expected a valid string"),
    ("a nested setting out of range", config("guardrails: {min_score_ratio: 2}"), GOALS + " --config job.yaml", "'guardrails.min_score_ratio' is 2"),
    ("YAML that is a list", config("- k\n- 3\n"), GOALS + " --config job.yaml", "holds a list"),
    ("YAML that does not parse", config("k: [1,\n"), GOALS + " --config job.yaml", "is not valid YAML at line"),
    ("YAML that would run code", config("k: !!python/object/apply:os.getcwd []"), GOALS + " --config job.yaml", "is not valid YAML"),
    ("YAML that is not text", text("job.yaml", b"\xff\xfe\x00k"), GOALS + " --config job.yaml", "is not UTF-8"),
    ("a settings file that is not there", nothing, RERANK + " --config nope.yaml", "cannot read the settings"),
    ("k = 0", nothing, RERANK + " --k 0", "'k' is 0"),
    ("a share above 1", nothing, RERANK.replace("share 0", "share 1.5"), "'goals.0.min_share' is 1.5"),
    ("a goal without a limit", config("goals: [{group: tail}]"), GOALS + " --config job.yaml", "gives no limit"),
    ("a goal with two limits", config("goals: [{group: tail, min_share: 0.1, max_share: 0.2}]"), GOALS + " --config job.yaml", "gives min_share, max_share"),
    ("a goal on a column that is not there", config("goals: [{group: colour, each: true, min_share: 0.1}]"), GOALS + " --config job.yaml", "'colour' is not a column of items"),
    ("a goal on nobody", config("goals: [{group: title, value: Z, min_share: 0.1}]"), GOALS + " --config job.yaml", "no item of the catalogue is meant"),
    ("a cap on a column that is not there", config("guardrails: {max_per: {colour: 1}}"), GOALS + " --config job.yaml", "'colour' is not a column of items"),
    ("a cap of nothing", config("guardrails: {max_per: {title: 0}}"), GOALS + " --config job.yaml", "give 1 or more"),
    ("scores above 1", table("candidates.parquet", candidates(score=[0.3, 1.2, 0.1])), RERANK, "score_kind: relevance"),
    ("prices that are no prices", table("prices.parquet", candidates()), RERANK + " --prices prices.parquet", "prices lacks 'group'"),
    ("prices that are not there", nothing, RERANK + " --prices prices.parquet", "no such file"),
    ("confidence without score_std", config("guardrails: {confidence: 1}"), GOALS + " --config job.yaml", "'score_std'"),
    ("an explanation of nothing", nothing, "explain --data data --rankings source --request u", "no such file"),
    ("attention that rises", config("attention: [0.5, 0.9]\nk: 2"), GOALS + " --config job.yaml", "attention rises with rank"),
    ("attention shorter than k", config("attention: [0.5]\nk: 2"), GOALS + " --config job.yaml", "fewer than k = 2"),
    ("attention in a file that is not there", config("attention: fitted.csv"), GOALS + " --config job.yaml", "fitted.csv: no such file"),
    ("attention in a file that rises",
     lambda room: (config("attention: fitted.csv\nk: 2")(room), text("fitted.csv", "rank,attention\n1,0.5\n2,0.9\n")(room)),
     GOALS + " --config job.yaml", "rises with rank: 0.5 at rank 1"),
    ("attention for evaluation in a file without ranks",
     lambda room: (config("attention: fitted.csv")(room), text("fitted.csv", "slot,attention\n1,0.5\n")(room)),
     EVALUATE + " --config job.yaml", "lacks 'rank'"),
    ("two items pinned to one slot", config("guardrails: {pinned: {a: 1, b: 1}}"), GOALS + " --config job.yaml", "'a' and 'b' into slot 1"),
    ("an item pinned below the list", config("k: 2\nguardrails: {pinned: {a: 3}}"), GOALS + " --config job.yaml", "slot 3, beyond the k = 2"),
    ("an item pinned above the list", config("guardrails: {pinned: {a: 0}}"), GOALS + " --config job.yaml", "'guardrails.pinned.a' is 0"),
    ("an unknown item pinned", config("guardrails: {pinned: {z: 1}}"), GOALS + " --config job.yaml", "guardrails.pinned: item_id 'z' is not in items"),
    ("an unknown item banned", config("guardrails: {banned: [z]}"), GOALS + " --config job.yaml", "guardrails.banned: item_id 'z' is not in items"),
    ("an item pinned and banned", config("guardrails: {pinned: {a: 1}, banned: [a]}"), GOALS + " --config job.yaml", "both pinned and banned"),
    ("every candidate banned", config("guardrails: {banned: [a, b]}"), GOALS + " --config job.yaml", "no candidate is left"),
    ("clicks to calibrate on that are not there", config("calibrate: log.parquet"), GOALS + " --config job.yaml", "no such file"),
    ("clicks to calibrate on without requests", config("calibrate: data/events.parquet"), GOALS + " --config job.yaml", "lacks 'request_id'"),
    ("clicks to calibrate on of other requests",
     lambda room: (config("calibrate: log.parquet")(room),
                   write_frame(pd.DataFrame({"request_id": ["x"], "item_id": ["a"], "event": ["impression"]}), room / "log.parquet")),
     GOALS + " --config job.yaml", "no pair of request_id and item_id matches"),
    ("a goals file that is not there", config("goals_file: goals.parquet"), GOALS + " --config job.yaml", "goals.parquet: no such file"),
    ("a goals file whose name no file can have", config(f"goals_file: {'x' * 5000}"), GOALS + " --config job.yaml", "File name too long"),
    ("a goals file of something else", config("goals_file: candidates.parquet"), GOALS + " --config job.yaml", "lacks 'group'"),
    ("a million goals as YAML", config("goals:\n" + "- {group: item_id, value: a, min_exposure: 0.5}\n" * 1_000_000), GOALS + " --config job.yaml", "goals_file"),
    ("an exact check of too large a job", config("exact: true\nk: 2000000"), GOALS + " --config job.yaml", "6,000,000 variables"),
    ("attention unknown", config("attention: cubic"), GOALS + " --config job.yaml", "attention is 'cubic'"),
    ("a tier column that is not there", config("tail: {column: tier}"), GOALS + " --config job.yaml", "'tier' is not in items"),
    # the command line
    ("a missing option", nothing, "rerank --data data --out out", "'candidates' is missing"),
    ("an option that does not exist", nothing, RERANK + " --fast", "No such option"),
    ("an option that is not a number", nothing, RERANK + " --k many", "Invalid value"),
    ("a verb that does not exist", nothing, "rerunk --data data --out out", "No such command"),
    ("no data folder", nothing, RERANK.replace("--data data", "--data nope"), "no such folder"),
    ("an output that is a file", text("out", "mine"), RERANK, "is a file"),
    ("an output folder of somebody else",
     lambda room: ((room / "out").mkdir(), (room / "out" / "mine.txt").write_text("mine")), RERANK, "did not write"),
    # the other verbs
    ("recommend without events", gone("data/events.parquet"), "recommend --data data --out out", "events.parquet"),
    ("recommend before the data", nothing, "recommend --data data --out out --until 2020-01-01", "2020-01-01"),
    ("import of an unknown source", nothing, "import ebay source --out out", "ebay"),
    ("import from an empty folder", nothing, "import hm source --out out", "articles"),
    ("import from nowhere", nothing, "import movielens nowhere --out out", "nowhere"),
    ("generic import without a map", nothing, "import generic source --out out", "map"),
    ("report on a folder without lists", nothing, "report --run source --out out.html", "rankings"),
    ("describe a folder without items", nothing, "describe source", "holds no items.parquet"),
]


def snapshot(room: Path) -> dict[str, bytes]:
    return {str(path.relative_to(room)): path.read_bytes() for path in sorted(room.rglob("*")) if path.is_file()}


@pytest.mark.parametrize(("spoil", "command", "message"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_refused_with_exit_2_one_line_and_no_output(
    spoil: Spoil, command: str, message: str, room: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
):
    spoil(room)
    monkeypatch.chdir(room)
    before = snapshot(room)
    with pytest.raises(SystemExit) as stop:
        main(command.split())
    said = capsys.readouterr()
    assert stop.value.code == 2, said.err
    assert message in said.err
    assert said.err.count("\n") == 1
    assert "Traceback" not in said.err
    assert said.out == ""
    assert snapshot(room) == before


def test_sound_input_passes(room: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(room)
    with pytest.raises(SystemExit) as stop:
        main(RERANK.split())
    assert stop.value.code == 0, capsys.readouterr().err
    assert sorted(path.name for path in (room / "out").glob("[!.]*")) == [
        "boosts.parquet", "certificate.json", "control.parquet", "prices.parquet", "promotions.parquet",
        "rankings.parquet",
    ]


def run(words: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    with pytest.raises(SystemExit) as stop:
        main(words.split())
    return int(str(stop.value.code)), capsys.readouterr().err


@pytest.mark.parametrize(
    ("scores", "setting", "expected"),
    [
        # one list of two candidates, one of one; k is larger than both
        ([0.3, 0.2, 0.1], "k: 20", ["a", "b", "a"]),
        ([0.1, 0.3, 0.1], "k: 20", ["b", "a", "a"]),
        ([0.2, 0.2, 0.2], "k: 20", ["a", "b", "a"]),
        ([0.0, 0.0, 0.0], "k: 20", ["a", "b", "a"]),
        ([1.0, 1.0, 1.0], "k: 1", ["a", "a"]),
        ([0.3, 0.2, 0.1], "guardrails: {pinned: {b: 1, a: 9}}", ["b", "a", "a"]),
        ([0.3, 0.2, 0.1], "exact: true", ["a", "b", "a"]),
    ],
)
def test_odd_but_sound_lists(
    scores: list[float], setting: str, expected: list[str], room: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.chdir(room)
    table("candidates.parquet", candidates(score=scores))(room)
    config(setting)(room)
    assert run(RERANK + " --config job.yaml", capsys) == (0, "")
    lists = pd.read_parquet(room / "out" / "rankings.parquet")
    assert lists["item_id"].tolist() == expected
    certificate = json.loads((room / "out" / "certificate.json").read_text())
    assert certificate["feasible"]
    assert certificate["scores"] == "probabilities, as given"
    if len(set(scores)) == 1:
        assert certificate["notes"] == {"candidates with one and the same score": 3}


@pytest.mark.parametrize(
    ("goal", "named"),
    [
        # c is in the catalogue and nobody's candidate; a's candidates can give 2 units at most
        ("{group: item_id, value: c, min_exposure: 0.5}", "item_id c min_exposure 0.5, reached 0"),
        ("{group: item_id, value: a, min_exposure: 2.5}", "item_id a min_exposure 2.5, reached 2"),
        ("{group: item_id, each: true, min_exposure: 1.1}", "2 of 3 goals cannot be met together"),
    ],
)
def test_a_goal_above_what_the_candidates_can_give_is_named(
    goal: str, named: str, room: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(room)
    config(f"goals: [{goal}]\nguardrails: {{min_score_ratio: null}}")(room)
    code, said = run(GOALS + " --config job.yaml", capsys)
    assert code == 3
    assert named in said
    assert said.count("\n") == 1
    assert not (room / "out").exists()
    assert run(GOALS + " --config job.yaml --elastic", capsys) == (0, "")


def test_goals_that_cannot_be_met_end_with_exit_3_and_no_output(
    room: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(room)
    unreachable = RERANK.replace("--tail-share 0", "--tail-share 1")
    for words, code in ((unreachable, 3), (unreachable + " --elastic", 0)):
        with pytest.raises(SystemExit) as stop:
            main(words.split())
        said = capsys.readouterr()
        assert stop.value.code == code, said.err
        assert (room / "out").exists() == (code == 0)
    assert said.err == ""
