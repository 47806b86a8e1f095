"""Lists, people and an environment → visits, clicks, purchases, and who comes back."""

from ltexpo.simulate.behaviour.people import People
from ltexpo.simulate.behaviour.settings import BehaviourSettings
from ltexpo.simulate.behaviour.shown import ShownLists
from ltexpo.simulate.behaviour.world import World

__all__ = ["BehaviourSettings", "People", "ShownLists", "World"]
