"""What the README shows is what happens."""

import doctest
import re
from pathlib import Path

import pytest
import yaml

from ltexpo.cli import JOBS, app, main

README = Path(__file__).parents[1] / "README.md"


def test_the_python_example_runs_as_printed():
    failed, tried = doctest.testfile(str(README), module_relative=False)
    assert tried > 5
    assert failed == 0


def test_every_verb_in_the_readme_exists_and_every_verb_stands_there():
    text = README.read_text(encoding="utf-8")
    shown = set(re.findall(r"^ltexpo (\w+)", text, flags=re.MULTILINE)) | set(re.findall(r"ltexpo (config|demo)", text))
    verbs = {command.name or command.callback.__name__ for command in app.registered_commands}
    assert shown == {*JOBS, "config"}
    assert verbs == {*JOBS, "config", "version"}


@pytest.mark.parametrize("verb", JOBS)
def test_config_prints_yaml_that_holds_every_setting_with_its_meaning(verb: str, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as stop:
        main(["config", verb])
    assert stop.value.code == 0
    printed = capsys.readouterr().out
    assert set(yaml.safe_load(printed)) == set(JOBS[verb].model_fields)
    assert all(field.description for field in JOBS[verb].model_fields.values())
