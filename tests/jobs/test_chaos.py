"""A batch job that is killed at 30 random moments and resumed."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from made_run import made_pipeline, make_source

ROOT = Path(__file__).parents[2]
N_KILLS = 30


def start(settings: dict[str, Any], file: Path) -> subprocess.Popen[str]:
    file.write_text(json.dumps(settings))
    return subprocess.Popen(
        [sys.executable, ROOT / "pipelines" / "daily.py", file], text=True, stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def finish(settings: dict[str, Any], file: Path) -> float:
    """Run to the end; returns the seconds from the first stage on."""
    job = start(settings, file)
    assert job.stderr is not None
    lines, begun = [], time.perf_counter()
    for line in job.stderr:
        if " runs: " in line and not any(" runs: " in earlier for earlier in lines):
            begun = time.perf_counter()
        lines.append(line)
    assert job.wait() == 0, "".join(lines)
    return time.perf_counter() - begun


def contents(out: Path) -> dict[str, str]:
    """Every file of a run but its manifest, marks and hashes of files, which say when and where it ran."""
    return {
        path.relative_to(out).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(out.rglob("*"))
        if path.is_file() and path.name not in ("manifest.json", ".hashes.json", ".lock")
    }


def family(pid: int) -> list[int]:
    """The run, the process that its stages are forked from, and the stage at work."""
    found = [pid]
    while True:
        below = Path(f"/proc/{found[-1]}/task/{found[-1]}/children")
        try:
            children = [int(child) for child in below.read_text().split()]
        except OSError:
            return found
        if not children:
            return found
        found.append(children[-1])


class Reader(threading.Thread):
    """Reads what is published, and the run's own lists, again and again; notes whatever is not whole."""

    def __init__(self, published: Path, rankings: Path, known: set[str]) -> None:
        super().__init__(daemon=True)
        self.published, self.rankings, self.known = published, rankings, known
        self.stopped, self.reads, self.wrong = threading.Event(), 0, []  # type: ignore[var-annotated]

    def run(self) -> None:
        while not self.stopped.is_set():
            try:
                self.read_published()
                found = hashlib.sha256(self.rankings.read_bytes()).hexdigest()
                if found not in self.known:
                    self.wrong.append(f"{self.rankings}: {found}")
            except Exception as error:
                self.wrong.append(f"{type(error).__name__}: {error}")
            self.reads += 1
            time.sleep(0.01)

    def read_published(self) -> None:
        for attempt in range(3):
            latest = json.loads((self.published / "latest.json").read_text())
            try:
                for table in latest["tables"].values():
                    whole = (self.published / table["path"]).read_bytes()
                    if hashlib.sha256(whole).hexdigest() != table["sha256"]:
                        self.wrong.append(f"{table['path']}: other bytes than promised")
                    if pq.read_table(self.published / table["path"]).num_rows != table["rows"]:
                        self.wrong.append(f"{table['path']}: other rows than promised")
                return
            except FileNotFoundError:  # another publication of the same day took its place: latest.json says which
                if attempt == 2:
                    raise


@pytest.mark.slow
def test_thirty_kills_leave_no_trace(tmp_path: Path):
    if not Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").exists():
        pytest.skip("needs /proc to find the stages' processes")
    rng = np.random.default_rng(5)
    day = make_source(tmp_path / "source")

    def settings(place: str, tail: float) -> dict[str, Any]:
        made = made_pipeline(tmp_path / "source", tmp_path / place / "run", day)
        made["rerank"]["goals"][0]["min_share"] = tail
        made["recommend"]["seed"] = round(100 * tail)
        return made

    wanted, file = {}, tmp_path / "job.yaml"
    tails = (0.35, 0.45)
    seconds = 0.0
    for tail in tails:
        seconds = max(seconds, finish(settings(f"calm{tail}", tail), file))
        wanted[tail] = contents(tmp_path / f"calm{tail}" / "run")
    lists = "rankings/rankings.parquet"
    assert wanted[tails[0]][lists] != wanted[tails[1]][lists]
    room, out = tmp_path / "chaos", tmp_path / "chaos" / "run"
    finish(settings("chaos", tails[0]), file)
    reader = Reader(room / "published", out / lists, {wanted[tail][lists] for tail in tails})
    reader.start()
    hit = []
    for turn in range(N_KILLS):
        # each turn asks for the other lists, so that there is always something to replace when the kill comes
        job = start(settings("chaos", tails[turn % 2]), file)
        assert job.stderr is not None
        for line in job.stderr:
            if " runs: " in line:
                break
        time.sleep(float(rng.uniform(0, seconds)))
        victims = family(job.pid)
        victim = victims[int(rng.integers(len(victims)))]
        try:
            os.kill(victim, signal.SIGKILL)
        except ProcessLookupError:
            victim = job.pid  # it went by itself in between
            job.kill()
        job.stderr.read()
        code = job.wait()
        hit.append((len(victims), victims.index(victim), code))
    final = settings("chaos", tails[1])
    finish(final, file)
    assert contents(out) == wanted[tails[1]]
    finish(settings("chaos", tails[0]), file)
    assert contents(out) == wanted[tails[0]]
    reader.stopped.set()
    reader.join()
    assert reader.wrong == []
    assert reader.reads > 100
    # the kills were no formality: most came while a stage was at work, and they hit each of the three processes
    assert sum(size == 3 for size, _, _ in hit) > N_KILLS // 3
    assert {which for _, which, _ in hit} == {0, 1, 2}
    assert sum(code != 0 for _, _, code in hit) > N_KILLS // 2
