"""A tiny shop with every table that a verb reads, and a way to run a verb in it and hold it to the law.

The law: exit code 0, 2, 3 or 4; no traceback; the last line on stderr says in one printable line what is wrong; no
user's id is printed; and unless the code is 0, every file is as it was.
"""

import contextlib
import io
import json
import os
import resource
import shutil
import signal
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import yaml
from tiny_ranking import tiny_settings

from ltexpo.cli import main
from ltexpo.data import Dataset
from ltexpo.data.files import write_text
from ltexpo.data.tables import write_frame

N_ITEMS, N_USERS, N_DAYS, K = 8, 12, 8, 3
SINCE, BEFORE = "2024-01-06", "2024-01-07"
CODES = (0, 2, 3, 4)
LONGEST = 2_000
"""Characters of a refusal: it is one line of a log."""
SECONDS = 60
"""No case may compute longer; one that waits has ten times as long, as a machine may be crowded."""
GB = 2**30
PERSON = "person-"
"""How the id of every user and request begins: no word of it may be printed or logged."""

SIMULATE = "days: 2\nbefore_days: 1\nenvironment: fitted\nfit: {ridge: 8.0}\n"
MONITOR = """least_users: 2
least_days: 5
reference_days: 7
settled_days: 2
window: 3
controller: {least_requests: 2}
"""
COLUMN_MAP = """
items: {path: products.csv, columns: {item_id: sku, title: name, price: price, image: picture}}
events:
  path: log.csv
  columns: {user_id: customer, item_id: sku, event: action, timestamp: at}
  kinds: {view: impression, tap: click, buy: purchase}
"""
VERBS = {
    "describe": "describe data",
    "recommend": f"recommend --data data --until {SINCE} --k 5 --out out",
    "rerank": f"rerank --data data --candidates candidates.parquet --k {K} --tail-share 0.1 --out out",
    "warm": f"rerank --data data --candidates candidates.parquet --k {K} --prices rankings/prices.parquet --out out",
    "explain": "explain --data data --rankings rankings --request person-1",
    "frontier": f"frontier --data data --candidates candidates.parquet --k {K} --n-points 2 --out out",
    "evaluate": f"evaluate --data data --rankings rankings/rankings.parquet --control rankings/control.parquet "
                f"--since {SINCE} --out out",
    "examine": "examine --data data --model pbm --out out",
    "simulate": "simulate --data data --control rankings/control.parquet --treatment rankings/rankings.parquet "
                "--config simulate.yaml --out out",
    "ope": "ope --data data --policy rankings/rankings.parquet --out out",
    "encode": "encode --data data --out out",
    "graph": f"graph --data data --until {SINCE} --out out",
    "report": "report --run . --out out.html",
    "import": "import generic source --out out",
    "monitor": "monitor --data data --rankings rankings --history monitor --config monitor.yaml --out out",
    "export": "export --data data --rankings rankings --format function_score --format rank_feature --format redis "
              "--format csv --format jsonl --format parquet --out out",
}
"""Verb → the words that run it in the room."""
READS = {
    "describe": ("data/items.parquet", "data/events.parquet", "data/users.parquet"),
    "recommend": ("data/items.parquet", "data/events.parquet", "data/users.parquet"),
    "rerank": ("candidates.parquet", "candidates.parquet", "data/items.parquet", "data/events.parquet"),
    "warm": ("rankings/prices.parquet",),
    "explain": ("rankings/rankings.parquet", "rankings/control.parquet", "rankings/boosts.parquet",
                "data/items.parquet"),
    "frontier": ("candidates.parquet",),
    "evaluate": ("rankings/rankings.parquet", "rankings/control.parquet", "data/events.parquet"),
    "examine": ("data/events.parquet",),
    "simulate": ("rankings/rankings.parquet", "rankings/control.parquet", "data/events.parquet", "data/items.parquet"),
    "ope": ("data/events.parquet", "rankings/rankings.parquet"),
    "encode": ("data/items.parquet",),
    "graph": ("data/events.parquet", "data/items.parquet"),
    "report": ("rankings/rankings.parquet", "rankings/control.parquet", "candidates.parquet", "data/items.parquet",
               "evaluation/metrics.parquet", "rankings/prices.parquet", "evaluation/lorenz.parquet"),
    "import": ("source/products.csv", "source/log.csv"),
    "monitor": ("data/events.parquet", "data/items.parquet", "rankings/rankings.parquet", "rankings/prices.parquet",
                "monitor/metrics.parquet", "monitor/decisions.parquet"),
    "export": ("rankings/rankings.parquet", "rankings/rankings.parquet", "rankings/boosts.parquet",
               "data/items.parquet"),
}
"""Verb → the tables that are spoilt for it, a more telling one more than once."""
SCORE = "recommend --data data --model model --k 4 --out out"
"""A verb more, in a room that has a model: see `Room.train`."""


