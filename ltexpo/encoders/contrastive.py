"""What both trainings share: the loss that tells partners from strangers, recall on held-out pairs, when to stop."""

import math
from collections.abc import Sequence
from functools import partial

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from ltexpo.errors import TableError


def info_nce(left: torch.Tensor, right: torch.Tensor, scale: torch.Tensor | float, alike: torch.Tensor) -> torch.Tensor:
    """Symmetric InfoNCE of unit vectors (B, d) whose rows are partners (Oord et al., 2018; Radford et al., 2021).

    `alike` (B, B) bool marks pairs that are no true strangers: they are not held against each other.
    """
    logits = (scale * left @ right.T).masked_fill(alike & ~torch.eye(len(left), dtype=torch.bool).to(alike), -torch.inf)
    target = torch.arange(len(left), device=left.device)
    return (functional.cross_entropy(logits, target) + functional.cross_entropy(logits.T, target)) / 2


def recalls(left: torch.Tensor, right: torch.Tensor, n: int | None = None) -> tuple[float, float]:
    """How often a row's partner is among the `n` nearest: right of left, left of right; (P, d) unit vectors.

    By default n is 10, or a tenth of the rows where there are fewer than 100. A tie counts against the partner, so
    that vectors which are all the same recall nothing.
    """
    n = min(10, max(1, len(left) // 10)) if n is None else n
    scores = left @ right.T
    own = scores.diagonal()
    from_left = (scores >= own[:, None]).sum(dim=1) <= n
    from_right = (scores >= own[None, :]).sum(dim=0) <= n
    return float(from_left.float().mean()), float(from_right.float().mean())


def pace(optimizer: torch.optim.Optimizer, warm: int, total: int) -> torch.optim.lr_scheduler.LambdaLR:
    """Step sizes that rise in a line over `warm` steps and fall along a cosine until step `total`."""
    return torch.optim.lr_scheduler.LambdaLR(optimizer, partial(_pace, max(1, warm), total))


def _pace(warm: int, total: int, step: int) -> float:
    if step < warm:
        return (step + 1) / warm
    return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - warm) / max(1, total - warm))))


def hold_out(
    keys: Sequence[str], share: float, most: int, generator: np.random.Generator
) -> npt.NDArray[np.bool_]:
    """Which rows (P,) are held out: all rows of some keys, about `share` of the rows and no more than `most`.

    Raises `TableError` when no key is small enough to hold out, or none would be left.
    """
    _, code = np.unique(np.array(keys, dtype=object).astype(str), return_inverse=True)
    size = np.bincount(code)
    wanted = min(most, max(1, round(share * len(keys))))
    chosen = np.zeros(len(size), dtype=bool)
    filled = 0
    for one in generator.permutation(len(size)):
        if filled + size[one] <= wanted:
            chosen[one] = True
            filled += size[one]
    if not chosen.any() or chosen.all():
        raise TableError(
            f"pairs: {len(keys)} with {len(size)} different texts cannot be split to stop early. "
            "Give more different ones."
        )
    held: npt.NDArray[np.bool_] = chosen[code]
    return held


class Best:
    """Remembers the weights of the best epoch and says when `patience` epochs have brought nothing better."""

    def __init__(self, patience: int) -> None:
        self.patience = patience
        self.values: list[float] = []
        self.epoch = 0
        """Place of the best value, from 0."""
        self._weights: dict[str, torch.Tensor] = {}

    def take(self, value: float, model: torch.nn.Module) -> bool:
        """Note the epoch's value; whether to go on."""
        self.values.append(value)
        if len(self.values) == 1 or value > self.values[self.epoch]:
            self.epoch = len(self.values) - 1
            self._weights = {name: weight.detach().cpu().clone() for name, weight in model.state_dict().items()}
        return len(self.values) - 1 - self.epoch < self.patience

    def restore(self, model: torch.nn.Module) -> None:
        """Put the best epoch's weights back."""
        model.load_state_dict(self._weights)
