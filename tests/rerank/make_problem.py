"""Random problems for the solver's tests."""

from dataclasses import replace

import numpy as np

from ltexpo.rerank.evaluate import Evaluator
from ltexpo.rerank.problem import Goals, Guardrails, Problem


def random_problem(
    seed: int, *, lists: int, candidates: int = 10, k: int = 4, items: int = 60, goals: int = 8,
    rails: Guardrails | None = None, weights: bool = False,
) -> Problem:  # fmt: skip
    """Overlapping groups; goals lie between the exposure of two integral answers, with a little room: feasible."""
    rng = np.random.default_rng(seed)
    drawn = np.concatenate([rng.choice(items, candidates, replace=False) for _ in range(lists)])
    appeal = rng.random(items)
    scores = 0.02 + 0.3 * rng.random(lists * candidates) * appeal[drawn] + 0.2 * appeal[drawn]
    members = [
        rng.choice(items, max(2, int(items * np.exp(rng.uniform(np.log(0.03), np.log(0.5))))), replace=False)
        for _ in range(goals)
    ]
    group = np.repeat(np.arange(goals), [len(m) for m in members])
    member = np.concatenate(members)
    order = np.argsort(member, kind="stable")
    kind = np.where(rng.random(goals) < 0.25, -1, 1).astype(np.int8)
    problem = Problem.build(
        np.arange(lists + 1) * candidates, drawn, scores,
        attention=1 / np.log2(np.arange(2, k + 2)),
        group_indptr=np.concatenate([[0], np.cumsum(np.bincount(member, minlength=items))]),
        group_ids=group[order], goals=Goals(np.arange(goals), kind, np.zeros(goals)), guardrails=rails,
        weights=rng.integers(1, 4, lists) if weights else None,
    )  # fmt: skip
    plain = Evaluator(problem)(np.zeros(goals)).slack
    prices = kind * np.abs(rng.standard_normal(goals)) * 0.1 * (rng.random(goals) < 0.7)
    pushed = Evaluator(problem)(prices).slack
    target = plain + rng.uniform(0.3, 0.9) * (pushed - plain)
    return replace(problem, goals=Goals(np.arange(goals), kind, target - kind * (0.5 + 0.01 * np.abs(target))))
