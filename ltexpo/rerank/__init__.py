"""Scored candidates → final lists that meet exposure goals at the least cost in clicks, with a proof."""

from ltexpo.rerank.certificate import Certificate
from ltexpo.rerank.explain import Explanation, explain, promotions
from ltexpo.rerank.reranker import ExposureReranker, Reranked, rerank
from ltexpo.rerank.settings import Goal, GuardrailSettings, RerankSettings

__all__ = [
    "Certificate", "Explanation", "ExposureReranker", "Goal", "GuardrailSettings", "RerankSettings", "Reranked",
    "explain", "promotions", "rerank",
]
