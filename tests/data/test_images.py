"""Pictures are read as a person sees them: scaled greys, white behind what is transparent, upright, first frame."""

import numpy as np
from PIL import Image
from tiny_models import animation, to_bytes

from ltexpo.data.images import load_image


def test_sixteen_bit_greys_are_scaled():
    ramp = np.linspace(0, 65_535, 256).astype(np.uint16).reshape(16, 16)
    for kind in ("PNG", "TIFF"):
        seen = np.asarray(load_image(to_bytes(Image.fromarray(ramp), kind), None))
        assert np.array_equal(seen[..., 0], (ramp >> 8).astype(np.uint8))


def test_what_is_transparent_lies_on_white():
    half = Image.new("RGBA", (2, 1), (200, 0, 0, 255))
    half.putpixel((1, 0), (200, 0, 0, 0))
    seen = load_image(to_bytes(half, "PNG"), None)
    assert [seen.getpixel((x, 0)) for x in (0, 1)] == [(200, 0, 0), (255, 255, 255)]


def test_a_turned_photo_stands_upright_and_an_animation_shows_its_first_frame(tmp_path):
    photo = Image.new("RGB", (30, 10), "red")
    exif = photo.getexif()
    exif[0x0112] = 6  # taken with the camera on its side
    photo.save(tmp_path / "photo.jpg", exif=exif)
    assert load_image("photo.jpg", tmp_path).size == (10, 30)
    assert load_image(animation(), None).getpixel((5, 5)) == (255, 0, 0)
