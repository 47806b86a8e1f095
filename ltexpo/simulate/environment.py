"""What an experiment must know of the users: whom what attracts, who buys, and how lists are read."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from ltexpo.data.synthetic.truth import Truth
from ltexpo.errors import ConfigError
from ltexpo.simulate.clicks.draw import ClickParameters

Floats = npt.NDArray[np.float64]


class Environment(Protocol):
    """Where simulated clicks come from; never from the scores of the ranker under test."""

    @property
    def examination(self) -> Floats:
        """(k_max,) P(examined) of each slot over everybody: the weight of a slot in exposure."""

    @property
    def clicks(self) -> ClickParameters:
        """How a list is read."""

    def attraction(self, user_ids: Iterable[str], item_ids: Iterable[str]) -> Floats:
        """(n,) P(click | examined) of each pair."""

    def purchase_given_click(self, user_ids: Iterable[str], item_ids: Iterable[str]) -> Floats:
        """(n,) P(purchase | click) of each pair."""

    def satisfaction(self, user_ids: Iterable[str], item_ids: Iterable[str]) -> Floats:
        """(n,) P(satisfied | click), which ends the reading of a list; asked only where `clicks` are of the dynamic
        Bayesian network."""

    def describe(self) -> dict[str, Any]:
        """What it is, and how well it is known to fit, for the report."""


@dataclass(frozen=True)
class KnownEnvironment:
    """The synthetic marketplace's own truth: position-based clicks with its examination curve."""

    truth: Truth
    clicks: ClickParameters = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "clicks", ClickParameters.pbm(self.truth.examination))

    @property
    def examination(self) -> Floats:
        """(k_max,)."""
        return self.truth.examination

    def attraction(self, user_ids: Iterable[str], item_ids: Iterable[str]) -> Floats:
        """(n,) as the shop was made."""
        return self.truth.attraction(user_ids, item_ids)

    def purchase_given_click(self, user_ids: Iterable[str], item_ids: Iterable[str]) -> Floats:
        """(n,) as the shop was made."""
        return self.truth.purchase_given_click(user_ids, item_ids)

    def satisfaction(self, user_ids: Iterable[str], item_ids: Iterable[str]) -> Floats:
        """Not asked of position-based clicks; who buys is satisfied."""
        return self.purchase_given_click(user_ids, item_ids)

    def describe(self) -> dict[str, Any]:
        """Known, so without error."""
        return {"environment": "known", "click_model": "position-based",
                "source": "attraction and examination of the made shop's truth"}


def check_environment(given: object) -> None:
    """Raise `ConfigError` for what is no `Environment`; a shop's truth becomes one by `KnownEnvironment`."""
    if isinstance(given, Truth):
        raise ConfigError("environment is a Truth, which knows preferences but not how lists are read. Give "
                          "KnownEnvironment(truth).")
    lacking = [name for name in _PARTS if not hasattr(given, name)]
    if lacking:
        raise ConfigError(f"environment is a {type(given).__name__}, which lacks {', '.join(lacking)}. Give a "
                          "KnownEnvironment, a FittedEnvironment, or an object with these.")


_PARTS = ("examination", "clicks", "attraction", "purchase_given_click", "satisfaction", "describe")
