import numpy as np
import pytest
from scipy.special import ndtr
from tiny_effects import effect_row

from ltexpo.report.planning import to_see, to_settle

SHAPE = (1.0, 0.98, 0.001, 0.02)
"""Control, treatment, error of the effect, error of the test."""


def rows(users: int = 4_000) -> tuple[dict[str, object], dict[str, object]]:
    best, test = (
        effect_row("treatment", reading, "all", "all", "clicks per visit", SHAPE, users)
        for reading in ("effect", "test")
    )
    return best, test


def test_chance_by_the_normal_formula() -> None:
    best, test = rows()
    seen = to_see("clicks per visit", best, test, 0.95)
    assert seen is not None
    for users in (4_000, 16_000, 40_000):
        z = 0.02 / 0.02 * np.sqrt(users / 4_000)
        expected = ndtr(z - 1.96) + ndtr(-z - 1.96)
        assert float(seen.at(np.array([float(users)]))[0]) == pytest.approx(expected, abs=0.002)
    assert seen.chance == pytest.approx(ndtr(1 - 1.96) + ndtr(-1 - 1.96), abs=0.002)
    assert seen.needed == pytest.approx(4_000 * (1.96 + 0.8416) ** 2, rel=0.002)
    assert seen.least == pytest.approx(0.02 * (1.96 + 0.8416), rel=0.002)


def test_a_margin_is_settled_by_what_lies_between_it_and_the_loss() -> None:
    best, test = rows()
    settled = to_settle("clicks per visit", 0.03, best, test, 0.95)
    assert settled is not None
    assert settled.effect == pytest.approx(0.98 - 0.97)  # 2% are lost of the 3% that may be
    assert to_settle("clicks per visit", 0.01, best, test, 0.95).effect == pytest.approx(-0.01)  # type: ignore[union-attr]
    # Both arms have half of the variance; the control's counts 0.97 times.
    error = np.sqrt(0.02**2 / 2 * (1 + 0.97**2))
    assert settled.needed == pytest.approx(4_000 * ((1.96 + 0.8416) * error / 0.01) ** 2, rel=0.002)


def test_nothing_to_find() -> None:
    best, test = rows()
    unchanged = dict(best, difference=0.0)
    seen = to_see("clicks per visit", unchanged, test, 0.95)
    assert seen is not None
    assert seen.needed == np.inf
    assert to_see("clicks per visit", best, dict(test, error=np.nan), 0.95) is None
    assert to_see("clicks per visit", best, dict(test, error=0.0), 0.95) is None
