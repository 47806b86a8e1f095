"""Product pictures: what they show, what they do not, and that they can be read."""

import numpy as np
import pytest

from ltexpo.data.images import load_image
from ltexpo.data.synthetic import draw_picture
from ltexpo.data.synthetic.pictures import COLOURS, PATTERNS, SIZE, save_pictures
from ltexpo.data.synthetic.silhouettes import SILHOUETTES
from ltexpo.data.synthetic.vocabulary import KINDS

ROW = {
    "item_id": "P000007", "category": "t-shirt", "shape": "crew-neck", "colour": "teal", "accent": "white",
    "pattern": "plain", "material": "linen", "style": "classic",
}


def pixels(**changes: str) -> np.ndarray:
    return np.asarray(draw_picture(ROW | changes), dtype=np.float64)


def test_the_vocabulary_and_the_silhouettes_name_the_same_shapes():
    assert {(kind.category, shape) for kind in KINDS for shape in kind.shapes} == set(SILHOUETTES)
    assert len(KINDS) >= 10


@pytest.mark.parametrize("changes", [
    {"colour": "red"}, {"pattern": "dots"}, {"shape": "v-neck"}, {"category": "mug", "shape": "straight"},
])
def test_pictures_show_colour_pattern_shape_and_category(changes):
    assert np.abs(pixels() - pixels(**changes)).mean() > 0.25


def test_pictures_show_neither_material_nor_style():
    assert (pixels() == pixels(material="silk", style="rustic")).all()


def test_every_pattern_and_silhouette_is_its_own():
    patterned = [pixels(pattern=pattern).tobytes() for pattern in PATTERNS]
    assert len(set(patterned)) == len(PATTERNS)
    drawn = [pixels(category=category, shape=shape).tobytes() for category, shape in SILHOUETTES]
    assert len(set(drawn)) == len(SILHOUETTES)


@pytest.mark.parametrize("colour", COLOURS)
def test_the_middle_of_a_plain_product_has_its_colour(colour):
    middle = pixels(colour=colour)[90:110, 70:90].reshape(-1, 3).mean(axis=0)
    distance = {name: np.abs(middle - rgb).sum() for name, rgb in COLOURS.items()}
    # Light and shade move colours a little, never as far as another hue.
    assert distance[colour] < 75
    assert colour in sorted(distance, key=distance.__getitem__)[:3]


def test_files_are_readable_and_the_same_for_any_number_of_workers(tmp_path):
    rows = [ROW | {"item_id": f"P{n}", "pattern": PATTERNS[n % len(PATTERNS)]} for n in range(600)]
    paths = [f"images/{n % 7}/P{n}.jpg" for n in range(600)]
    for workers in (1, 2):
        save_pictures(rows, paths, tmp_path / str(workers), workers=workers)
    for path in paths:
        assert (tmp_path / "1" / path).read_bytes() == (tmp_path / "2" / path).read_bytes()
    assert load_image(paths[0], tmp_path / "1").size == (SIZE, SIZE)
