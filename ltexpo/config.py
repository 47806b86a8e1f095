"""YAML file + command-line options → one checked settings object; settings object → its documented YAML."""

import datetime as dt
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from ltexpo.errors import ConfigError


class Settings(BaseModel):
    """Base of every settings model: unknown keys are refused, and the line under a field is its documentation."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, validate_default=True)


S = TypeVar("S", bound=Settings)

MOST_BYTES = 10_000_000
"""YAML is read at about 500 kB/s into a hundred times its size in memory."""
if TYPE_CHECKING:
    from yaml import SafeLoader as _SafeLoader
else:  # libyaml's parser, where PyYAML was built with it, is several times as fast
    _SafeLoader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _OnceLoader(_SafeLoader):
    """The safe loader, which lets a key stand only once: PyYAML would silently take the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            if key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"'{key.value}' stands there twice", key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep=deep)


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
            loaded = yaml.load(Path(path).read_text(encoding="utf-8"), Loader=_OnceLoader)
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
    except ValidationError as error:
        problems = error.errors()
        first = problems[0]
        field = ".".join(str(part) for part in first["loc"]) or "settings"
        if first["type"] == "extra_forbidden":
            what = f"unknown setting '{field}'. Known: {', '.join(model.model_fields)}."
        elif first["type"] == "missing":
            what = f"'{field}' is missing. Give it in the YAML or as --{field.replace('_', '-')}."
        else:
            # a whole block says nothing that its message does not
            arrived = "" if isinstance(first["input"], Mapping | Settings) else f" is {first['input']!r}"
            what = f"'{field}'{arrived}: {first['msg'].removeprefix('Value error, ')}."
        more = f" ({len(problems) - 1} more problems)" if len(problems) > 1 else ""
        raise ConfigError(f"{source}: {what}{more}") from error


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
