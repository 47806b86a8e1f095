"""Strategies of hypothesis: a settings model → the bytes of a YAML that it should refuse, or hardly bear."""

from typing import Any, get_args

import yaml
from hypothesis import strategies as st

from ltexpo.config import Settings

LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)
RAW: tuple[bytes, ...] = (
    b"", b"\n", b"---\n", b"--- \n---\n", b"a: 1\n---\nb: 2\n", b"# only a comment\n", b"null\n", b"3\n", b"text\n",
    b"[]\n",
    b"- a\n", b"{}\n", b"{", b"}", b"[1,", b"k: [", b"k: {a: 1", b"k: 'open", b'k: "\\x"', b"\tk: 1\n", b"k:\n\t- 1\n",
    b"k: 1\nk: 2\n", b"{k: 1, k: 2}\n", b"? [a, b]\n: 1\n", b"? {a: b}\n: 1\n", b"? - a\n: 1\n", b"1: 2\n",
    b"null: 2\n",
    b"true: 2\n", b"2024-01-01: 2\n", b"~: ~\n", b"<<: {k: 1}\n", b"<<: 3\n", b"<<: [1, 2]\n", b"a: &x 1\n<<: *x\n",
    b"a: *nobody\n", b"a: &a [*a]\n", b"a: &a {b: *a}\n", b"&a {k: *a}\n", b"k: *\n", b"k: &\n", b"k: !\n",
    LAUGHS.encode(), b"k: !!python/object/apply:os.system ['true']\n", b"k: !!python/name:os.system\n",
    b"k: !!python/tuple [1]\n", b"!!python/object:object {}\n", b"k: !!set {a, b}\n", b"k: !!omap [a: 1]\n",
    b"k: !!binary \"///\"\n", b"k: !!binary 3\n", b"k: !!timestamp 2024-13-45\n", b"k: 2024-13-45\n",
    b"k: 2024-02-30 10:00:00\n", b"k: !!int abc\n", b"k: !!int ''\n", b"k: !!float abc\n", b"k: !!bool maybe\n",
    b"k: !!null 3\n", b"k: !unknown 3\n", b"k: !!str [a]\n", b"k: !!map [a]\n", b"k: !!seq {a: 1}\n", b"k: 0x\n",
    b"k: 0b2\n", b"k: 08\n", b"k: 1:99:99\n", b"k: .inf\n", b"k: .nan\n", b"k: 1e999\n", b"k: " + b"9" * 5_000 + b"\n",
    b"k: 0x" + b"f" * 5_000 + b"\n", b"k: " + b"[" * 2_000 + b"]" * 2_000 + b"\n", b"k: " + b"[" * 100_000,
    b"k: " + b"{a: " * 2_000 + b"1" + b"}" * 2_000 + b"\n", b"- " * 5_000 + b"a\n", b"k: " + b"x" * 200_000 + b"\n",
    b"\xff\xfek\x00:\x00", b"\xef\xbb\xbfk: 1\n", b"k: \xe9\n", b"k: \x00\n", b"k: \x1b[31m\n", b"\x00\x00\x00",
    b"\xc3",
    b"k: \xed\xa0\x80\n", b"%YAML 1.2\n---\nk: 1\n", b"%YAML 9.9\n---\nk: 1\n", b"%TAG ! tag:x,2000:\n---\nk: !a 1\n",
    b"k: |\n  a\n b\n", b"k: >\nx\n", b"'': 1\n", b"? ''\n: 1\n", b"\xf0\x9f\xa7\xa6: 1\n", b"__class__: 1\n",
    b"model_config: 1\n", b"k: !!python/object/new:type {}\n", b"k: ${HOME}\n", b"k: {{ 1 }}\n", b"k: @x\n",
    b"k: `x`\n",
    b"PK\x03\x04", b"PAR1", b"k 1\n", b": 1\n", b"k: : 1\n", b"-\n-\n", b"k: 1 # \xe2\x80\xa8 x\n",
    b"k: \"\\ud800\"\n",
)
"""Texts that are no settings at all, or try to be more than that."""

VALUES: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2, 0.5, -0.5, 1.5, 1e-300, 1e300, float("nan"), float("inf"), float("-inf"), 2**31,
    2**63,
    2**64, 10**30, -(10**30), "", " ", "a", "no", "0.5", "-1", "1e3", "2024-01-01", "2024-13-45", "9999-12-31",
    "0001-01-01",
    "../../etc/passwd", "/etc/passwd", "/dev/null", "/dev/full/x", ".", "data", "no\nline", "\x00", "\x1b[2J", "é🧦",
    "x" * 5_000,
    "log2", "all", "none", "tail", "known", "fitted", "title", "price", "candidates.parquet", "data/items.parquet",
    [], [[]], [None], [1], [1, 2, 3], ["a", "b"], [0.9, 0.5, 0.1], ["a", 1, None], [{}], [{"a": 1}], [[[[[[1]]]]]],
    [1] * 1_000, {}, {"a": 1}, {"a": {"b": {"c": 1}}}, {"a": None}, {"": 1}, {1: 2}, {"a": [1]}, {"i0": 1},
    {"brand": 1},
    {"x": float("nan")},
)


def names_of(model: type[Settings]) -> list[tuple[str, ...]]:
    """Every setting of `model`, those of its blocks too."""
    found: list[tuple[str, ...]] = []
    for name, field in model.model_fields.items():
        found.append((name,))
        for block in _blocks(field.annotation):
            found += [(name, *inner) for inner in names_of(block)]
    return found


def _blocks(annotation: Any) -> list[type[Settings]]:
    if isinstance(annotation, type) and issubclass(annotation, Settings):
        return [annotation]
    return [block for part in get_args(annotation) for block in _blocks(part)]


@st.composite
def spoilt_settings(draw: st.DrawFn, model: type[Settings], sound: dict[str, Any]) -> bytes:
    """YAML of `sound` with one to three settings changed, misspelt or added; of those of `model` in most cases."""
    values: dict[Any, Any] = yaml.safe_load(yaml.safe_dump(sound)) or {}
    places = names_of(model)
    for _ in range(draw(st.integers(1, 3))):
        value = draw(st.sampled_from(VALUES))
        kind = draw(st.sampled_from(("set", "set", "set", "set", "set in a list", "misspell", "add")))
        if kind in ("set", "set in a list"):
            place = draw(st.sampled_from(places))
            block = values
            for part in place[:-1]:
                if not isinstance(block.get(part), dict):
                    block[part] = {}
                block = block[part]
            block[place[-1]] = [value] if kind == "set in a list" else value
        elif kind == "misspell" and values:
            name = draw(st.sampled_from(sorted(map(str, values))))
            values[name + draw(st.sampled_from(("s", "_", " ", "\n")))] = values.pop(name, None)
        else:
            values[draw(st.sampled_from(("", "x", "é", "K", "out ", "__init__")))] = value
    return yaml.safe_dump(values, allow_unicode=True).encode()


def raw_yaml() -> st.SearchStrategy[bytes]:
    """Hostile texts, some cut or with a byte changed."""
    @st.composite
    def changed(draw: st.DrawFn) -> bytes:
        content = bytearray(draw(st.sampled_from([text for text in RAW if text])))
        at = draw(st.integers(0, min(len(content), 200) - 1))
        if draw(st.booleans()):
            content[at] = draw(st.integers(0, 255))
            return bytes(content)
        return bytes(content[:at])

    return st.one_of(st.sampled_from(RAW), changed(), st.binary(max_size=30))
