"""Drawn clicks follow each model's definition, walked through plainly."""

import numpy as np
import pytest
from numba import njit

from ltexpo.errors import ConfigError
from ltexpo.simulate.clicks.draw import CM, DBN, DCM, KINDS, PBM, UBM, ClickParameters, draw_clicks

K = 5


def parameters(kind: int, rng: np.random.Generator) -> ClickParameters:
    return {
        PBM: lambda: ClickParameters.pbm(rng.random(K)),
        UBM: lambda: ClickParameters.ubm(rng.random((K, K))),
        CM: lambda: ClickParameters.cm(K),
        DCM: lambda: ClickParameters.dcm(rng.random(K)),
        DBN: lambda: ClickParameters.dbn(0.8, K),
    }[kind]()


def plain(
    model: ClickParameters, attraction: np.ndarray, satisfaction: np.ndarray, uniforms: np.ndarray
) -> tuple[list[bool], int]:
    """The definition of every model, slot by slot."""
    clicks: list[bool] = []
    examined: list[bool] = []
    for j in range(len(attraction)):
        last = max([rank for rank, clicked in enumerate(clicks, 1) if clicked], default=0)
        if model.kind == PBM:
            chance = model.examination[j, 0]
        elif model.kind == UBM:
            chance = model.examination[j, last]
        elif j == 0:
            chance = 1.0
        elif not examined[-1]:
            chance = 0.0
        elif not clicks[-1]:
            chance = model.after_skip[j - 1]
        else:
            chance = model.after_click[j - 1] * (1 - satisfaction[j - 1] if model.kind == DBN else 1)
        examined.append(bool(uniforms[2 * j] < chance))
        clicks.append(bool(examined[-1] and uniforms[2 * j + 1] < attraction[j]))
    return clicks, max([rank for rank, looked in enumerate(examined, 1) if looked], default=0)


@pytest.mark.parametrize("kind", range(5), ids=KINDS)
@pytest.mark.parametrize("n", [1, 3, K])
def test_draws_are_the_definition(kind: int, n: int) -> None:
    rng = np.random.default_rng(kind)
    model = parameters(kind, rng)
    seen = set()
    for _ in range(400):
        attraction, satisfaction, uniforms = rng.random(n), rng.random(n), rng.random(2 * n)
        clicks = np.ones(n, dtype=np.bool_)
        depth = draw_clicks(
            model.kind, model.examination, model.after_click, model.after_skip, attraction, satisfaction, uniforms,
            clicks,
        )
        assert (clicks.tolist(), depth) == plain(model, attraction, satisfaction, uniforms)
        seen.add((int(clicks.sum()), depth))
    assert len(seen) > min(n, 2)


def test_it_is_called_from_compiled_code() -> None:
    @njit
    def total(kind, examination, after_click, after_skip, attraction, satisfaction, uniforms, clicks):
        found = 0
        for r in range(len(uniforms)):
            draw_clicks(
                kind, examination, after_click, after_skip, attraction[r], satisfaction[r], uniforms[r], clicks[r]
            )
            found += clicks[r].sum()
        return found

    model, n = ClickParameters.pbm([1.0, 0.5, 0.25]), 20_000
    rng = np.random.default_rng(0)
    clicks = np.empty((n, 3), dtype=np.bool_)
    found = total(
        model.kind, model.examination, model.after_click, model.after_skip, np.full((n, 3), 0.4), np.zeros((n, 3)),
        rng.random((n, 6)), clicks,
    )
    assert found == clicks.sum()
    chance = 0.4 * np.array([1.0, 0.5, 0.25])
    assert (np.abs(clicks.mean(axis=0) - chance) < 4 * np.sqrt(chance * (1 - chance) / n)).all()


def test_parameters_outside_their_range_are_refused() -> None:
    with pytest.raises(ConfigError, match="dcm: holds values outside 0 to 1"):
        ClickParameters.dcm([0.5, 1.5])
    with pytest.raises(ConfigError, match="pbm: holds values outside 0 to 1"):
        ClickParameters.pbm([0.5, np.nan])
    with pytest.raises(ConfigError, match="shape"):
        ClickParameters.ubm(np.ones((3, 2)))
    with pytest.raises(ConfigError, match="no slot"):
        ClickParameters.cm(0)
