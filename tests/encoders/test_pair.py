"""The catalogue's own pair: learns a catalogue of coloured squares, saves, loads, and repeats itself."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny_models import BROKEN, to_bytes

from ltexpo.encoders import ImageEncoder, TextEncoder, TextSettings
from ltexpo.encoders.behaviour_pairs import behaviour_pairs
from ltexpo.encoders.pair_settings import PairSettings
from ltexpo.errors import TableError

torch = pytest.importorskip("torch", reason="extra 'model' is not installed")
import pandas as pd  # noqa: E402
from tiny_models import save_bert  # noqa: E402

from ltexpo.encoders.contrastive import Best, hold_out, info_nce, recalls  # noqa: E402
from ltexpo.encoders.pair_training import TrainedPair, train_pair  # noqa: E402
from ltexpo.encoders.tuning import TuneSettings, tune_text_encoder  # noqa: E402

COLOURS = {"red": (220, 30, 30), "green": (30, 200, 30), "blue": (30, 30, 220), "white": (240, 240, 240),
           "black": (15, 15, 15), "yellow": (230, 220, 40)}
NAMES = [f"{first}{second}" for first in ("ka", "lo", "mi", "nu") for second in ("ta", "ro", "xi", "ze", "po")]
SMALL = PairSettings.model_validate({
    "model": {"width": 16, "image_size": 32, "image_model": "test_resnet", "words": 200, "context": 12,
              "text_width": 32, "text_layers": 1},
    "epochs": 6, "patience": 6, "batch_size": 24, "learning_rate": 0.005, "precision": "fp32", "device": "cpu",
    "holdout": 0.2,
})


def catalogue() -> tuple[list[tuple[str, ...]], list[object]]:
    """A product of each name and colour; its picture is a noisy square of the colour."""
    rng = np.random.default_rng(0)
    parts: list[tuple[str, ...]] = []
    pictures: list[object] = []
    for name in NAMES:
        for colour, shade in COLOURS.items():
            noisy = np.clip(np.array(shade) + rng.normal(0, 12, (24, 24, 3)), 0, 255).astype(np.uint8)
            parts.append((name, colour))
            pictures.append(to_bytes(Image.fromarray(noisy), "PNG"))
    return parts, pictures


@pytest.fixture(scope="module")
def trained() -> TrainedPair:
    parts, pictures = catalogue()
    return train_pair(
        [*parts, (), ("no picture",), ("broken",)], [*pictures, pictures[0], None, BROKEN["cut"]], SMALL, rng=0
    )


def test_it_learns_which_colour_a_word_is(trained: TrainedPair, tmp_path: Path):
    encoder = ImageEncoder.load(trained.save(tmp_path / "pair"))
    squares = [to_bytes(Image.new("RGB", (50, 70), shade), "JPEG") for shade in COLOURS.values()]
    images = encoder.encode(squares).vectors
    texts = encoder.titles.encode([f"unknown, {colour}" for colour in COLOURS]).vectors
    assert ((texts @ images.T).argmax(axis=1) == np.arange(len(COLOURS))).mean() >= 5 / 6
    assert encoder.width == 16
    assert not list((tmp_path / "pair").glob("*.p*kl"))


def test_it_counts_what_it_left_out_and_holds_out_whole_titles(trained: TrainedPair):
    history = trained.history
    assert history["left_out"] == {"without text": 1, "without picture": 1, "picture not readable": 1}
    assert history["pairs"] + history["held_out"] == len(NAMES) * len(COLOURS)
    assert history["held_out"] == 24
    assert 1 <= history["best_epoch"] <= len(history["epochs"]) <= 6
    assert history["epochs"][-1]["loss"] < history["epochs"][0]["loss"]


def test_the_same_seed_gives_the_same_weights(trained: TrainedPair):
    parts, pictures = catalogue()
    runs = [train_pair(parts, pictures, SMALL.model_copy(update={"epochs": 1}), rng=seed) for seed in (0, 0, 1)]
    first, same, other = (run.model.state_dict() for run in runs)
    assert all(torch.equal(first[name], same[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)


def test_too_few_pairs_are_refused():
    parts, pictures = catalogue()
    with pytest.raises(TableError, match="20 at least"):
        train_pair(parts[:19], pictures[:19], SMALL)


def test_info_nce_by_hand():
    left = right = torch.eye(2)
    strangers = torch.zeros(2, 2, dtype=torch.bool)
    assert float(info_nce(left, right, 1.0, strangers)) == pytest.approx(np.log(1 + np.exp(-1)))
    # Rows that are alike are not told apart, so nothing is lost.
    assert float(info_nce(left, right, 1.0, torch.ones(2, 2, dtype=torch.bool))) == pytest.approx(0)


def test_recalls_by_hand():
    left = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.8, 0.6]])
    right = torch.tensor([[0.6, 0.8], [0.0, 1.0], [1.0, 0.0]])
    # left 0: scores .6 0 1 → own is 2nd; left 1: .8 1 0 → 1st; left 2: .96 .6 .8 → own (.8) is 2nd
    # right 0: .6 .8 .96 → own is 3rd; right 1: 0 1 .6 → 1st; right 2: 1 0 .8 → own (.8) is 2nd
    assert recalls(left, right, 1) == pytest.approx((1 / 3, 1 / 3))
    assert recalls(left, right, 2) == pytest.approx((1, 2 / 3))
    assert recalls(torch.ones(4, 2), torch.ones(4, 2), 3) == (0, 0)


def test_hold_out_takes_whole_keys():
    keys = ["a"] * 50 + [f"k{n}" for n in range(50)]
    held = hold_out(keys, 0.2, 1000, np.random.default_rng(0))
    assert held.sum() == 20
    assert not held[:50].any()
    with pytest.raises(TableError, match="cannot be split"):
        hold_out(["a"] * 30, 0.2, 1000, np.random.default_rng(0))


def test_the_best_epoch_is_kept():
    model, best = torch.nn.Linear(1, 1), Best(patience=2)
    going = []
    for value, weight in ((0.1, 1.0), (0.3, 2.0), (0.2, 3.0), (0.3, 4.0)):
        torch.nn.init.constant_(model.weight, weight)
        going.append(best.take(value, model))
    best.restore(model)
    assert going == [True, True, True, False]
    assert (best.epoch, model.weight.item()) == (1, 2.0)


def partners() -> list[tuple[str, str]]:
    """Things of one kind go with things of another, in the same colour: the words alone say only the colour."""
    kinds = {"shirt": "wool", "dress": "linen", "shoe": "long"}
    return [
        pair for kind, other in kinds.items() for colour in ("red", "blue", "green") for more in ("a", "x", "short")
        for pair in ((f"{colour} {more} {kind}", f"{other} {colour}"), (f"{more} {kind} {colour}", f"{colour} {other}"))
    ]


@pytest.mark.parametrize("method", ["lora", "adalora", "head"])
def test_tuning_brings_partners_together(method: str, tmp_path: Path):
    base = TextEncoder(TextSettings(model=str(save_bert(tmp_path / "bert", spread=0.1)), device="cpu"))
    settings = TuneSettings.model_validate({
        "method": method, "rank": 8, "epochs": 12, "patience": 12, "batch_size": 18, "precision": "fp32",
        "learning_rate": 0.01 if method == "lora" else 0.02, "device": "cpu", "dropout": 0, "holdout": 0.2,
    })
    tuned = tune_text_encoder(base, partners(), tmp_path / "tuned", settings, rng=0)
    history = tuned.history
    assert max(history["recall"]) > history["recall"][0] + 0.2
    assert history["recall"][history["best_epoch"]] == max(history["recall"])
    assert history["trained_weights"] < sum(value.numel() for value in base.model_.parameters())
    loaded = TextEncoder.load(tmp_path / "tuned")
    assert loaded.pooling == base.pooling
    texts = [text for pair in partners() for text in pair]
    before, after = (encoder.encode(texts).vectors for encoder in (base, loaded))
    assert after.shape == before.shape
    together = [(vectors[::2] * vectors[1::2]).sum(axis=1).mean() - (vectors[::2] @ vectors[1::2].T).mean()
                for vectors in (before, after)]
    assert together[1] > together[0] + 0.05
    assert np.allclose(tuned.encoder.encode(texts).vectors, after, atol=1e-5)


def test_tuning_that_does_not_help_returns_the_encoder_as_it_was(tmp_path: Path):
    base = TextEncoder(TextSettings(model=str(save_bert(tmp_path / "bert")), device="cpu"))
    wild = TuneSettings(method="lora", epochs=1, learning_rate=1e-12, device="cpu", precision="fp32")
    tuned = tune_text_encoder(base, partners(), tmp_path / "tuned", wild)
    assert tuned.history["best_epoch"] == 0
    texts = ["red shirt", "long blue dress"]
    assert np.allclose(tuned.encoder.encode(texts).vectors, base.encode(texts).vectors, atol=1e-6)


def test_too_few_pairs_to_tune_on_are_refused(tmp_path: Path):
    base = TextEncoder(TextSettings(model=str(save_bert(tmp_path / "bert")), device="cpu"))
    with pytest.raises(TableError, match="20 at least"):
        tune_text_encoder(base, [*partners()[:19], ("", "red")], tmp_path / "tuned")
    assert not (tmp_path / "tuned").exists()


def test_behaviour_pairs_by_hand():
    day = pd.Timestamp("2024-01-01", tz="UTC")
    rows = [
        ("u", "a", "purchase", 0), ("u", "b", "click", 1), ("u", "b", "purchase", 1), ("u", "c", "impression", 2),
        ("u", "d", "purchase", 20), ("v", "a", "click", 0), ("v", "b", "click", 3), ("v", "e", "click", 4),
        ("w", "a", "click", 0), ("w", "f", "click", 0),
    ]
    events = pd.DataFrame(
        [(user, item, kind, day + pd.Timedelta(days=after)) for user, item, kind, after in rows],
        columns=["user_id", "item_id", "event", "timestamp"],
    )
    texts = pd.Series({"a": "A", "b": "B", "c": "C", "d": "D", "e": "", "f": "A"})
    # u: a→b; b→b is one item; c was only shown; d came too late. v: a→b again, e has no text. w: a and f read alike.
    assert behaviour_pairs(events, texts) == [("A", "B")]
    assert behaviour_pairs(events, texts, days=30) == [("A", "B"), ("B", "D")]
    assert len(behaviour_pairs(events, texts, days=30, max_pairs=1)) == 1
