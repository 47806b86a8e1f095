"""Events and items → each user's candidates with scores: the plain baselines, their blend, and its calibration."""

from ltexpo.ranking.evaluate import EvaluateSettings, Evaluation, evaluate
from ltexpo.ranking.recommend import Recommendation, RecommendSettings, recommend

__all__ = ["EvaluateSettings", "Evaluation", "RecommendSettings", "Recommendation", "evaluate", "recommend"]
