import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest

from ltexpo.columns import Columns
from ltexpo.data.files import read_json, write_json
from ltexpo.data.tables import read_frame, write_frame
from ltexpo.errors import ColumnError, TableError
from ltexpo.report import ReportSettings, write_report
from ltexpo.report.words import number

VOID = {"meta", "img", "br", "path", "circle", "rect"}


class Page(HTMLParser):
    """Tags, attributes and text of a page; fails on a tag that closes another than the one last opened."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(source)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.words.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.words))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def page_of(run: Path, **settings: object) -> tuple[str, Page]:
    made = write_report(run, run.parent / "out" / "report.html", ReportSettings(run=run, **settings))  # type: ignore
    source = made.read_text(encoding="utf-8")
    return source, Page(source)


@pytest.fixture(scope="module")
def made(made_run: Path) -> tuple[str, Page]:
    return page_of(made_run, title="Spring & <autumn>")


def test_stands_alone(made: tuple[str, Page]) -> None:
    source, page = made
    assert not re.search(r"https?://|//[a-z]+\.|@import|url\(", source)
    assert not {"script", "link", "iframe", "object", "base"} & {tag for tag, _ in page.tags}
    for _, attributes in page.tags:
        assert all(not name.startswith("on") for name in attributes)
        for name in ("src", "href"):
            if value := attributes.get(name):
                assert value.startswith(("data:image/jpeg;base64,", "#"))
    assert len(source.encode()) < 3_000_000


def test_pictures_have_words_beside_them(made: tuple[str, Page]) -> None:
    pictures = made[1].all("img")
    assert len(pictures) > 10
    assert all(picture["alt"] and picture["src"] for picture in pictures)
    assert max(int(picture["width"] or 0) for picture in pictures) <= 128


def test_text_from_the_data_stays_text(made: tuple[str, Page]) -> None:
    source, page = made
    assert "<script" not in source
    assert '<script>alert("x")</script> & "sons"' in page.text
    assert "Spring & <autumn>" in page.text


def test_no_user_is_named(made: tuple[str, Page]) -> None:
    assert "secret-user" not in made[0]


def test_headings_and_language(made: tuple[str, Page]) -> None:
    page = made[1]
    assert page.all("html")[0]["lang"] == "en"
    assert [tag for tag, _ in page.tags].count("h1") == 1
    assert [tag for tag, _ in page.tags].count("h2") == 7
    ids = [attributes["id"] for _, attributes in page.tags if attributes.get("id")]
    assert len(ids) == len(set(ids))
    assert {link["href"] for link in page.all("a")} <= {f"#{key}" for key in ids}


def test_states_what_the_tables_hold(made: tuple[str, Page], made_run: Path) -> None:
    text = made[1].text
    certificate = read_json(made_run / "rankings" / "certificate.json")
    goal = certificate["goals"][0]
    assert f"rose from {goal['before']:.1%} to {goal['achieved']:.1%}" in text
    assert "Asked for: at least 40.0% of all exposure for tail and new products. It was met." in text
    assert f"{certificate['boosted']:,} promotions were made in all" in text
    assert f"costs {certificate['click_loss']:.1%} of expected clicks" in text
    shown = [read_frame(made_run / "rankings" / f"{name}.parquet")[Columns.Item].nunique()
             for name in ("control", "rankings")]
    assert f"before {shown[0]} → after {shown[1]}" in text
    assert "cannot be told from no change; it rules out a loss beyond 1.10%" in text
    assert "left out: returned goods: 12" in text
    assert "1 cannot be read, the first of them that of product p040" in text
    assert "is the certificate’s" in text
    assert "Differs:" not in text


def test_the_certificate_the_frontier_and_ten_boosts_are_there(made: tuple[str, Page], made_run: Path) -> None:
    text = made[1].text
    certificate = read_json(made_run / "rankings" / "certificate.json")
    assert number(certificate["clicks_after"], digits=6) in text
    assert "No lists that meet the goals have more than" in text
    points = read_frame(made_run / "frontier" / "frontier.parquet")
    for share in points["share"]:
        assert f"{share:.1%}" in text
    promoted = read_frame(made_run / "rankings" / "promotions.parquet")
    dear = promoted.sort_values(["clicks_given_up", "item_id"], ascending=[False, True]).drop_duplicates("item_id")
    boosts = text[text.index("promotions were made in all"):text.index("Offline accuracy", text.index("made in all"))]
    assert made[0].count('data-label="clicks given up"') == 10 == min(10, len(dear))
    for given_up in dear["clicks_given_up"].head(10):
        assert number(given_up) in boosts
    assert "tail and new products" in boosts
    assert "min_share" not in boosts


def test_same_run_same_bytes(made_run: Path, tmp_path: Path) -> None:
    first, second = (write_report(made_run, tmp_path / name).read_bytes() for name in ("a.html", "b.html"))
    assert first == second


def test_missing_stages_are_said(own_run: Path) -> None:
    for stage in ("experiment", "evaluation", "frontier"):
        shutil.rmtree(own_run / stage)
    text = page_of(own_run)[1].text
    assert "No A/B test was simulated in this run" in text
    assert "ltexpo simulate" in text
    assert "These lists were not evaluated" in text


def test_evaluation_without_a_held_out_period(own_run: Path) -> None:
    path = own_run / "evaluation" / "metrics.parquet"
    frame = read_frame(path)
    write_frame(frame[frame["metric"] == "coverage@10"], path)
    text = page_of(own_run)[1].text
    assert "No accuracy was measured" in text
    assert "Measures of exposure" in text


@pytest.mark.parametrize("name", ["rankings", "control"])
def test_missing_lists_are_refused(own_run: Path, name: str) -> None:
    (own_run / "rankings" / f"{name}.parquet").unlink()
    with pytest.raises(TableError, match=rf"{name}\.parquet: is missing.*ltexpo rerank"):
        page_of(own_run)
    assert not (own_run.parent / "out").exists()


def test_missing_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TableError, match="no such folder"):
        write_report(tmp_path / "nowhere", tmp_path / "report.html")


def test_lists_of_other_requests_are_refused(own_run: Path) -> None:
    path = own_run / "rankings" / "control.parquet"
    frame = read_frame(path)
    write_frame(frame[frame[Columns.Request] != "secret-user-0"], path)
    with pytest.raises(TableError, match=r"holds 1 requests that control\.parquet lacks"):
        page_of(own_run)


def test_unknown_products_are_refused(own_run: Path) -> None:
    path = own_run / "rankings" / "rankings.parquet"
    frame = read_frame(path)
    frame.loc[0, Columns.Item] = "nobody"
    write_frame(frame, path)
    with pytest.raises(TableError, match="'nobody' is not in items"):
        page_of(own_run)


def test_a_broken_experiment_is_refused(own_run: Path) -> None:
    write_frame(pd.DataFrame({"metric": ["clicks"]}), own_run / "experiment" / "experiment.parquet")
    with pytest.raises(ColumnError, match="lacks 'arm'"):
        page_of(own_run)


def test_lists_of_another_maker(own_run: Path) -> None:
    """Only what the contract requires: no scores, exposure or certificate."""
    (own_run / "rankings" / "certificate.json").unlink()
    for name in ("rankings", "control"):
        path = own_run / "rankings" / f"{name}.parquet"
        write_frame(read_frame(path)[[Columns.Request, Columns.Rank, Columns.Item]], path)
    text = page_of(own_run)[1].text
    assert "without a goal on record" in text
    assert "The lists carry no scores" in text
    assert "training until 2024-03-02 12:00 UTC" in text  # from the candidates


def test_unchanged_lists(own_run: Path) -> None:
    shutil.copy(own_run / "rankings" / "control.parquet", own_run / "rankings" / "rankings.parquet")
    text = page_of(own_run)[1].text
    assert "It changed nothing" in text
    assert "No product gained exposure" in text
    assert "Differs: the tail share worked out from the lists" in text


def test_goals_with_targets(own_run: Path) -> None:
    path = own_run / "rankings" / "certificate.json"
    certificate = json.loads(path.read_text())
    certificate["goals"] = [
        {"group": "tail", "value": None, "kind": "min_share", "target": 0.25, "achieved": 0.25, "met": True},
        {"group": "seller", "value": "s1", "kind": "min_share", "target": 0.1, "achieved": 0.08, "met": False},
    ]
    certificate["upper_bound"] = 1.002 * certificate["clicks_after"]
    write_json(certificate, path)
    text = page_of(own_run)[1].text
    assert (
        "Asked for: at least 25.0% of all exposure for tail and new products; "
        "at least 10.0% of all exposure for seller s1. 1 of 2 goals met."
    ) in text
    assert "keep more than 0.20% more expected clicks" in text
