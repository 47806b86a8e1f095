"""An effect + the loss one would bear → held, broken, or still open."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.special import ndtri

from ltexpo.errors import ConfigError
from ltexpo.simulate.stats.effect import Effect
from ltexpo.simulate.stats.words import change, changes_to

State = Literal["held", "broken", "open"]


@dataclass(frozen=True)
class Guardrail:
    """A metric that may not become worse by more than `margin`."""

    effect: Effect
    margin: float
    """Relative loss that is borne: 0.01 is one percent of the control."""
    higher_is_better: bool
    state: State
    bound: float
    """Greatest relative loss that the data leave possible; below `margin` the guardrail holds."""

    @property
    def reason(self) -> str:
        """One sentence."""
        name, margin = self.effect.metric, f"{self.margin:.2%}"
        if not np.isfinite(self.effect.relative):
            return f"{name} cannot be judged: {self.effect.note or 'the control is 0'}"
        seen = f"{change(self.effect.relative)}, {changes_to(self.effect.relative_low, self.effect.relative_high)}"
        if self.state == "held":
            return f"{name} is at most {max(self.bound, 0.0):.2%} worse, within its margin of {margin} ({seen})"
        if self.state == "broken":
            return f"{name} is worse by more than its margin of {margin} ({seen})"
        return f"{name} may be up to {self.bound:.2%} worse, its margin is {margin} ({seen})"

    def __str__(self) -> str:
        return f"guardrail {self.state}: {self.reason}"

    def more(self, power: float = 0.8) -> float:
        """How many times as many users would probably prove it held if nothing is lost; 1 when it is decided."""
        if self.state != "open":
            return 1.0
        # The error on the relative scale, read back from the nearer bound so that sequences keep their own width.
        width = abs(self.effect.relative - (self.effect.relative_low if self.higher_is_better else
                                            self.effect.relative_high))
        error = self.effect.error / abs(self.effect.control) if self.effect.control else float("nan")
        if not self.margin > 0 or not np.isfinite(width):
            return float("inf")
        return max(((width + float(ndtri(power)) * error) / self.margin) ** 2, 1.0)


def guard(effect: Effect, *, margin: float, higher_is_better: bool = True) -> Guardrail:
    """Non-inferiority: held when even the worse bound of the relative effect loses less than `margin`.

    Each side is a one-sided test at (1 − level) / 2 (Schuirmann 1987), 2.5% for a 95% interval, by Fieller's bounds;
    with the effect of a confidence sequence it stays valid at every look. Of several guardrails all must hold before
    one ships, which needs no correction for their number (Berger 1982).
    """
    if not 0 <= margin < 1:
        raise ConfigError(f"margin is a relative loss of 0 to 1; found {margin:g}. One percent is 0.01.")
    sign = 1 if higher_is_better else -1
    losses = sorted((-sign * effect.relative_low, -sign * effect.relative_high))
    state: State = "open"
    if losses[1] < margin:
        state = "held"
    elif losses[0] > margin:
        state = "broken"
    return Guardrail(effect, margin, higher_is_better, state, losses[1])
