"""A trained model + its report → README.md of its folder: what it is, what was measured, what is not known."""

import platform
import textwrap
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
import pandas as pd

import ltexpo
from ltexpo.columns import Columns, Tier
from ltexpo.data.dataset import Dataset
from ltexpo.encoders.item_vectors import Content
from ltexpo.ranking.asked import cleaned
from ltexpo.ranking.click_ranker import ClickRanker
from ltexpo.ranking.model import Model
from ltexpo.ranking.parts import parts_of
from ltexpo.ranking.recommend import training_events
from ltexpo.ranking.spread import Spread
from ltexpo.ranking.train_report import TrainReport, interval

_TREES = {
    "click": "learn whether a product is clicked or taken", "order": "learn the order of each user's products",
    "tail": "learn the same as `click` from tail and new products alone",
    "demand": "learn how often a product is taken by anybody",
}
_PACKAGES = ("lightgbm", "torch", "torch-geometric", "numpy", "pandas")


def model_card(
    model: Model, report: TrainReport, dataset: Dataset, content: Content, *, seed: int, own_words: bool = False
) -> str:
    """Markdown of a model that was just fitted on `dataset` and `content`; every number in it was measured.

    `own_words`: whether the vectors are TF-IDF kept with the model.
    """
    sections = {
        "Use": _use(own_words),
        "What a score means": _meaning(model),
        "Data": _data(model, dataset, content, own_words),
        "How good it is": _measures(report),
        "Are scores true": _calibration(report),
        "What carries it": _parts(model),
        "Limits": _limits(model, report),
        "Sizes, versions, seed": _sizes(model, seed),
    }
    text = "\n".join(f"## {title}\n\n{body}\n" for title, body in sections.items())
    what = _paragraph(
        f"It scores products for users: networks read a product's {_listed(_read_from(model, content))}, baselines "
        "read who took what, and boosted trees join them. It scores products without history and users without history "
        "too."
    )
    return f"# A trained model of ltexpo\n\n{what}\n\n{text}"


def _use(own_words: bool) -> str:
    vectors = "" if own_words else " --vectors VECTORS"
    needs = (
        "The vectors are its own TF-IDF of the catalogue's words, kept in `words/`." if own_words
        else "VECTORS is the folder that `ltexpo encode` wrote of DATA, by the encoders that it was trained with."
    )
    return f"""```
ltexpo recommend --data DATA --model THIS_FOLDER{vectors} --out OUT
ltexpo recommend --data DATA --model THIS_FOLDER{vectors} --candidates FILE --out OUT
ltexpo explain --data DATA --rankings RANKINGS --request ID --model THIS_FOLDER{vectors}
```

The second scores lists made elsewhere: request_id, item_id, optional user_id and query.

{_paragraph(needs + " DATA may hold newer products, users and events than those it learnt from.")}"""


def _meaning(model: Model) -> str:
    return f"""{model.ranker_.means[0].upper()}{model.ranker_.means[1:]}.

`score_std` is the standard error of a score: how much it hangs on which users were there to learn from (delete-a-group
jackknife over the boosters). It does not cover what the model cannot express.{_spread(model)}"""


def _spread(model: Model) -> str:
    if isinstance(model.ranker_, ClickRanker) and model.ranker_.spread_ is not None:
        spread = model.ranker_.spread_
        return f"""

`score_spread` is how far the true chance of a single user and product lies from its score, which is the mean of all
that look alike to the model: learnt from {spread.clicks:,} clicks on {spread.pairs:,} pairs that were shown more than
once (standard deviation of the log-odds {spread.tau:.2f} ± {spread.error:.2f}, one standard error). Products that
are less known scatter more, by what users of the same product have in common: {_by_tier(spread)}."""
    return ""


def _by_tier(spread: Spread) -> str:
    tiers = np.array(Tier.All, dtype=object)
    return ", ".join(f"{tau:.2f} for {name}" for name, tau in zip(tiers, spread.tau_of(tiers), strict=True))


