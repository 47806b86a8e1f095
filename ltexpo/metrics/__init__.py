"""Pure functions over tables: what lists are worth and whom they expose."""

from ltexpo.metrics.accuracy import accuracy, accuracy_table
from ltexpo.metrics.attention import Attention, attention_weights
from ltexpo.metrics.auc import auc_ratio
from ltexpo.metrics.calibration import (
    calibration_by_popularity,
    expected_calibration_error,
    log_loss,
    reliability_table,
)
from ltexpo.metrics.exposure import exposure_table, group_exposure, item_exposure, list_exposure
from ltexpo.metrics.inequality import entropy, gini, lorenz, min_share, worst_share
from ltexpo.metrics.intervals import Estimate, Ratio, difference, estimate, mean_estimate, ratio_estimate
from ltexpo.metrics.small_groups import LEAST_USERS, merge_small

__all__ = [
    "LEAST_USERS",
    "Attention",
    "Estimate",
    "Ratio",
    "accuracy",
    "accuracy_table",
    "attention_weights",
    "auc_ratio",
    "calibration_by_popularity",
    "difference",
    "entropy",
    "estimate",
    "expected_calibration_error",
    "exposure_table",
    "gini",
    "group_exposure",
    "item_exposure",
    "list_exposure",
    "log_loss",
    "lorenz",
    "mean_estimate",
    "merge_small",
    "min_share",
    "ratio_estimate",
    "reliability_table",
    "worst_share",
]
