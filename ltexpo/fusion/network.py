"""Products and pasts as codes → scores: the two towers, fed from numpy."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from ltexpo.fusion.examples import QUERY, Past
from ltexpo.fusion.heat import Heat
from ltexpo.fusion.inputs import ItemInputs
from ltexpo.fusion.settings import FusionSettings
from ltexpo.fusion.towers import ItemBatch, ItemTower, UserTower
from ltexpo.sparse import Csr

Codes = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]


class Feed:
    """Rows of `ItemInputs`, as warm as `heat` knows them, as batches of tensors."""

    def __init__(self, inputs: ItemInputs, heat: Heat, device: torch.device, *, least: int) -> None:
        self.inputs, self.device = inputs, device
        self.heat, self.waves = heat.features(inputs), inputs.waves()
        self.behaviour = np.where(heat.counts(inputs) >= least, inputs.product, -1)

    def __call__(self, rows: Codes) -> ItemBatch:
        """The products `rows`."""
        inputs = self.inputs
        content = {}
        for name, (vectors, there) in inputs.content.items():
            given = there[rows]
            values = vectors[rows].astype(np.float32, copy=False)
            if not given.all():
                values[~given] = 0
            content[name] = (self._put(values), self._put(given))
        held = inputs.attributes[rows]
        row = np.repeat(np.arange(len(rows)), np.diff(held.indptr))
        return ItemBatch(
            content, self._put(held.indices.astype(np.int64)),
            self._put(row * inputs.columns + inputs.column_of[held.indices]), self._put(held.data.astype(np.float32)),
            self._put(inputs.price[rows]), self._put(self.waves[rows]), self._put(self.behaviour[rows]),
            self._put(self.heat[rows]),
        )

    def _put(self, values: npt.NDArray[np.generic]) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(values)).to(self.device)


class MatchNet(nn.Module):
    """score(user, item) = scale_h · u_h · v + worth: for heads h of clicks and of purchases."""

    def __init__(
        self, settings: FusionSettings, *, content: Mapping[str, int], values: int, columns: int, products: int,
        profile: int,
    ) -> None:
        super().__init__()
        self.items = ItemTower(settings, content=content, values=values, columns=columns, products=products)
        self.users = UserTower(settings, profile=profile)
        self.log_scale = nn.Parameter(torch.full((2,), float(np.log(8.0))))

    def read(self, past: Past, place: Codes, vectors: Tensor, profile: Csr, queries: Floats | None = None) -> Tensor:
        """User vectors (2, B, width), scaled.

        `vectors` (n, width) of the products `place` (n,), sorted codes; `profile` CSR (B, V); `queries` (B, d) what
        each user has typed, NaN where nothing.
        """
        device = vectors.device
        there = past.items >= 0
        row = np.where(there, np.searchsorted(place, np.where(there, past.items, 0)), 0)
        row = np.minimum(row, len(place) - 1)
        items = vectors[torch.from_numpy(row).to(device)]
        kinds, ages = past.kinds, past.ages
        if queries is not None:
            # a query is the newest interaction, with a product of which only the text is known
            typed = np.isfinite(queries).all(axis=1, keepdims=True)
            spoken = self.items.spoken(torch.from_numpy(np.where(typed, queries, 0).astype(np.float32)).to(device))
            items, there = torch.cat([spoken[:, None], items], dim=1), np.hstack([typed, there])
            kinds = np.hstack([np.full_like(kinds[:, :1], QUERY), kinds])
            ages = np.hstack([np.zeros_like(ages[:, :1]), ages])
        values = torch.from_numpy(profile.indices.astype(np.int64)).to(device)
        begins = torch.from_numpy(profile.indptr[:-1].astype(np.int64)).to(device)
        users = self.users(
            items, torch.from_numpy(there).to(device), torch.from_numpy(kinds).to(device),
            torch.from_numpy(ages).to(device), (values, begins),
        )
        scaled: Tensor = users * torch.exp(self.log_scale)[:, None, None]
        return scaled
