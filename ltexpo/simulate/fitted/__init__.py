"""Events that the ranker has not seen → an environment, and how well it predicts what it was not fitted on."""

from ltexpo.simulate.fitted.environment import FitSettings, FittedEnvironment

__all__ = ["FitSettings", "FittedEnvironment"]