def _data(model: Model, dataset: Dataset, content: Content, own_words: bool) -> str:
    events = training_events(dataset, model.settings)
    kinds = events[Columns.Event].value_counts()
    tiers = model.settings.tail.assign(dataset.items, events)[Columns.Tier]
    vectors = [
        f"- vectors `{name}`, {rows.shape[1]} wide{' (TF-IDF of the words)' if own_words else ''}: "
        f"{int(there.sum()):,} products have them, {int((~there).sum()):,} do not"
        for name, (rows, there) in content.items()
    ]
    lines = [
        f"- {len(dataset.items):,} products, {events[Columns.User].nunique():,} users, {len(events):,} events ("
        + ", ".join(f"{count:,} {kind}" for kind, count in kinds.items()) + ")",
        f"- from {events[Columns.Timestamp].min():%Y-%m-%d %H:%M} to {events[Columns.Timestamp].max():%Y-%m-%d %H:%M} "
        f"UTC; nothing at or after {model.report_['learnt_before']} was seen",
        f"- label days, from which the trees learnt: {', '.join(model.report_['label_days'])}",
        *_begun(model), *(vectors or ["- no vectors"]), *_queries(model, events), *_unseen(content, dataset, tiers),
        "- tiers: " + ", ".join(f"{int((tiers == name).sum()):,} {name}" for name in Tier.All)
        + f"; {model.settings.tail}",
    ]
    lines += [f"- {note.replace('.', ': ', 1)}: {count:,}" for note, count in dataset.notes.items()]
    return "\n".join(lines)


def _queries(model: Model, events: pd.DataFrame) -> list[str]:
    """What users typed, where it was learnt from."""
    if not model.asks_:
        return []
    typed = cleaned(events[Columns.Query])
    return [
        f"- queries, read as the vectors `{model.reader_.settings.query}` are: {len(set(typed) - {''}):,} different "
        f"ones on {int((typed != '').sum()):,} events"
    ]


def _begun(model: Model) -> list[str]:
    """Where the match model went on from an earlier one."""
    before = model.report_.get("continued_from")
    if before is None:
        return []
    graph = "" if model.reader_.graph_ is None else " The graph network is the earlier model's, as it was."
    return [_paragraph(
        f"continued: the match model went on learning from an earlier model, which had learnt from events before "
        f"{before}.{graph} The trees were learnt anew.", bullet=True,
    )]


def _unseen(content: Content, dataset: Dataset, tiers: "pd.Series[str]") -> list[str]:
    """New products that no vector tells of."""
    there = np.any([mask for _, mask in content.values()], axis=0) if content else np.zeros(len(tiers), dtype=bool)
    n = int(((tiers == Tier.New).to_numpy() & ~there).sum())
    if not n:
        return []
    return [_paragraph(
        f"{n:,} new products have no vector of any kind: nothing but attributes, price and date says whom they could "
        "be for, and those that lack these too are candidates of hardly anybody", bullet=True,
    )]


def _measures(report: TrainReport) -> str:
    what = (
        "order what each user was shown on that day. `auc`: how often a clicked product scores above one that was not "
        "clicked, which counts by how likely it was looked at"
        if report.shown else "order each user's candidates; what a user took and was no candidate counts as missed"
    )
    text = _paragraph(
        f"Judged: {report.judged}. Every user is scored by boosters and calibration maps that did not learn from that "
        f"user. Lists {what}. The blend is the plain baselines' weighted sum. Intervals are 95%, over users, paired "
        "for the difference; `n` counts users' days, and for `auc` rows."
    )
    return f"{text}\n\n{_markdown(report.table())}"


def _calibration(report: TrainReport) -> str:
    rate = "clicks per examination" if report.shown else "share taken"
    rows = pd.DataFrame([
        {
            "interactions of the product": f"{row['interactions_low']:,.0f} to {row['interactions_high']:,.0f}",
            "rows": f"{row['n']:,}", "expected": f"{row['predicted']:.4f}",
            f"observed {rate}": f"{row['observed']:.4f}{interval(row['low'], row['high'])}",
            "error": f"{row['error']:.4f}",
        }
        for row in report.calibration.to_dict("records")
    ])
    alike = (
        "Rows count by their inverse propensity, as scores are meant for what would be shown if all were shown alike. "
        if report.weighted else ""
    )
    text = _paragraph(
        "By the popularity of the product (tenths of the rows, least popular first; rows of equal popularity stay "
        f"together). {alike}`error` is the expected calibration error within the row; over everything it is "
        f"{report.calibration_error:.4f}."
    )
    return f"{text}\n\n{_markdown(rows)}"


