"""ltexpo: fair exposure for long-tail products at the lowest cost in clicks."""

__version__ = "0.1.0"
