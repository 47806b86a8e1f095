"""The exit codes that a scheduler acts on."""

import pytest

from ltexpo import cli
from ltexpo.cli import making
from ltexpo.errors import ConfigError, GuardrailError, InfeasibleError, InputError, LtexpoError, OutputError

CODES = [
    (LtexpoError("x"), 1),
    (InputError("x"), 2),
    (ConfigError("x"), 2),
    (OutputError("x"), 2),
    (InfeasibleError("x"), 3),
    (GuardrailError("x"), 4),
]


@pytest.mark.parametrize(("error", "code"), CODES)
def test_each_refusal_ends_with_its_exit_code_and_one_line(
    error: LtexpoError, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    def refuse(_: object) -> None:
        raise error

    monkeypatch.setattr(making, "run_describe", refuse)
    with pytest.raises(SystemExit) as stop:
        cli.main(["describe", "anywhere"])
    assert stop.value.code == code
    assert capsys.readouterr().err.splitlines() == ["ltexpo: x"]
