"""Text from the data → HTML in which it cannot be anything but text."""

import html as _html
import re
from collections.abc import Iterable


class Html(str):
    """A piece of HTML that is already safe to place on the page."""

    __slots__ = ()


_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


def escape(value: object) -> Html:
    """`value` as HTML text: markup becomes visible characters, control characters become spaces."""
    if isinstance(value, Html):
        return value
    return Html(_html.escape(_CONTROL.sub(" ", str(value)), quote=True))


def html(template: str, **values: object) -> Html:
    """`template` with every {name} filled in; a value that is not `Html` is escaped on the way."""
    return Html(template.format_map({name: escape(value) for name, value in values.items()}))


def join(parts: Iterable[object], between: str = "") -> Html:
    """The escaped `parts`, one after the other, with the HTML `between` them."""
    return Html(between.join(escape(part) for part in parts))


def row(cells: Iterable[object], *, heading: bool = True) -> Html:
    """A table row; its first cell is the row's heading, the others hold numbers."""
    made = []
    for position, cell in enumerate(cells):
        if position == 0 and heading:
            made.append(html('<th scope="row">{cell}</th>', cell=cell))
        else:
            made.append(html("<td>{cell}</td>", cell=cell))
    return html("<tr>{cells}</tr>", cells=join(made))


def table(caption: str, columns: Iterable[object], rows: Iterable[Html]) -> Html:
    """A table of numbers in a box of its own, so that a wide one scrolls there and never widens the page."""
    head = join(html('<th scope="col">{column}</th>', column=column) for column in columns)
    return html(
        '<div class="scroll" role="region" aria-label="{caption}" tabindex="0"><table class="numbers">'
        '<caption>{caption}</caption><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>',
        caption=caption, head=head, rows=join(rows),
    )


def pairs(named: Iterable[tuple[str, object]]) -> Html:
    """Names and values, one below the other, for a description list."""
    return join(
        html("<div><dt>{name}</dt><dd>{value}</dd></div>", name=name, value=value) for name, value in named
    )
