"""Events that the ranker has not seen → an environment, and how well it predicts what it was not fitted on."""

from ltexpo.simulate.fitted.environment import FitSettings, FittedEnvironment
from ltexpo.simulate.fitted.fidelity import Fidelity, fidelity
from ltexpo.simulate.fitted.returning import Returning, fit_return_strength, return_strength_of

__all__ = [
    "Fidelity", "FitSettings", "FittedEnvironment", "Returning", "fidelity", "fit_return_strength",
    "return_strength_of",
]
