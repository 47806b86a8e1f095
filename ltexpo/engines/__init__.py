"""Where a batch runs: this machine (the default), or Spark."""

from ltexpo.engines.settings import EngineSettings

__all__ = ["EngineSettings"]