@dataclass
class Ran:
    """What became of one run."""

    code: int
    out: str
    err: str
    warned: list[str] = field(default_factory=list)


class Room:
    """A folder with sound inputs for every verb; `run` works in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        _tables(folder)
        for verb, words in (
            ("rerank", VERBS["rerank"].replace("--out out", "--out rankings")),
            ("evaluate", VERBS["evaluate"].replace("--out out", "--out evaluation")),
            ("simulate", VERBS["simulate"].replace("--out out", "--out experiment")),
            ("monitor", f"monitor --data data --rankings rankings --config monitor.yaml --day {BEFORE} --out monitor"),
        ):
            ran = self.run(words)
            assert ran.code == 0, f"{verb} does not run on sound tables: {ran.err}"

    def train(self) -> None:
        """A model of the sound tables in model/."""
        few = {"days": 1, "min_users": 4, "min_clicks": 10**6, "max_users": 12, "max_baskets": 10}
        settings = tiny_settings(
            tfidf={"width": 4}, k=5, pool=8, validation_users=6, rolling=tiny_settings()["rolling"] | few, graph=None,
        )
        write_text(yaml.safe_dump(settings), self.folder / "train.yaml")
        ran = self.run(f"train --data data --until {SINCE} --config train.yaml --out model")
        assert ran.code == 0, ran.err

    def run(self, words: str | list[str]) -> Ran:
        """The command line of `words`, in this process, in this folder."""
        err, out = io.StringIO(), io.StringIO()
        with (
            contextlib.chdir(self.folder), contextlib.redirect_stderr(err), contextlib.redirect_stdout(out),
            warnings.catch_warnings(record=True) as warned, _bounded(),
        ):
            warnings.simplefilter("always")
            try:
                main(words.split() if isinstance(words, str) else words)
                code: object = None
            except SystemExit as stop:
                code = stop.code
        assert isinstance(code, int), code
        told = [f"{one.filename}:{one.lineno} {one.message}" for one in warned]
        return Ran(code, out.getvalue(), err.getvalue(), told)

    def hold(self, words: str | list[str], *, old: bool = False, private: bool = True) -> Ran:
        """Run and hold to the law; `old`: an earlier output lies where the new one is to come; not `private`: the case
        put ids of users where another column's values belong, which nobody can tell."""
        outputs = (self.folder / "out", self.folder / "out.html")
        if old:
            _old_output(words, *outputs)
        before = snapshot(self.folder)
        try:
            ran = self.run(words)
            said = f"{words}: exit {ran.code}\n{ran.err[-3_000:]}"
            assert ran.code in CODES, said
            assert "Traceback" not in ran.err, said
            if private and "--request" not in words:  # who asks for one request is told of it
                assert PERSON not in ran.err + ran.out, said
            scratch = [path.name for path in self.folder.iterdir() if path.name.startswith(".")]
            assert not scratch, f"{said}\nscratch is left: {scratch}"
            if ran.code:
                lines = ran.err.splitlines()
                assert lines and lines[-1].startswith("ltexpo: ") and lines[-1] != "ltexpo: ", said
                assert lines[-1].isprintable() and len(lines[-1]) <= LONGEST, said
                assert ran.out == "", said
                after = snapshot(self.folder)
                changed = sorted(name for name in before | after if before.get(name) != after.get(name))
                assert not changed, f"{said}\nchanged: {changed}"
            return ran
        finally:
            for output in outputs:
                if output.is_dir():
                    shutil.rmtree(output)
                output.unlink(missing_ok=True)

    @contextlib.contextmanager
    def spoilt(self, name: str, content: bytes) -> Iterator[None]:
        """The file `name` with other `content` within the block."""
        path = self.folder / name
        before = path.read_bytes() if path.exists() else None
        path.write_bytes(content)
        try:
            yield
        finally:
            if before is None:
                path.unlink()
            else:
                path.write_bytes(before)


