"""Scored candidates → final lists that give the tail its exposure, and what that costs in clicks."""

from ltexpo.rerank.rerank import Reranked, RerankSettings, rerank

__all__ = ["RerankSettings", "Reranked", "rerank"]
