"""YAML file + command-line options → one checked settings object; settings object → its documented YAML."""

import datetime as dt
import difflib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from ltexpo.errors import ConfigError, shown
from ltexpo.plain_yaml import read_yaml


class Settings(BaseModel):
    """Base of every settings model: unknown keys are refused, and the line under a field is its documentation."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, validate_default=True)


S = TypeVar("S", bound=Settings)

MOST_BYTES = 10_000_000
"""YAML is read at about 500 kB/s into a hundred times its size in memory."""
if TYPE_CHECKING:
    from pydantic_core import ErrorDetails


def read_settings(model: type[S], path: Path | None = None, overrides: Mapping[str, Any] | None = None) -> S:
    """Settings from the YAML at `path` (none: defaults), with the non-None `overrides` on top.

    Raises `ConfigError` naming the file, the field, what arrived and what is allowed.
    """
    source = "options" if path is None else str(path)
    values: dict[str, Any] = {}
    if path is not None:
        try:
            size = Path(path).stat().st_size
            if size > MOST_BYTES:
                raise ConfigError(
                    f"{path}: holds {size:,} bytes of settings, more than {MOST_BYTES:,}. "
                    "Give many goals as a Parquet table: goals_file."
                )
            loaded = read_yaml(Path(path).read_text(encoding="utf-8"))
        except OSError as error:
            raise ConfigError(f"{path}: cannot read the settings ({error.strerror}). Check --config.") from error
        except UnicodeDecodeError as error:
            raise ConfigError(f"{path}: is not UTF-8 text. Give a YAML file.") from error
        except yaml.YAMLError as error:
            where = getattr(error, "problem_mark", None)
            line = f" at line {where.line + 1}" if where else ""
            raise ConfigError(f"{path}: is not valid YAML{line}: {getattr(error, 'problem', error)}.") from error
        if loaded is None:
            loaded = {}
        if not isinstance(loaded, dict):
            raise ConfigError(f"{path}: holds a {type(loaded).__name__}, expected 'name: value' lines.")
        values |= {str(name): value for name, value in loaded.items()}
    values |= {name: value for name, value in (overrides or {}).items() if value is not None}
    return check_settings(model, values, source)


def check_settings(model: type[S], values: Mapping[str, Any], source: str) -> S:
    """`values` as a checked `model`; a `ConfigError` shows the first problem and counts the rest."""
    try:
        return model.model_validate(values)
    except ConfigError as error:  # a setting that says its own mend
        raise ConfigError(f"{source}: {error}") from error
    except ValidationError as error:
        # A misspelt name also makes the right one missing: the misspelling says more.
        problems = sorted(error.errors(), key=lambda one: one["type"] != "extra_forbidden")
        more = f" ({len(problems) - 1} more problems)" if len(problems) > 1 else ""
        raise ConfigError(f"{source}: {_told(problems[0], model, values)}{more}") from error


def _told(problem: "ErrorDetails", model: type[Settings], values: Mapping[str, Any]) -> str:
    """One of pydantic's problems in a sentence that names the place in the YAML."""
    kind, place = problem["type"], _place(problem, values)
    field = ".".join(map(str, place)) or "settings"
    if kind == "extra_forbidden":
        known = list(_block(model, place[:-1]).model_fields)
        near = difflib.get_close_matches(str(place[-1]), known, 1)
        guess = f" Did you mean '{near[0]}'?" if near else ""
        return f"unknown setting '{field}'.{guess} Known: {', '.join(known)}."
    if kind == "missing":
        option = f" or as --{field.replace('_', '-')}" if len(place) == 1 else ""
        return f"'{field}' is missing. Give it in the YAML{option}."
    # a whole block says nothing that its message does not
    arrived = "" if isinstance(problem["input"], Mapping | Settings) else f" is {shown(problem['input'])}"
    if kind in ("model_type", "model_attributes_type"):
        known = list(_block(model, place).model_fields)
        return f"'{field}'{arrived}: expected a block of 'name: value' lines. Known: {', '.join(known)}."
    message = "expected a list" if kind in ("tuple_type", "list_type") else problem["msg"]
    message = message.removeprefix("Value error, ").replace("Input should be", "expected")
    # What is wrong between several settings names them itself.
    return f"'{field}'{arrived}: {message}." if place else f"{message}."


def _place(problem: "ErrorDetails", values: Any) -> list[str | int]:
    """Keys and indices that lead to the problem; pydantic also names the branches of a union, which nobody wrote."""
    place: list[str | int] = []
    for at, part in enumerate(problem["loc"]):
        listed = isinstance(values, list | tuple) and isinstance(part, int)
        if listed or (isinstance(values, Mapping) and part in values):
            values = values[part]
        elif place and not (problem["type"] == "missing" and at == len(problem["loc"]) - 1):
            continue
        place.append(part)
    return place


def _block(model: type[Settings], place: Sequence[str | int]) -> type[Settings]:
    """The settings that stand at `place`."""
    for part in place:
        if part in model.model_fields:
            model = next(_settings_in(model.model_fields[str(part)].annotation), model)
    return model


def _settings_in(annotation: Any) -> Iterator[type[Settings]]:
    if isinstance(annotation, type) and issubclass(annotation, Settings):
        yield annotation
    for part in get_args(annotation):
        yield from _settings_in(part)


def documented_yaml(model: type[Settings]) -> str:
    """The defaults of `model` as YAML, each with its meaning as a comment; settings without a default are blank."""
    return "\n".join(_yaml_lines(model, indent="")) + "\n"


def _yaml_lines(model: type[Settings], indent: str, given: Settings | None = None) -> list[str]:
    """Lines of `model`, with the values of `given`: as a field's default a model may differ from its own defaults."""
    lines = []
    for name, field in model.model_fields.items():
        lines += [f"{indent}# {line}" for line in (field.description or "").splitlines()]
        blank = given is None and field.is_required()
        default: Any = None
        if given is not None:
            default = getattr(given, name)
        elif not blank:
            default = field.get_default(call_default_factory=True)
        if isinstance(default, Settings):
            lines += [f"{indent}{name}:", *_yaml_lines(type(default), indent + "  ", default)]
        else:
            value = "" if blank else " " + _yaml_value(default)
            lines.append(f"{indent}{name}:{value}")
    return lines


def _yaml_value(value: Any) -> str:
    if isinstance(value, Path | dt.timedelta):
        value = str(value)
    if isinstance(value, tuple) and any(isinstance(part, Settings) for part in value):
        value = [part.model_dump(mode="json", exclude_defaults=True) for part in value]
    text = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=10_000)
    return text.removesuffix("\n").removesuffix("\n...")
