"""A small run folder, made by hand up to the re-ranker."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageDraw
from tiny_effects import write_experiment

from ltexpo.columns import Columns
from ltexpo.data.dataset import Dataset
from ltexpo.data.files import write_json
from ltexpo.data.tables import write_frame
from ltexpo.data.tail import TailSpec
from ltexpo.rerank import Goal, RerankSettings, frontier, rerank

N_ITEMS, N_USERS, N_CANDIDATES = 120, 60, 30
EVIL_TITLE = '<script>alert("x")</script> & "sons"'


def draw(path: Path, hue: int) -> None:
    picture = Image.new("RGB", (200, 260), "white")
    ImageDraw.Draw(picture).ellipse((30, 40, 170, 220), fill=f"hsl({hue}, 60%, 55%)")
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path)


def make_run(folder: Path) -> Path:
    rng = np.random.default_rng(7)
    item_ids = [f"p{i:03d}" for i in range(N_ITEMS)]
    items = pd.DataFrame({
        Columns.Item: item_ids,
        Columns.Title: [f"Product {i} with a name" for i in range(N_ITEMS)],
        Columns.Brand: [f"Brand {i % 7}" if i % 11 else None for i in range(N_ITEMS)],
        Columns.Seller: [f"s{i % 5}" for i in range(N_ITEMS)],
        Columns.Price: np.round(rng.lognormal(3, 0.6, N_ITEMS), 2),
        Columns.Image: [f"images/{i}.png" if i % 9 else None for i in range(N_ITEMS)],
    })
    items.loc[items.index > 20, Columns.Title] = items[Columns.Title] + " " + EVIL_TITLE
    popularity = 1.0 / np.arange(1, N_ITEMS + 1)
    popularity[100:] = 0
    shown = rng.choice(N_ITEMS, 3_000, p=popularity / popularity.sum())
    events = pd.DataFrame({
        Columns.User: [f"secret-user-{u}" for u in rng.integers(0, N_USERS, len(shown))],
        Columns.Item: [item_ids[i] for i in shown],
        Columns.Event: "click",
        Columns.Timestamp: pd.Timestamp("2024-03-01", tz="UTC") + pd.to_timedelta(np.arange(len(shown)), unit="min"),
    })
    dataset = Dataset.of(items, events)
    dataset.save(folder / "data", source="a made-up shop", left_out={"returned goods": 12})
    for i in range(N_ITEMS):
        if i % 9 and i % 10:
            draw(folder / "data" / "images" / f"{i}.png", 3 * i)
    (folder / "data" / "images" / "40.png").write_bytes(b"not a picture")

    rows = []
    for user in range(N_USERS):
        chosen = np.sort(rng.choice(N_ITEMS, N_CANDIDATES, replace=False))
        score = 0.25 * np.exp(-chosen / 60) * rng.uniform(0.6, 1.0, N_CANDIDATES)
        rows += [
            {Columns.Request: f"secret-user-{user}", Columns.User: f"secret-user-{user}",
             Columns.Item: item_ids[i], Columns.Score: s}
            for i, s in zip(chosen, score, strict=True)
        ]
    candidates = pd.DataFrame(rows)
    until = "2024-03-02T12:00:00+00:00"
    write_frame(candidates, folder / "candidates" / "candidates.parquet", metadata={"trained_until": until})
    train = dataset.require_events("test")
    tiers = TailSpec().assign(dataset.items, train[train[Columns.Timestamp] < pd.Timestamp(until)])
    items = dataset.items.assign(tier=tiers[Columns.Tier].to_numpy())
    result = rerank(candidates, items, RerankSettings(k=10, goals=(Goal(group="tail", min_share=0.4),)))
    write_frame(result.rankings, folder / "rankings" / "rankings.parquet", metadata={"trained_until": until})
    write_frame(result.control, folder / "rankings" / "control.parquet", metadata={"trained_until": until})
    write_frame(result.promotions, folder / "rankings" / "promotions.parquet")
    write_json(result.certificate.to_dict(), folder / "rankings" / "certificate.json")
    drawn = frontier(candidates, items, RerankSettings(k=10), n_points=5)
    write_frame(drawn.points, folder / "frontier" / "frontier.parquet")
    write_json({"knee_row": drawn.knee_row}, folder / "frontier" / "frontier.json")
    write_experiment(folder / "experiment", "treatment")
    _evaluation(folder / "evaluation")
    return folder


def _evaluation(folder: Path) -> None:
    rows = []
    for metric in ("recall@10", "ndcg@10", "coverage@10"):
        for tier, value in (("all", 0.12), ("head", 0.2), ("tail", 0.03), ("new", float("nan"))):
            for arm, shift in (("rankings", 0.01), ("control", 0.0)):
                rows.append((arm, metric, 10, tier, value + shift, value + shift - 0.004, value + shift + 0.004, 60))
            rows.append(("difference", metric, 10, tier, 0.01, 0.004 if tier == "tail" else -0.002, 0.02, 60))
    columns = ["arm", "metric", "k", "tier", "value", "low", "high", "n"]
    write_frame(pd.DataFrame(rows, columns=columns), folder / "metrics.parquet")
    write_json({"health": {"lists": 60}}, folder / "metrics.json")


@pytest.fixture(scope="session")
def made_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Read only: the whole run."""
    return make_run(tmp_path_factory.mktemp("made") / "run")


@pytest.fixture
def own_run(made_run: Path, tmp_path: Path) -> Path:
    """A copy to break."""
    return Path(shutil.copytree(made_run, tmp_path / "run"))
