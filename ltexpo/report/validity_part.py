"""The validity table → how the test's own statistics did when they were tried on these users."""

import pandas as pd

from ltexpo.report.markup import Html, html, row, table
from ltexpo.report.simulated import Simulated
from ltexpo.report.words import count, percent, plural
from ltexpo.simulate.certify import PEEKING


def validity_part(tested: Simulated) -> Html:
    """Nothing where no certificate was made."""
    held = tested.validity
    if held is None or held.empty:
        return Html("")
    several = held["arm"].nunique() > 1
    rows = [
        row([
            (f"{check['arm']}, " if several else "") + f"{check['metric']}: {check['check']}",
            percent(check["asked"]), percent(check["got"]), f"{percent(check['low'])} to {percent(check['high'])}",
            _result(check),
        ])
        for check in held.to_dict("records")
    ]
    return html(
        "<h3>Whether these statistics can be believed</h3><p>The experiment’s own tests were tried on its own users, "
        "{runs} times for each metric: with both arms alike (A/A), where they may find something as often as was asked "
        "and no oftener; and with the effect of these lists, which the intervals must hold and the test must find as "
        "often as the power says. <b>{said}</b>{peeking}</p>{table}",
        runs=count(int(held["runs"].max())), said=_said(held), peeking=_peeking(held),
        table=table("How the statistics did", ["check", "asked", "got", "99.9% range", "result"], rows),
    )


def _said(held: pd.DataFrame) -> str:
    must = held[held["check"] != PEEKING]
    failed = int((~must["passed"].astype(bool)).sum())
    if failed:
        return f"{failed} of {plural(len(must), 'check')} failed: what rests on them is not to be relied on."
    return f"All {plural(len(must), 'check')} passed."


def _peeking(held: pd.DataFrame) -> str:
    """Why the daily figures need their wide band."""
    plain = held[held["check"] == PEEKING].to_dict("records")
    if not plain:
        return ""
    worst = max(plain, key=lambda check: float(check["got"]))
    return (f" Whoever looks at the plain interval every day and stops when it leaves zero is misled in "
            f"{percent(worst['got'])} of the runs ({worst['metric']}); that is what the always-valid band is for.")


def _result(check: dict[object, object]) -> Html:
    if check["check"] == PEEKING:
        return html("<span>{word}</span>", word="too many, as expected" if check["passed"] else "not more than asked")
    return html('<b class="state {state}">{word}</b>', state="held" if check["passed"] else "broken",
                word="passed" if check["passed"] else "failed")
