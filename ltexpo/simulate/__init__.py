"""Lists of several arms + an environment → what exposure, clicks, revenue, retention and sellers would do."""

from ltexpo.simulate.environment import Environment, KnownEnvironment
from ltexpo.simulate.experiment import Experiment, Recommender
from ltexpo.simulate.result import ExperimentResult
from ltexpo.simulate.settings import ExperimentSettings

__all__ = ["Environment", "Experiment", "ExperimentResult", "ExperimentSettings", "KnownEnvironment", "Recommender"]
