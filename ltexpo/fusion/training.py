"""Examples → a trained match network: a softmax over the batch's targets and products drawn evenly.

Targets come by popularity, so their scores are corrected by log q of how often a product is expected among the batch's
candidates (Bengio & Senécal 2008; Yi et al. 2019): scores then estimate log P(item | user) over the whole catalogue.
A batch is of one fold of the users, and its products are as warm as the other folds make them: a product that only this
fold took is new to it, so that what is learnt of new products is what will be asked.
"""

import copy
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from ltexpo.fusion.examples import Examples, Past
from ltexpo.fusion.heat import Heat
from ltexpo.fusion.inputs import ItemInputs
from ltexpo.fusion.network import Feed, MatchNet
from ltexpo.fusion.queries import Queries
from ltexpo.fusion.settings import TrainingSettings
from ltexpo.progress import Watch, track
from ltexpo.sparse import Csr

Codes = npt.NDArray[np.int64]

LOOK_AT = 4_096
"""Held-out examples that a look judges."""


@dataclass(frozen=True, eq=False)
class Batch:
    """Examples of one step, and the products that stand against one another in it."""

    rows: Codes
    """(B,) interactions."""
    past: Past
    """What each example's user had done."""
    products: Codes
    """(n,) every product of the step: pasts and candidates; sorted codes."""
    candidates: Codes
    """(C,) sorted codes."""


