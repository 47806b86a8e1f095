import math
import re

from hypothesis import given
from hypothesis import strategies as st

from ltexpo.monitor.prometheus import Sample, exposition, metric_name

LINE = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)(\{.*\})? (\S+)")
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\\\|\\"|\\n)*)"(,|$)')


def parse(text: str) -> list[tuple[str, dict[str, str], float]]:
    """The samples of a text in the exposition format; an AssertionError says where it is none."""
    assert text == "" or text.endswith("\n")
    samples, typed, helped, closed, last = [], set(), set(), set(), None
    for line in text.removesuffix("\n").split("\n") if text else ():
        if line.startswith("# "):
            word, name, rest = line[2:].split(" ", 2)
            assert word in ("HELP", "TYPE")
            seen = helped if word == "HELP" else typed
            assert name not in seen
            seen.add(name)
            assert word == "HELP" or rest == "gauge"
            continue
        found = LINE.fullmatch(line)
        assert found, line
        name, labels, value = found.groups()
        assert name in typed and name in helped and name not in closed
        if last not in (None, name):
            closed.add(last)
        last = name
        held, rest = {}, (labels or "{}")[1:-1]
        while rest:
            label = LABEL.match(rest)
            assert label and label[1] not in held, line
            held[label[1]] = re.sub(r"\\(.)", lambda m: "\n" if m[1] == "n" else m[1], label[2])
            rest = rest[label.end():]
        samples.append((name, held, float(value.replace("Inf", "inf"))))
    return samples


@given(st.lists(st.tuples(st.sampled_from(["a", "b"]), st.text(max_size=8), st.floats()), max_size=8), st.text())
def test_what_is_written_is_read_back(given_: list[tuple[str, str, float]], told: str):
    samples = [Sample(f"ltexpo_{name}", told, {"group": group}, value) for name, group, value in given_]
    read = parse(exposition(samples))
    assert len(read) == len(samples)
    for sample in samples:
        assert any(
            name == sample.name and labels == sample.labels
            and (value == sample.value or (math.isnan(value) and math.isnan(sample.value)))
            for name, labels, value in read
        )


def test_by_hand():
    text = exposition([Sample("ltexpo_x", "A\nhelp.", {"group": 'a "b"\\\n'}, 1.5), Sample("ltexpo_y", "Y.", {}, 2)])
    assert text == (
        "# HELP ltexpo_x A\\nhelp.\n# TYPE ltexpo_x gauge\n" 'ltexpo_x{group="a \\"b\\"\\\\\\n"} 1.5\n'
        "# HELP ltexpo_y Y.\n# TYPE ltexpo_y gauge\nltexpo_y 2.0\n"
    )


def test_names():
    assert metric_name("clicks per request") == "ltexpo_clicks_per_request"
    assert metric_name("change of clicks, %") == "ltexpo_change_of_clicks"
