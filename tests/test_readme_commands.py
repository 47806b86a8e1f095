"""Every command and every YAML of the README, in their order, on a small made shop in the place of the demo's."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from ltexpo.cli import main

README = Path(__file__).parents[1] / "README.md"
PIPELINES = README.parent / "pipelines"
SET_UP = ("python3 -m venv", ". .venv/bin/activate")


def blocks() -> list[tuple[str, str]]:
    """Kind and text of each block, as they follow each other."""
    return re.findall(r"^```(bash|yaml)\n(.*?)^```", README.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


def commands(text: str) -> list[str]:
    lines = text.replace("\\\n", " ").splitlines()
    return [line for line in lines if line and not line.startswith(SET_UP)]


def run(line: str) -> None:
    words = shlex.split(line, comments=True)
    if words[0] == "python":
        script = PIPELINES / Path(words[1]).name
        done = subprocess.run([sys.executable, script, *words[2:]], capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{line}\n{done.stderr}"
        return
    assert words[0] == "ltexpo", line
    with pytest.raises(SystemExit) as stop:
        main(words[1:])
    assert stop.value.code == 0, line


def export_as_somebody_else_would(demo: Path, to: Path) -> None:
    """The demo's tables under the names that the README's column map reads."""
    to.mkdir()
    items = pd.read_parquet(demo / "items.parquet")
    items.rename(columns={"item_id": "sku", "title": "name", "category": "department", "price": "price_eur",
                          "department": "floor"}).to_csv(to / "products.csv", index=False)
    events = pd.read_parquet(demo / "events.parquet")
    names = {"impression": "view", "click": "tap", "purchase": "order"}
    events = events[events["event"].isin(names)].assign(event=lambda rows: rows["event"].map(names))
    events.rename(columns={"user_id": "customer", "item_id": "sku", "event": "action", "timestamp": "at"})[
        ["customer", "sku", "action", "at"]
    ].to_parquet(to / "log.parquet")


@pytest.mark.slow
def test_every_command_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.chdir(tmp_path)
    run("ltexpo demo --n-items 400 --n-users 1500 --no-model --out runs/demo")
    export_as_somebody_else_would(tmp_path / "runs" / "demo" / "data", tmp_path / "exports")
    ran = 0
    for kind, text in blocks():
        if kind == "yaml":
            name = re.match(r"# (\w+\.yaml)\n", text)
            assert name is not None, f"a YAML without its file's name:\n{text}"
            (tmp_path / name[1]).write_text(text, encoding="utf-8")
            continue
        for line in commands(text):
            if "--engine spark" in line and shutil.which("java") is None:
                continue
            with capsys.disabled():
                print(f"\n+ {line}", flush=True)
            run(line)
            ran += 1
    assert ran > 15
