"""Lists of two arms + known preferences → what exposure, clicks and sales would do."""

from ltexpo.simulate.experiment import Experiment, SimulateSettings, simulate

__all__ = ["Experiment", "SimulateSettings", "simulate"]