def snapshot(folder: Path) -> dict[str, bytes]:
    """Every file in `folder` with its content, and every folder."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else b"" for path in folder.rglob("*")
    }


def _old_output(words: str | list[str], out: Path, page: Path) -> None:
    """Something that the verb of `words` would have written."""
    verb = (words.split() if isinstance(words, str) else words)[0]
    if verb == "report":
        page.write_text('<meta name="generator" content="ltexpo">yesterday')
        return
    out.mkdir()
    (out / "yesterday.txt").write_text("yesterday")
    (out / ".ltexpo").write_text(json.dumps({"verb": verb, "files": ["yesterday.txt"]}))


class TookTooLongError(BaseException):
    """Not an Exception, so that the command line does not take it for a fault of its own."""


@contextlib.contextmanager
def _bounded() -> Iterator[None]:
    """Neither all memory nor all day may go into one case."""
    def stop(number: int, frame: object) -> None:
        raise TookTooLongError(f"a case took more than {SECONDS} s")

    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    timers = {signal.SIGPROF: (signal.ITIMER_PROF, SECONDS), signal.SIGALRM: (signal.ITIMER_REAL, 10 * SECONDS)}
    before = {number: signal.signal(number, stop) for number in timers}
    for timer, seconds in timers.values():
        signal.setitimer(timer, seconds)
    resource.setrlimit(resource.RLIMIT_AS, (used + 4 * GB, hard))
    try:
        yield
    finally:
        for number, (timer, _) in timers.items():
            signal.setitimer(timer, 0)
            signal.signal(number, before[number])
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def _tables(folder: Path) -> None:
    rng = np.random.default_rng(0)
    codes = np.arange(N_ITEMS)
    items = pd.DataFrame({
        "item_id": [f"i{code}" for code in codes], "title": [f"Title {code}" for code in codes],
        "brand": np.where(codes % 2, "x", "y"), "category": np.where(codes % 3, "c", "d"), "price": codes + 1.0,
        "image": [f"images/{code}.png" for code in codes],
    })
    rows = []
    for day, moment in enumerate(pd.date_range("2024-01-01", periods=N_DAYS, tz="UTC")):
        for user in range(N_USERS):
            for slot, item in enumerate(rng.permutation(N_ITEMS)[:K]):
                shown = {
                    "user_id": f"{PERSON}{user}", "item_id": f"i{item}", "event": "impression",
                    "timestamp": moment + pd.Timedelta(minutes=user), "request_id": f"q{day}-{PERSON}{user}",
                    "rank": slot + 1, "propensity": 1 / N_ITEMS, "price": item + 1.0,
                }
                rows += [shown, *([shown | {"event": "click"}] if rng.random() < 0.5 / (slot + 1) else []),
                         *([shown | {"event": "purchase"}] if rng.random() < 0.2 else [])]
    events = pd.DataFrame(rows)
    people = [f"{PERSON}{user}" for user in range(N_USERS)]
    users = pd.DataFrame({"user_id": people, "segment": ["a", "b"] * (N_USERS // 2)})
    Dataset.of(items, events, users).save(folder / "data")
    candidates = pd.DataFrame([
        {"request_id": who, "item_id": f"i{item}", "score": rng.random() / 2, "user_id": who, "score_std": 0.01}
        for who in people for item in range(6)
    ])
    write_frame(candidates, folder / "candidates.parquet", metadata={"trained_until": SINCE})
    write_text(SIMULATE, folder / "simulate.yaml")
    write_text(MONITOR, folder / "monitor.yaml")
    write_text(COLUMN_MAP, folder / "source/columns.yaml")
    products = items.rename(columns={"item_id": "sku", "title": "name", "image": "picture"})
    products.to_csv(folder / "source/products.csv", index=False)
    log = events[["user_id", "item_id", "event", "timestamp"]].iloc[:60]
    log.columns = pd.Index(["customer", "sku", "action", "at"])
    log = log.replace({"action": {"impression": "view", "click": "tap", "purchase": "buy"}})
    log.to_csv(folder / "source/log.csv", index=False)
