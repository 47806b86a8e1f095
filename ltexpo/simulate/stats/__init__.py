"""Totals by user → effects, intervals that hold, and a verdict."""

from ltexpo.simulate.stats.adjust import cuped, linearised, post_stratify
from ltexpo.simulate.stats.bootstrap import compare_bootstrap
from ltexpo.simulate.stats.cap import Cap
from ltexpo.simulate.stats.clusters import compare_two_way
from ltexpo.simulate.stats.coverage import compare_coverage
from ltexpo.simulate.stats.cupac import cupac
from ltexpo.simulate.stats.effect import Effect, compare
from ltexpo.simulate.stats.guardrail import Guardrail, guard
from ltexpo.simulate.stats.multiple import benjamini_hochberg, holm
from ltexpo.simulate.stats.permuted import compare_gini, compare_permuted
from ltexpo.simulate.stats.power import Baseline, detectable, power, resampled_power, users_needed
from ltexpo.simulate.stats.sequence import ConfidenceSequence, always_valid, confidence_sequence
from ltexpo.simulate.stats.shown import Shown
from ltexpo.simulate.stats.srm import SampleRatio, sample_ratio, sample_ratio_sequence
from ltexpo.simulate.stats.studentised import compare_studentised
from ltexpo.simulate.stats.table import Effects, compare_segments, compare_totals
from ltexpo.simulate.stats.tail_power import TailPower, tail_power
from ltexpo.simulate.stats.verdict import Verdict, verdict

__all__ = [
    "Baseline",
    "Cap",
    "ConfidenceSequence",
    "Effect",
    "Effects",
    "Guardrail",
    "SampleRatio",
    "Shown",
    "TailPower",
    "Verdict",
    "always_valid",
    "benjamini_hochberg",
    "compare",
    "compare_bootstrap",
    "compare_coverage",
    "compare_gini",
    "compare_permuted",
    "compare_segments",
    "compare_studentised",
    "compare_totals",
    "compare_two_way",
    "confidence_sequence",
    "cupac",
    "cuped",
    "detectable",
    "guard",
    "holm",
    "linearised",
    "post_stratify",
    "power",
    "resampled_power",
    "sample_ratio",
    "sample_ratio_sequence",
    "tail_power",
    "users_needed",
    "verdict",
]
