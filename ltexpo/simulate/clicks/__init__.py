"""Impression logs → click models that are fitted, compared, simulated from, and turned into examination curves."""

from ltexpo.simulate.clicks.draw import ClickParameters, draw_clicks

__all__ = ["ClickParameters", "draw_clicks"]
