"""Tokens of items and of users' pasts → one vector each.

Item: text, image, graph, attributes with price, and behaviour are a token each; a token that is not there is a learnt
one. A Transformer layer (Vaswani et al. 2017) joins them under a token of its own, as BERT's [CLS]. User: the vectors
of the latest interactions with their kind and age, read by a Transformer or an LSTM (Hochreiter & Schmidhuber 1997).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

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
    offsets: Tensor
    """(n,) where each product's values begin."""
    price: Tensor
    """(n, 2)."""
    behaviour: Tensor
    """(n,) row of the behaviour vector, −1 without."""


class ItemTower(nn.Module):
    """n products → vectors (n, width) and what they are worth by themselves (n,)."""

    def __init__(self, settings: FusionSettings, *, content: Mapping[str, int], values: int, products: int) -> None:
        super().__init__()
        width = settings.width
        self.settings = settings
        self.names = tuple(sorted(content))
        self.tokens = (*self.names, ATTRIBUTES, BEHAVIOUR)
        self.content = nn.ModuleList(nn.Linear(content[name], width) for name in self.names)
        self.values = nn.EmbeddingBag(values + 1, width, mode="mean")
        self.price = nn.Linear(2, width)
        self.behaviour = nn.Embedding(products + 1, width)
        self.missing = nn.Parameter(torch.zeros(len(self.tokens), width))
        self.kind = nn.Parameter(torch.zeros(len(self.tokens), width))
        self.cls = nn.Parameter(torch.zeros(width))
        for parameter in (self.missing, self.kind, self.cls):
            nn.init.normal_(parameter, std=0.02)
        for table in (self.values, self.behaviour):
            nn.init.normal_(table.weight, std=0.1)
        self.scale = nn.LayerNorm(width)
        self.join = _transformer(settings, settings.layers) if settings.fuse == "transformer" else None
        self.out = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width))
        self.worth = nn.Linear(width, 1)

    def forward(self, batch: ItemBatch, hidden: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """`hidden` (n, tokens) marks tokens that may not be looked at; in training more are hidden by chance."""
        tokens, there = self._tokens(batch)
        if hidden is not None:
            there = there & ~hidden
        if self.training:
            chance = torch.full((len(self.tokens),), self.settings.modality_dropout, device=tokens.device)
            chance[-1] = self.settings.cold_dropout
            there = there & (torch.rand(there.shape, device=tokens.device) >= chance)
        tokens = torch.where(there[:, :, None], self.scale(tokens), self.missing) + self.kind
        if self.join is None:
            h = tokens.mean(dim=1)
        else:
            # begun as the mean, the joint token tells products apart before attention has learnt to
            first = self.cls + tokens.mean(dim=1, keepdim=True)
            h = self.join(torch.cat([first, tokens], dim=1))[:, 0]
        h = self.out(h)
        return nn.functional.normalize(h, dim=1), self.worth(h)[:, 0]

    def _tokens(self, batch: ItemBatch) -> tuple[Tensor, Tensor]:
        """(n, tokens, width) and which are there (n, tokens)."""
        parts, there = [], []
        for layer, name in zip(self.content, self.names, strict=True):
            vectors, given = batch.content[name]
            parts.append(layer(vectors))
            there.append(given)
        held = torch.diff(batch.offsets, append=batch.offsets.new_tensor([len(batch.values)])) > 0
        parts.append(self.values(batch.values, batch.offsets) + self.price(batch.price))
        there.append(held | (batch.price[:, 1] > 0))
        parts.append(self.behaviour(batch.behaviour + 1))
        there.append(batch.behaviour >= 0)
        return torch.stack(parts, dim=1), torch.stack(there, dim=1)


class UserTower(nn.Module):
    """B pasts of N interactions → one vector each (B, width) for clicks and one for purchases: (2, B, width)."""

    def __init__(self, settings: FusionSettings, *, segments: int) -> None:
        super().__init__()
        width = settings.width
        self.settings = settings
        self.kind = nn.Embedding(2, width)
        self.age = nn.Embedding(len(AGES) + 1, width)
        self.place = nn.Embedding(settings.history, width)
        self.segment = nn.Embedding(segments + 1, width)
        self.cls = nn.Parameter(torch.zeros(width))
        for table in (self.kind, self.age, self.place, self.segment):
            nn.init.normal_(table.weight, std=0.02)
        self.register_buffer("edges", torch.tensor(AGES), persistent=False)
        if settings.sequence == "transformer":
            self.read: nn.Module = _transformer(settings, settings.layers)
        else:
            self.read = nn.LSTM(width, width, batch_first=True)
        self.recent = nn.Parameter(torch.tensor(0.0))
        self.norm = nn.LayerNorm(width)
        self.heads = nn.ModuleList(nn.Linear(width, width) for _ in range(2))

    def forward(self, items: Tensor, there: Tensor, kinds: Tensor, ages: Tensor, segments: Tensor) -> Tensor:
        """items (B, N, width) newest first, there (B, N), kinds and ages (B, N), segments (B,)."""
        n = items.shape[1]
        age = torch.bucketize(ages, cast(Tensor, self.edges))
        tokens = items + self.kind(kinds) + self.age(age) + self.place.weight[:n]
        whole = self.cls + self.segment(segments)
        if isinstance(self.read, nn.LSTM):
            # oldest first, padding in front: the last step is the newest interaction
            tokens = torch.where(there[:, :, None], tokens, torch.zeros_like(tokens)).flip(1)
            h = self.read(torch.cat([tokens, whole[:, None]], dim=1))[0][:, -1]
        else:
            hidden = torch.cat([torch.zeros_like(there[:, :1]), ~there], dim=1)
            h = self.read(torch.cat([whole[:, None], tokens], dim=1), src_key_padding_mask=hidden)[:, 0]
        # what the latest interactions have in common stays in reach of the heads, however the layers mix it
        fresh = torch.where(there, torch.exp(-ages / 7.0), torch.zeros_like(ages))
        mean = (items * fresh[:, :, None]).sum(dim=1) / fresh.sum(dim=1, keepdim=True).clamp_min(1e-6)
        h = self.norm(h) + torch.exp(self.recent) * mean
        return torch.stack([nn.functional.normalize(head(h), dim=1) for head in self.heads])


def _transformer(settings: FusionSettings, layers: int) -> nn.TransformerEncoder:
    layer = nn.TransformerEncoderLayer(
        settings.width, settings.heads, 2 * settings.width, dropout=settings.dropout, activation="gelu",
        batch_first=True, norm_first=True,
    )
    return nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