def _parts(model: Model) -> str:
    shares = {}
    for name, trees in model.ranker_.boosters.items():
        gain = trees.importance()
        part = parts_of(gain.index)
        shares[name] = gain.groupby([part[feature] for feature in gain.index]).sum()
    table = pd.DataFrame(shares).fillna(0.0)
    table = table.iloc[np.argsort(-table.mean(axis=1).to_numpy(), kind="stable")]
    words = table.map("{:.1%}".format).rename_axis("part").reset_index()
    kinds = "; ".join(f"`{name}` {_TREES[name]}" for name in model.ranker_.boosters)
    text = _paragraph(
        f"Share of the trees' gain, by what a feature is made of. Trees: {kinds}. `match` is the match model, which "
        "reads all of a product; `behaviour` is what the user and others took. Gain says what the trees used, not what "
        "would be lost without it."
    )
    return f"{text}\n\n{_markdown(words)}"


def _limits(model: Model, report: TrainReport) -> str:
    first = report.days[0]
    known = [
        f"The networks learnt from events before {first} only; later events reach them as what they read, not as what "
        "they learnt from.",
        f"The measures above come from {len(report.days)} day{'s' if len(report.days) > 1 else ''} of training. No "
        "later day was tested here: give `--until` and use `ltexpo evaluate`.",
        "The weights of the blend were chosen on the end of training, which may hold the label days; this favours "
        "the blend, and a little the model, which reads it.",
    ]
    if report.shown:
        curve = model.settings.attention
        attention = curve if isinstance(curve, str) else "one probability per rank"
        known += [
            f"Scores rest on the attention that the settings give ({attention}): the log does not say what was looked "
            "at. Where it is wrong, scores are wrong by as much.",
            "It was judged within what was logged as shown. How well it picks from all products is not known from it.",
        ]
        if model.settings.rolling.as_new:
            known.append(
                "What a product is worth that nobody was shown was learnt from others, drawn evenly, whose past was "
                "taken away. Where new products are better or worse than these, their scores are off by as much."
            )
    else:
        known += [
            "It is calibrated on candidates of users who came back. Users without history get lists, but none of them "
            "was judged, and whether they come at all is not in the score.",
            "What was not taken may not have been seen: with too few clicks on logged impressions of the label days "
            "(rolling.min_clicks) this is not told apart.",
        ]
    known.append("What users would do who see its lists is not known before a test with users.")
    return "\n".join(_paragraph(line, bullet=True) for line in known)


def _sizes(model: Model, seed: int) -> str:
    reader = model.reader_
    lines = [
        f"- {name}: {sum(parameter.numel() for parameter in network.net_.parameters()):,} parameters"
        for name, network in (("graph network", reader.graph_), ("match model", reader.match_)) if network is not None
    ]
    for name, trees in {**model.ranker_.boosters, "demand": model.demand_}.items():
        count = sum(booster.num_trees() for booster in trees.boosters_)
        size = f"{len(trees.boosters_)} boosters, {count:,} trees, {len(trees.features_)} features"
        lines.append(f"- trees `{name}`, which {_TREES[name]}: {size}")
    packages = ", ".join(f"{name} {found}" for name in _PACKAGES if (found := _version(name)) is not None)
    lines += [
        f"- ltexpo {ltexpo.__version__}, Python {platform.python_version()}, {packages}",
        f"- seed {seed}; settings in `config.json`",
    ]
    return "\n".join(lines)


def _read_from(model: Model, content: Content) -> list[str]:
    graph = [] if model.reader_.graph_ is None else ["place in the product graph"]
    return [f"{name} vectors" for name in content] + graph + ["attributes"]


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _paragraph(text: str, *, bullet: bool = False) -> str:
    return textwrap.fill(
        text, 100, initial_indent="- " if bullet else "", subsequent_indent="  " if bullet else "",
        break_on_hyphens=False, break_long_words=False,
    )


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _markdown(table: pd.DataFrame) -> str:
    def row(cells: Iterable[Any]) -> str:
        return "| " + " | ".join(str(cell) for cell in cells) + " |"

    return "\n".join([row(table.columns), row("---" for _ in table.columns), *map(row, table.to_numpy().tolist())])
