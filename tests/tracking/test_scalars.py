"""Losses of every training arrive as event files, and watching changes no weight."""

import logging
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("torch", reason="extra 'model' is not installed")
pytest.importorskip("tensorboard", reason="extra 'tracking' is not installed")

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from ltexpo.data.history import History
from ltexpo.data.synthetic import Shop, make_shop
from ltexpo.fusion.match import MatchModel
from ltexpo.fusion.settings import FusionSettings, TrainingSettings
from ltexpo.graph.encoder_settings import GraphEncoderSettings
from ltexpo.jobs.graphing import GraphJob, run_graph
from ltexpo.tracking import scalars


def read(folder: Path) -> dict[str, list[tuple[int, float]]]:
    events = EventAccumulator(str(folder)).Reload()
    return {
        name: [(point.step, point.value) for point in events.Scalars(name)] for name in events.Tags()["scalars"]
    }


@pytest.fixture(scope="module")
def shop() -> Shop:
    return make_shop(n_items=150, n_users=120, n_days=6, rng=2)


def test_figures_come_back_from_the_event_file(tmp_path: Path):
    with scalars(tmp_path / "tb") as watch:
        assert watch is not None
        watch("x/loss", 1, 0.5)
        assert read(tmp_path / "tb") == {"x/loss": [(1, 0.5)]}  # while the training goes on
        watch("x/loss", 2, 0.25)
    assert read(tmp_path / "tb") == {"x/loss": [(1, 0.5), (2, 0.25)]}
    with scalars(None) as watch:
        assert watch is None


def test_a_folder_that_cannot_be_written_costs_one_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    (tmp_path / "taken").write_text("a file")
    with caplog.at_level(logging.WARNING, logger="ltexpo"), scalars(tmp_path / "taken" / "tb") as watch:
        assert watch is not None
        watch("x/loss", 1, 0.5)
        watch("x/loss", 2, 0.5)
    warning, = caplog.records
    assert "no more figures for TensorBoard" in warning.getMessage()


def test_the_graph_job_writes_its_losses(shop: Shop, tmp_path: Path):
    shop.save(tmp_path / "data", pictures=False)
    network = GraphEncoderSettings(width=8, steps=45, batch=64)
    watched, plain = (
        run_graph(GraphJob(data=tmp_path / "data", out=tmp_path / name, train=True, network=network, tensorboard=board))
        for name, board in (("watched", tmp_path / "tb"), ("plain", None))
    )
    assert watched.losses == plain.losses
    weights = Path("model") / "model.safetensors"
    assert (tmp_path / "watched" / weights).read_bytes() == (tmp_path / "plain" / weights).read_bytes()
    told = read(tmp_path / "tb")
    assert set(told) == {"graph network/held-out loss", "graph network/training loss"}
    assert told["graph network/held-out loss"] == [
        (step, pytest.approx(loss, rel=1e-6)) for step, loss in zip((20, 40, 45), watched.losses, strict=True)
    ]


def test_the_match_model_tells_both_losses_at_every_look(shop: Shop):
    items, events = shop.dataset.items, shop.dataset.events
    assert events is not None
    history = History.of(items, events)
    content = {"text": (np.eye(len(items), 8, dtype=np.float32), np.ones(len(items), dtype=bool))}
    told: list[tuple[str, int, float]] = []
    settings = FusionSettings(width=8, heads=2), TrainingSettings(epochs=2, batch=64, held_out=0.3)
    watched = MatchModel(*settings).fit(
        items, history, content, rng=1, watch=lambda name, step, value: told.append((name, step, value))
    )
    plain = MatchModel(*settings).fit(items, history, content, rng=1)
    assert watched.losses_ == plain.losses_
    assert [value for name, _, value in told if name == "match model/held-out loss"] == watched.losses_
    table = pd.DataFrame(told, columns=["name", "step", "value"])
    steps = [list(part["step"]) for _, part in table.groupby("name")]
    assert len(steps) == 2 and steps[0] == steps[1] == sorted(steps[0])
    assert np.isfinite(table["value"]).all() and (table["value"] > 0).all()
