"""Numbers of an effect → the way a terminal shows them."""

import math


def change(value: float) -> str:
    """+2.50%: a relative change; no sign before what rounds to 0."""
    return _unsigned_zero(f"{value:+.2%}")


def changes_to(low: float, high: float) -> str:
    """-1.20% to +3.40%."""
    return f"{change(low)} to {change(high)}"


def plus(value: float) -> str:
    """+0.0498: a difference in the metric's own unit."""
    return _unsigned_zero(f"{value:+.3g}")


def plus_to(low: float, high: float) -> str:
    """-0.01 to +0.05."""
    return f"{plus(low)} to {plus(high)}" if math.isfinite(low) else "no interval"


def number(value: float) -> str:
    """Four significant digits, all of a larger whole part, and no exponent of ten."""
    return f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:.4g}"


def p_told(value: float, *, digits: int = 3) -> str:
    """0.0537 → 0.054; whatever is smaller than the last digit → <0.001."""
    if math.isnan(value):
        return ""
    least = 10.0**-digits
    return f"<{least:.{digits}f}" if value < least else f"{value:.{digits}f}"


def _unsigned_zero(told: str) -> str:
    return told.lstrip("+-") if not told.strip("+-0.%") else told
