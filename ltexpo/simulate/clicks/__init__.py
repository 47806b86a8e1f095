"""Impression logs → click models that are fitted, compared, simulated from, and turned into examination curves."""

from ltexpo.simulate.clicks.choose import MODELS, Choice, choose
from ltexpo.simulate.clicks.cm import Cascade
from ltexpo.simulate.clicks.dbn import DynamicBayesian
from ltexpo.simulate.clicks.dcm import DependentClick
from ltexpo.simulate.clicks.draw import ClickParameters, draw_clicks
from ltexpo.simulate.clicks.examination import Curves, examination
from ltexpo.simulate.clicks.fitted_model import ClickModel
from ltexpo.simulate.clicks.model import SlotModel
from ltexpo.simulate.clicks.pbm import PositionBased
from ltexpo.simulate.clicks.perplexity import Perplexity, perplexity
from ltexpo.simulate.clicks.propensity import examination_by_propensity
from ltexpo.simulate.clicks.sessions import Sessions
from ltexpo.simulate.clicks.ubm import UserBrowsing

__all__ = [
    "MODELS", "Cascade", "Choice", "ClickModel", "ClickParameters", "Curves", "DependentClick", "DynamicBayesian",
    "Perplexity", "PositionBased", "Sessions", "SlotModel", "UserBrowsing", "choose", "draw_clicks", "examination",
    "examination_by_propensity", "perplexity",
]