class Trainer:
    """Draws batches, and steps down their loss until held-out users no longer gain."""

    def __init__(
        self, net: MatchNet, inputs: ItemInputs, examples: Examples, profile: Csr, settings: TrainingSettings, *,
        queries: Queries | None, history: int, least: int, seen_until: float | None, rng: np.random.Generator,
    ) -> None:
        self.net, self.inputs, self.examples, self.profile = net, inputs, examples, profile
        self.settings, self.n, self.rng, self.queries = settings, history, rng, queries
        known = examples.history
        held_users = rng.random(known.n_users) < settings.held_out
        if held_users[known.user].all():
            held_users[:] = False
        held = held_users[known.user]
        # held-out users are a fold of their own, the last one
        fold = np.where(held, settings.folds, rng.integers(settings.folds, size=known.n_users)[known.user])
        device = next(net.parameters()).device
        self.feeds = [
            Feed(inputs, Heat.of(known, inputs, ~held & (fold != k)), device, least=least)
            for k in range(settings.folds + 1)
        ]
        chance = known.decay(settings.half_life) * ~held
        if seen_until is not None:
            old = known.day < seen_until
            for part, share in ((old, settings.replay), (~old, 1 - settings.replay)):
                total = chance[part].sum()
                if total > 0:
                    chance[part] *= share / total
        self.rows = [np.flatnonzero((fold == k) & (chance > 0)) for k in range(settings.folds)]
        self.n_effective = chance.sum() / max(chance.max(initial=0), 1e-12)
        self.chance = [np.cumsum(chance[rows]) for rows in self.rows]
        self.of_fold = np.array([parts[-1] if len(parts) else 0.0 for parts in self.chance])
        self.of_fold /= self.of_fold.sum()
        share = np.bincount(known.item, weights=chance, minlength=known.n_items) / max(chance.sum(), 1e-12)
        expected = settings.batch * share + max(settings.uniform, 1) / known.n_items
        self.log_q = torch.from_numpy(np.log(expected)).float().to(device)
        newest = np.flatnonzero(held)
        newest = newest[np.argsort(-known.day[newest], kind="stable")]
        self.judged = np.sort(newest[:LOOK_AT])
        self.history: list[float] = []

    def run(self, watch: Watch | None = None) -> None:
        """Train in place; the best weights on held-out users stay, or the last where users are too few to hold out.

        `watch` is told both losses at every look, the step counted from 1.
        """
        settings = self.settings
        steps = max(2, int(np.ceil(self.n_effective / settings.batch)) * settings.epochs)
        every = max(1, steps // (2 * settings.epochs))
        sparse = [part.weight for part in self.net.modules() if isinstance(part, nn.Embedding) and part.sparse]
        apart = {id(weight) for weight in sparse}
        dense = [weight for weight in self.net.parameters() if id(weight) not in apart]
        optimizer = torch.optim.AdamW(dense, lr=settings.rate, weight_decay=settings.weight_decay)
        tables = torch.optim.SparseAdam(sparse, lr=settings.table_rate)
        schedules = [
            torch.optim.lr_scheduler.LambdaLR(moved, lambda step: _warm_then_cosine(step, steps))
            for moved in (optimizer, tables)
        ]
        best, kept, stale = np.inf, copy.deepcopy(self.net.state_dict()), 0
        summed, summed_of = torch.zeros((), device=self.log_q.device), 0
        for step in track(range(steps), "match model", total=steps):
            self.net.train()
            k = int(self.rng.choice(settings.folds, p=self.of_fold))
            drawn = self.rows[k][np.searchsorted(
                self.chance[k], self.rng.random(settings.batch) * self.chance[k][-1], side="right"
            )]
            loss = self._loss(self._batch(drawn, self.rng), self.feeds[k])
            optimizer.zero_grad()
            tables.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(dense, 1.0)
            optimizer.step()
            tables.step()  # type: ignore[no-untyped-call]
            for schedule in schedules:
                schedule.step()
            summed, summed_of = summed + loss.detach(), summed_of + 1
            look = (step + 1) % every == 0 or step == steps - 1
            if look and watch is not None:
                watch("match model/training loss", step + 1, float(summed) / summed_of)
                summed, summed_of = torch.zeros_like(summed), 0
            if look and len(self.judged):
                self.history.append(self._judge())
                if watch is not None:
                    watch("match model/held-out loss", step + 1, self.history[-1])
                if self.history[-1] < best - 1e-4:
                    best, kept, stale = self.history[-1], copy.deepcopy(self.net.state_dict()), 0
                else:
                    stale += 1
                if stale >= settings.patience:
                    break
        if len(self.judged):
            self.net.load_state_dict(kept)
        self.net.eval()

    def _batch(self, rows: Codes, rng: np.random.Generator) -> Batch:
        targets = self.examples.history.item[rows]
        evenly = rng.integers(self.examples.history.n_items, size=self.settings.uniform)
        candidates = np.unique(np.concatenate([targets, evenly]))
        past = self.examples.past(rows, self.n, together=self.settings.together, rng=rng)
        seen = past.items[past.items >= 0]
        return Batch(rows, past, np.unique(np.concatenate([candidates, seen])), candidates)

    def _judge(self) -> float:
        """Mean loss of held-out users' latest examples, against the same candidates at every look."""
        self.net.eval()
        total = 0.0
        fixed = np.random.default_rng(0)
        with torch.no_grad():
            for start in range(0, len(self.judged), self.settings.batch):
                rows = self.judged[start : start + self.settings.batch]
                total += float(self._loss(self._batch(rows, fixed), self.feeds[-1])) * len(rows)
        return total / len(self.judged)

    def _loss(self, batch: Batch, feed: Feed) -> Tensor:
        """Cross entropy of the targets; in training, with the terms that the settings ask for."""
        vectors, worth = self.net.items(feed(batch.products))
        loss = self._match(batch, vectors, worth)
        if not self.net.training:
            return loss
        if self.settings.adversarial > 0:
            # the direction in which item vectors hurt most, at a fixed length (FGM)
            (gradient,) = torch.autograd.grad(loss, vectors, retain_graph=True)
            push = self.settings.adversarial * nn.functional.normalize(gradient, dim=1)
            loss = loss + self._match(batch, vectors + push.detach(), worth)
        if self.settings.contrast > 0:
            loss = loss + self.settings.contrast * self._contrast(batch.candidates, feed)
        return loss

    def _match(self, batch: Batch, vectors: Tensor, worth: Tensor) -> Tensor:
        device = vectors.device
        known = self.examples.history
        typed = None if self.queries is None else self.queries.rows(batch.rows)
        if typed is not None and self.net.training:
            # so that users who type nothing are learnt for too
            typed[self.rng.random(len(typed)) < self.net.items.settings.modality_dropout] = np.nan
        users = self.net.read(
            batch.past, batch.products, vectors, self.profile[known.user[batch.rows]], typed,
        )
        kind = torch.from_numpy(self.examples.kind[batch.rows]).to(device)
        of_kind = users[kind, torch.arange(len(batch.rows), device=device)]
        place = torch.from_numpy(np.searchsorted(batch.products, batch.candidates)).to(device)
        scores = of_kind @ vectors[place].T + worth[place]
        scores = scores - self.log_q[torch.from_numpy(batch.candidates).to(device)]
        target = np.searchsorted(batch.candidates, known.item[batch.rows])
        return nn.functional.cross_entropy(
            scores.masked_fill(torch.from_numpy(self._also_taken(batch.rows, target, scores.shape)).to(device),
                               -torch.inf),
            torch.from_numpy(target).to(device),
        )

    def _also_taken(self, rows: Codes, target: Codes, shape: torch.Size) -> npt.NDArray[np.bool_]:
        """(B, C) candidates that the example's user took on the same day, its own target apart: no negatives."""
        hidden = np.zeros(tuple(shape), dtype=bool)
        basket = self.examples.day_first[rows]
        order = np.argsort(basket, kind="stable")
        edges = np.flatnonzero(np.diff(basket[order], prepend=-1, append=-1))
        for lo, hi in pairwise(edges):
            if hi - lo > 1:
                hidden[np.ix_(order[lo:hi], target[order[lo:hi]])] = True
        hidden[np.arange(len(rows)), target] = False
        return hidden

    def _contrast(self, candidates: Codes, feed: Feed) -> Tensor:
        """InfoNCE (van den Oord et al. 2018) between products as their content and as their behaviour shows them."""
        rows = candidates[feed.behaviour[candidates] >= 0]
        if len(rows) < 2:
            return torch.zeros((), device=feed.device)
        batch = feed(rows)
        hidden = torch.zeros(len(rows), len(self.net.items.tokens), dtype=torch.bool, device=feed.device)
        hidden[:, -1] = True
        content, _ = self.net.items(batch, hidden)
        behaviour, _ = self.net.items(batch, ~hidden)
        alike = content @ behaviour.T / 0.1
        same = torch.arange(len(rows), device=alike.device)
        return 0.5 * (nn.functional.cross_entropy(alike, same) + nn.functional.cross_entropy(alike.T, same))


def _warm_then_cosine(step: int, steps: int) -> float:
    """Share of the learning rate: up over a tenth of the steps, then down to nothing along a cosine."""
    warm = max(1, steps // 10)
    if step < warm:
        return (step + 1) / warm
    return 0.5 * (1 + float(np.cos(np.pi * (step - warm) / max(1, steps - warm))))
