"""Augmentation: what changes, what stays, and by hand where it can be."""

from collections import Counter

import numpy as np
import pytest

from ltexpo.encoders.augment_text import TextAugmentation, augment_texts
from ltexpo.encoders.pair_settings import ImageAugmentation
from ltexpo.errors import ConfigError

torch = pytest.importorskip("torch", reason="extra 'model' is not installed")
from ltexpo.encoders.augment_image import augment_images  # noqa: E402

STILL = TextAugmentation(token_dropout=0, shuffle=0, synonym=0, back_translation=0)
PARTS = [("Strap top", "red", "cotton", "Ladies"), ("Jeans",)]


def test_nothing_asked_nothing_changed():
    assert augment_texts(PARTS, STILL, rng=0) == ["Strap top, red, cotton, Ladies", "Jeans"]


def test_shuffling_keeps_the_title_first_and_loses_nothing():
    always = STILL.model_copy(update={"shuffle": 1.0})
    seen = {augment_texts(PARTS[:1], always, rng=seed)[0] for seed in range(40)}
    assert len(seen) == 6
    assert all(text.startswith("Strap top, ") for text in seen)
    assert {tuple(sorted(text.split(", "))) for text in seen} == {("Ladies", "Strap top", "cotton", "red")}


def test_words_drop_at_the_stated_rate_and_one_stays():
    half = STILL.model_copy(update={"token_dropout": 0.5})
    texts = augment_texts([tuple("abcdefghij")] * 500, half, rng=1)
    assert np.mean([len(text.split()) for text in texts]) == pytest.approx(5, abs=0.25)
    assert augment_texts([("Jeans",)] * 50, half.model_copy(update={"token_dropout": 0.95}), rng=0) == ["Jeans"] * 50


def test_synonyms_come_from_the_table_and_keep_the_comma():
    table = STILL.model_copy(update={"synonym": 1.0, "synonyms": {"red": ("crimson", "scarlet")}})
    seen = Counter(augment_texts([("top", "Red", "cotton")] * 200, table, rng=0))
    assert set(seen) == {"top, crimson, cotton", "top, scarlet, cotton"}
    assert min(seen.values()) > 60


def test_back_translation_gets_the_chosen_texts_and_must_return_as_many():
    always = STILL.model_copy(update={"back_translation": 1.0})
    turned = augment_texts(PARTS, always, rng=0, back_translate=lambda texts: [text.upper() for text in texts])
    assert turned == ["STRAP TOP, RED, COTTON, LADIES", "JEANS"]
    with pytest.raises(ConfigError, match="one for each"):
        augment_texts(PARTS, always, rng=0, back_translate=lambda texts: texts[:1])


def generator(seed: int = 0) -> "torch.Generator":
    return torch.Generator().manual_seed(seed)


def test_a_still_picture_is_only_resampled():
    still = ImageAugmentation(crop=1, flip=0, rotate=0, colour=0)
    pictures = torch.rand(3, 3, 8, 8, generator=generator())
    assert torch.allclose(augment_images(pictures, still, 8, generator()), pictures, atol=1e-6)


def test_flip_mirrors_and_a_right_angle_turns():
    pictures = torch.rand(2, 3, 8, 8, generator=generator())
    flip = ImageAugmentation(crop=1, flip=1, rotate=0, colour=0)
    assert torch.allclose(augment_images(pictures, flip, 8, generator()), pictures.flip(-1), atol=1e-6)
    turn = ImageAugmentation(crop=1, flip=0, rotate=180, colour=0)
    turned = augment_images(pictures[:1].repeat(50, 1, 1, 1), turn, 8, generator())
    # Turned about the middle: colours move, none is made up.
    assert (turned - pictures[0]).abs().amax(dim=(1, 2, 3)).min() > 0.05
    assert turned.max() <= pictures[0].max() + 1e-6
    assert turned.min() >= pictures[0].min() - 1e-6


def test_a_crop_shows_part_of_the_picture():
    ramp = torch.linspace(0, 1, 64).expand(200, 3, 64, 64)
    cropped = augment_images(ramp, ImageAugmentation(crop=0.25, flip=0, rotate=0, colour=0), 32, generator())
    span = cropped.amax(dim=(1, 2, 3)) - cropped.amin(dim=(1, 2, 3))
    assert 0.45 < span.min() < 0.6
    assert 0.9 < span.max() <= 1
    assert cropped.shape == (200, 3, 32, 32)


def test_colours_stay_within_bounds_and_differ_by_picture():
    grey = torch.full((100, 3, 4, 4), 0.5)
    colour = ImageAugmentation(crop=1, flip=0, rotate=0, colour=0.2)
    shades = augment_images(grey, colour, 4, generator())[:, 0, 0, 0]
    assert 0.39 < shades.min() < 0.42
    assert 0.58 < shades.max() < 0.61
    assert torch.equal(shades, augment_images(grey, colour, 4, generator())[:, 0, 0, 0])
