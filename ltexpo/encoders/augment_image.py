"""A batch of pictures → the same products seen a little differently: for training only.

Crop, flip and rotation are one affine map a picture, so a batch is resampled once; then brightness, contrast and
saturation. Each picture draws its own values.
"""

import math

import torch
from torch.nn import functional

from ltexpo.encoders.pair_settings import ImageAugmentation


def augment_images(
    pictures: torch.Tensor, settings: ImageAugmentation, size: int, generator: torch.Generator
) -> torch.Tensor:
    """(B, 3, H, W) in 0..1 → (B, 3, size, size) in 0..1; outside a turned picture its border is repeated."""
    batch = len(pictures)

    def between(low: float, high: float) -> torch.Tensor:
        return torch.rand(batch, generator=generator, device=pictures.device) * (high - low) + low

    side = between(settings.crop, 1).sqrt()  # of the square that is kept, in shares of the picture's
    mirrored = torch.where(between(0, 1) < settings.flip, -1.0, 1.0)
    angle = between(-settings.rotate, settings.rotate) * (math.pi / 180)
    theta = torch.zeros(batch, 2, 3, device=pictures.device)
    theta[:, 0, 0], theta[:, 0, 1] = side * angle.cos() * mirrored, -side * angle.sin()
    theta[:, 1, 0], theta[:, 1, 1] = side * angle.sin() * mirrored, side * angle.cos()
    theta[:, 0, 2], theta[:, 1, 2] = between(-1, 1) * (1 - side), between(-1, 1) * (1 - side)
    grid = functional.affine_grid(theta, [batch, 3, size, size], align_corners=False)
    seen = functional.grid_sample(pictures, grid, padding_mode="border", align_corners=False)

    def factor() -> torch.Tensor:
        return between(1 - settings.colour, 1 + settings.colour).view(-1, 1, 1, 1)

    seen = seen * factor()
    seen = seen.mean(dim=(1, 2, 3), keepdim=True).lerp(seen, factor())
    seen = seen.mean(dim=1, keepdim=True).lerp(seen, factor())
    return seen.clamp(0, 1)
