"""Logs with propensities and a policy that was never shown → what it would have earned, or "cannot say"."""

from ltexpo.simulate.ope.disagreement import disagreement
from ltexpo.simulate.ope.estimate import evaluate_policy
from ltexpo.simulate.ope.logged import Logged, read_log
from ltexpo.simulate.ope.policy import TargetPolicy, read_policy
from ltexpo.simulate.ope.policy_table import context_of, policy_of_log
from ltexpo.simulate.ope.result import OpeResult, Row
from ltexpo.simulate.ope.settings import LogSettings, OpeSettings

__all__ = [
    "LogSettings",
    "Logged",
    "OpeResult",
    "OpeSettings",
    "Row",
    "TargetPolicy",
    "context_of",
    "disagreement",
    "evaluate_policy",
    "policy_of_log",
    "read_log",
    "read_policy",
]
