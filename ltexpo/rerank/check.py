"""A solved small job → its certificate with the optimum of the linear program beside it, by another solver."""

import time
from dataclasses import replace

from ltexpo.errors import ConfigError
from ltexpo.rerank.certificate import Certificate
from ltexpo.rerank.exact import solve_exact
from ltexpo.rerank.problem import Problem

MOST_VARIABLES = 4_000_000
"""Candidates × k; HiGHS needs minutes to hours and some GB of memory for so many."""


def refuse_uncheckable(problem: Problem) -> None:
    """Raise `ConfigError` when the linear program cannot be a check: it is too large, or welfare is not linear."""
    if problem.welfare is not None:
        raise ConfigError("exact: welfare is not linear, so no linear program checks it. Leave one of the two out.")
    size = len(problem.items) * problem.k
    if size > MOST_VARIABLES:
        raise ConfigError(
            f"exact: the linear program would have {size:,} variables ({len(problem.items):,} candidates × k = "
            f"{problem.k}), more than {MOST_VARIABLES:,}. Give fewer requests or candidates, or leave exact out."
        )


def with_exact(certificate: Certificate, problem: Problem) -> Certificate:
    """The certificate with exact_optimum, the most expected clicks of all randomised lists that meet the goals (null
    when not even these can), exact_gap, which lists that meet the goals fall short of it by, and exact_seconds.
    """
    refuse_uncheckable(problem)
    started = time.perf_counter()
    exact = solve_exact(problem)
    optimum = exact.clicks if exact.feasible else None
    short = (optimum - certificate.clicks_after) / optimum if optimum and certificate.feasible else None
    found = {"exact_optimum": optimum, "exact_gap": short, "exact_seconds": time.perf_counter() - started}
    return replace(certificate, facts={**certificate.facts, **found})
