"""Tokens of items and of users' pasts → one vector each.

Item: text, image, graph, attributes with price and date, and behaviour are a token each; a token that is not there is a
learnt one. A Transformer layer (Vaswani et al. 2017) joins them under a token of its own, as BERT's [CLS]. User: the
vectors of the latest interactions and of a query with their kind and age, weighed (Bahdanau et al. 2015), and what a
Transformer or an LSTM (Hochreiter & Schmidhuber 1997) reads in them beyond.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from ltexpo.fusion.heat import BESIDE, OWN
from ltexpo.fusion.inputs import WAVES
from ltexpo.fusion.settings import FusionSettings

ATTRIBUTES, BEHAVIOUR = "attributes", "behaviour"
AGES = (0.5, 1.5, 2.5, 3.5, 5.5, 7.5, 14.5, 30.5, 60.5, 120.5, 365.5)
"""Upper edges, in days, of the classes that ages fall into."""


@dataclass(frozen=True)
class ItemBatch:
    """What the item tower reads of n products."""

    content: Mapping[str, tuple[Tensor, Tensor]]
    """Name → vectors (n, d) and which are there (n,)."""
    values: Tensor
    """Attribute values of all products, one after the other."""
    place: Tensor
    """Product · columns + column of each value."""
    weights: Tensor
    """Share of each value in its product's column."""
    price: Tensor
    """(n, 2)."""
    arrival: Tensor
    """(n, 2 · waves + 1) see `ItemInputs.waves`."""
    behaviour: Tensor
    """(n,) row of the behaviour vector, −1 without."""
    heat: Tensor
    """(n, F) see `Heat.features`."""


