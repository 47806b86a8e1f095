"""Scored candidates → final lists that meet exposure goals at the least cost in clicks, with a proof."""

from ltexpo.rerank.certificate import Certificate
from ltexpo.rerank.controller import DualController, PidController, StreamResult, run_stream
from ltexpo.rerank.explain import Explanation, explain
from ltexpo.rerank.frontier import Frontier, frontier
from ltexpo.rerank.lists import FinalLists
from ltexpo.rerank.reranker import ExposureReranker, Reranked, rerank
from ltexpo.rerank.settings import Goal, GuardrailSettings, RerankSettings, Welfare

__all__ = [
    "Certificate", "DualController", "Explanation", "ExposureReranker", "FinalLists", "Frontier", "Goal",
    "GuardrailSettings", "PidController", "RerankSettings", "Reranked", "StreamResult", "Welfare",
    "explain", "frontier", "rerank", "run_stream",
]
