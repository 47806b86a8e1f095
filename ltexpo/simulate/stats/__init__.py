"""Totals by user → effects, intervals that hold, and a verdict."""

from ltexpo.simulate.stats.effect import Effect, compare
from ltexpo.simulate.stats.guardrail import Guardrail, guard
from ltexpo.simulate.stats.multiple import benjamini_hochberg, holm
from ltexpo.simulate.stats.sequence import ConfidenceSequence, always_valid, confidence_sequence
from ltexpo.simulate.stats.srm import SampleRatio, sample_ratio, sample_ratio_sequence
from ltexpo.simulate.stats.table import Effects, compare_segments, compare_totals
from ltexpo.simulate.stats.verdict import Verdict, verdict

__all__ = [
    "ConfidenceSequence",
    "Effect",
    "Effects",
    "Guardrail",
    "SampleRatio",
    "Verdict",
    "always_valid",
    "benjamini_hochberg",
    "compare",
    "compare_segments",
    "compare_totals",
    "confidence_sequence",
    "guard",
    "holm",
    "sample_ratio",
    "sample_ratio_sequence",
    "verdict",
]
