"""The validity table → how the test's own statistics did when they were tested on this data."""

from ltexpo.report.markup import Html, html, row, table
from ltexpo.report.tested import Tested
from ltexpo.report.words import NONE, count, number, plural


def validity_part(tested: Tested) -> Html:
    """Nothing where no certificate was made."""
    held = tested.validity
    if held is None or held.empty:
        return Html("")
    rows = [
        row([
            check["check"], check["what"], _told(check["asked"]), _told(check["got"]),
            NONE if check["low"] != check["low"] else f"{_told(check['low'])} to {_told(check['high'])}",
            count(check["runs"]), _passed(bool(check["passed"])),
        ])
        for check in held.to_dict("records")
    ]
    failed = int((~held["passed"].astype(bool)).sum())
    said = (
        f"All {plural(len(held), 'check')} passed." if not failed else
        f"{failed} of {plural(len(held), 'check')} failed: what rests on them is not to be relied on."
    )
    return html(
        "<h3>Whether these statistics can be believed</h3><p>The test was repeated many times on this run’s own users: "
        "with both arms alike (A/A), where a test at 5% may find something in 5% of the runs and no more; and with an "
        "effect that is known, which the intervals must hold and which the power must find as often as it says. "
        "<b>{said}</b></p>{table}",
        said=said,
        table=table("How the statistics did", ["check", "what", "asked", "got", "range", "runs", "result"], rows),
    )


def _passed(passed: bool) -> Html:
    return html('<b class="state {state}">{word}</b>', state="held" if passed else "broken",
                word="passed" if passed else "failed")


def _told(value: object) -> str:
    return number(value) if isinstance(value, int | float) else str(value)
