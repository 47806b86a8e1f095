"""Scored candidates → final lists that meet exposure goals at the least cost in clicks, with a proof."""

from ltexpo.rerank.certificate import Certificate
from ltexpo.rerank.reranker import ExposureReranker, Reranked
from ltexpo.rerank.settings import Goal, GuardrailSettings, RerankSettings

__all__ = ["Certificate", "ExposureReranker", "Goal", "GuardrailSettings", "RerankSettings", "Reranked"]