class ItemTower(nn.Module):
    """n products → vectors (n, width) and what they are worth by themselves (n,)."""

    def __init__(
        self, settings: FusionSettings, *, content: Mapping[str, int], values: int, columns: int, products: int
    ) -> None:
        super().__init__()
        width = settings.width
        self.settings, self.columns = settings, columns
        self.names = tuple(sorted(content))
        self.tokens = (*self.names, ATTRIBUTES, BEHAVIOUR)
        self.content = nn.ModuleList(_mixer(content[name], width, settings.dropout) for name in self.names)
        self.values = nn.Embedding(values + 1, settings.value_width, sparse=True)
        self.described = _mixer(columns * settings.value_width + 2 * len(WAVES) + 3, width, settings.dropout)
        self.behaviour = nn.Embedding(products + 1, width, sparse=True)
        self.missing = nn.Parameter(torch.zeros(len(self.tokens), width))
        self.kind = nn.Parameter(torch.zeros(len(self.tokens), width))
        self.cls = nn.Parameter(torch.zeros(width))
        for parameter in (self.missing, self.kind, self.cls):
            nn.init.normal_(parameter, std=0.02)
        nn.init.normal_(self.values.weight, std=0.1)
        nn.init.normal_(self.behaviour.weight, std=0.01)
        self.scale = nn.ModuleList(nn.LayerNorm(width) for _ in self.tokens[:-1])
        self.join = _transformer(settings, settings.layers) if settings.fuse == "transformer" else None
        self.out = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width))
        self.worth = nn.Linear(width, 1)
        self.warmth = nn.Sequential(nn.Linear(2 + OWN + len(BESIDE) + columns, 32), nn.GELU(), nn.Linear(32, 1))
        self.own_worth = nn.Embedding(products + 1, 1, sparse=True)
        nn.init.zeros_(self.own_worth.weight)

    def forward(self, batch: ItemBatch, hidden: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """`hidden` (n, tokens) marks tokens that may not be looked at; in training more are hidden by chance."""
        tokens, there = self._tokens(batch)
        shown = torch.ones_like(there)
        if hidden is not None:
            shown = shown & ~hidden
        if self.training:
            chance = torch.full((len(self.tokens),), self.settings.modality_dropout, device=tokens.device)
            chance[-1] = self.settings.cold_dropout
            shown = shown & (torch.rand(there.shape, device=tokens.device) >= chance)
        there = there & shown
        tokens = torch.where(there[:, :, None], tokens, self.missing) + self.kind
        if self.join is None:
            h = tokens.mean(dim=1)
        else:
            # begun as the mean, the joint token tells products apart before attention has learnt to
            first = self.cls + tokens.mean(dim=1, keepdim=True)
            h = self.join(torch.cat([first, tokens], dim=1))[:, 0]
        h = self.out(h)
        worth = self.worth(h)[:, 0] + self._heat(batch, shown)
        # what behaviour says beyond the other tokens need not pass through the layers that they share
        mine, row = there[:, -1:], batch.behaviour + 1
        h = h + torch.where(mine, self.behaviour(row), 0)
        worth = worth + torch.where(mine, self.own_worth(row), 0)[:, 0]
        return nn.functional.normalize(h, dim=1), worth

    def spoken(self, vectors: Tensor) -> Tensor:
        """Queries (B, d) → (B, width): read as products of which nothing but the text is known."""
        n, device = len(vectors), vectors.device
        none = torch.zeros(0, dtype=torch.long, device=device)
        unknown = torch.full((n,), -1, device=device)
        content = {
            name: (torch.zeros(n, cast(nn.Linear, cast(nn.Sequential, layer)[0]).in_features, device=device),
                   torch.zeros(n, dtype=torch.bool, device=device))
            for name, layer in zip(self.names, self.content, strict=True)
        }
        content[self.settings.query] = (vectors, torch.ones(n, dtype=torch.bool, device=device))
        heat = torch.zeros(n, OWN + self.columns + len(BESIDE), device=device)
        when = torch.zeros(n, 2 * len(WAVES) + 1, device=device)
        batch = ItemBatch(content, none, none, heat[:0, 0], heat[:, :2], when, unknown, heat)
        hidden = torch.tensor([name != self.settings.query for name in self.tokens], device=device).expand(n, -1)
        spoken: Tensor = self(batch, hidden)[0]
        return spoken

    def _heat(self, batch: ItemBatch, shown: Tensor) -> Tensor:
        """(n,) what its own popularity and that of its relatives make a product worth."""
        if not self.settings.heat:
            return torch.zeros(len(shown), device=shown.device)
        own, kin = shown[:, -1:].float(), shown[:, -2:-1].float()
        heat = batch.heat / 5  # logs of up to about 10, to the size of the other inputs
        worth: Tensor = self.warmth(torch.cat([own, kin, heat[:, :OWN] * own, heat[:, OWN:] * kin], dim=1))[:, 0]
        return worth

    def _tokens(self, batch: ItemBatch) -> tuple[Tensor, Tensor]:
        """(n, tokens, width) and which are there (n, tokens)."""
        parts, there = [], []
        for layer, name, scale in zip(self.content, self.names, self.scale, strict=False):
            vectors, given = batch.content[name]
            parts.append(scale(layer(vectors)))
            there.append(given)
        n = len(batch.behaviour)
        values = self.values(batch.values + 1) * batch.weights[:, None]
        held = values.new_zeros(n * self.columns, values.shape[1]).index_add_(0, batch.place, values)
        described = self.described(torch.cat([batch.price, batch.arrival, held.reshape(n, -1)], dim=1))
        parts.append(self.scale[-1](described))
        there.append(torch.ones_like(batch.behaviour, dtype=torch.bool))
        parts.append(self.behaviour(batch.behaviour + 1))
        there.append(batch.behaviour >= 0)
        return torch.stack(parts, dim=1), torch.stack(there, dim=1)


class UserTower(nn.Module):
    """B pasts of N interactions → one vector each (B, width) for clicks and one for purchases: (2, B, width)."""

    def __init__(self, settings: FusionSettings, *, profile: int) -> None:
        super().__init__()
        width = settings.width
        self.settings = settings
        self.kind = nn.Embedding(3, width)
        self.age = nn.Embedding(len(AGES) + 1, width)
        self.place = nn.Embedding(settings.history + 1, width)
        self.profile = nn.EmbeddingBag(profile + 1, width, mode="mean")
        self.cls = nn.Parameter(torch.zeros(width))
        for table in (self.kind, self.age, self.place, self.profile):
            nn.init.normal_(table.weight, std=0.02)
        self.register_buffer("edges", torch.tensor(AGES), persistent=False)
        if settings.sequence == "transformer":
            self.read: nn.Module = _transformer(settings, settings.layers)
        else:
            self.read = nn.LSTM(width, width, batch_first=True)
        self.weigh = nn.Linear(width, 1)
        self.fresh = nn.Embedding(len(AGES) + 1, 1)
        nn.init.zeros_(self.fresh.weight)
        self.norm = nn.LayerNorm(width)
        self.heads = nn.ModuleList(
            nn.Sequential(nn.Linear(2 * width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)) for _ in range(2)
        )

    def forward(
        self, items: Tensor, there: Tensor, kinds: Tensor, ages: Tensor, profile: tuple[Tensor, Tensor]
    ) -> Tensor:
        """items (B, N, width) newest first, there (B, N), kinds and ages (B, N); profile: values of all users, one
        after the other, and where each user's begin (B,)."""
        n = items.shape[1]
        age = torch.bucketize(ages, cast(Tensor, self.edges))
        tokens = items + self.kind(kinds) + self.age(age) + self.place.weight[:n]
        whole = self.cls + self.profile(*profile)
        if isinstance(self.read, nn.LSTM):
            # oldest first, padding in front: the last step is the newest interaction
            tokens = torch.where(there[:, :, None], tokens, torch.zeros_like(tokens)).flip(1)
            h = self.read(torch.cat([tokens, whole[:, None]], dim=1))[0][:, -1]
        else:
            hidden = torch.cat([torch.zeros_like(there[:, :1]), ~there], dim=1)
            h = self.read(torch.cat([whole[:, None], tokens], dim=1), src_key_padding_mask=hidden)[:, 0]
        # what the interactions have in common is the user's vector to begin with; layers add what else they tell
        logits = (self.weigh(items) + self.fresh(age))[:, :, 0].masked_fill(~there, -1e9)
        mean = (torch.softmax(logits, dim=1) * there)[:, None, :] @ items
        both = torch.cat([self.norm(h), mean[:, 0]], dim=1)
        users = torch.stack([mean[:, 0] + head(both) for head in self.heads])
        return nn.functional.normalize(users, dim=2)


def _mixer(wide: int, width: int, dropout: float) -> nn.Sequential:
    return nn.Sequential(nn.Linear(wide, 2 * width), nn.GELU(), nn.Dropout(dropout), nn.Linear(2 * width, width))


def _transformer(settings: FusionSettings, layers: int) -> nn.TransformerEncoder:
    layer = nn.TransformerEncoderLayer(
        settings.width, settings.heads, 2 * settings.width, dropout=settings.dropout, activation="gelu",
        batch_first=True, norm_first=True,
    )
    return nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
