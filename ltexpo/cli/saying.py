"""A result → stdout; a refusal → one line on stderr."""

import json
from typing import Any

import typer

LONGEST = 1_000
"""Characters of a refusal; a value of a table can be of any length."""


def refuse(message: str, code: int) -> int:
    """Say on stderr, in one line, what is wrong; returns `code`."""
    line = plain(" ".join(message.split()))
    if len(line) > LONGEST:
        half = LONGEST // 2
        line = f"{line[:half]} … {line[-half:]}"
    typer.echo(f"ltexpo: {line}", err=True)
    return code


def plain(text: str) -> str:
    """`text` without what would steer a terminal: a title or an id may hold any character."""
    return "".join(char if char.isprintable() or char == "\n" else repr(char)[1:-1] for char in text)


def say(result: object) -> None:
    """Print a result."""
    typer.echo(plain(str(result)))


def say_facts(facts: dict[str, Any]) -> None:
    """Print named values as JSON."""
    typer.echo(json.dumps(facts, indent=2, ensure_ascii=False, default=str))
