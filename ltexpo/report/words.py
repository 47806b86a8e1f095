"""Numbers → the way they are written on the page."""

import math

NONE = "–"
"""What stands where there is no number."""


def count(value: float) -> str:
    """12,345."""
    return signed(f"{value:,.0f}") if _is_number(value) else NONE


def about(value: float) -> str:
    """1,980,000: a count that is known to three digits at best."""
    return count(float(f"{value:.3g}")) if _is_number(value) else NONE


def percent(value: float | None, *, digits: int = 1) -> str:
    """12.3%."""
    return signed(f"{value:.{digits}%}") if _is_number(value) else NONE


def change(value: float | None, *, digits: int = 1) -> str:
    """+12.3% or −0.4%: a relative change."""
    return signed(f"{value:+.{digits}%}") if _is_number(value) else NONE


def below(gap: float | None) -> str:
    """At most 0.012%, or less than 0.001%: a bound on a small share."""
    if not _is_number(gap):
        return NONE
    return "less than 0.001%" if gap is not None and gap < 1e-5 else f"at most {percent(gap, digits=3)}"


def points(value: float | None, *, digits: int = 1) -> str:
    """+12.3 points: a difference of two shares."""
    return signed(f"{100 * value:+.{digits}f} points") if value is not None and _is_number(value) else NONE


def number(value: float | None, *, digits: int = 4) -> str:
    """`digits` significant digits, all of a whole number, and no exponent where people would not write one."""
    if value is None or not _is_number(value):
        return NONE
    if value == int(value):
        return signed(f"{value:,.0f}")
    if abs(value) < 1e-4:
        return signed(f"{value:.{digits}g}")
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    return signed(f"{value:,.{decimals}f}")


def setting(value: float) -> str:
    """A number somebody chose, as they would have typed it."""
    return signed(f"{value:,.10g}")


def changes_to(low: float | None, high: float | None, *, digits: int = 1) -> str:
    """−0.4% to +0.2%: an interval of relative changes."""
    return f"{change(low, digits=digits)} to {change(high, digits=digits)}" if _is_number(low) else "no interval"


def points_to(low: float | None, high: float | None, *, digits: int = 1) -> str:
    """+12.1 to +12.9 points: an interval of differences of two shares."""
    first, last = points(low, digits=digits).removesuffix(" points"), points(high, digits=digits)
    return f"{first} to {last}" if _is_number(low) else "no interval"


def digits_for(*values: float | None) -> int:
    """Decimals of a percentage: 1, or 2 where the largest of the fractions `values` is below 2%."""
    sizes = [abs(value) for value in values if value is not None and _is_number(value)]
    return 2 if sizes and 0 < max(sizes) < 0.02 else 1


def scalar(value: object) -> str:
    """Any recorded value: yes, no, a count, six significant digits, or its words."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return count(value)
    if isinstance(value, float):
        return setting(float(f"{value:.6g}"))
    return NONE if value is None else str(value)


def plural(n: float, one: str, many: str | None = None) -> str:
    """1 product, 2 products."""
    return f"{count(n)} {one if n == 1 else many or one + 's'}"


def signed(text: str) -> str:
    """A true minus sign; and no sign before a zero that was rounded."""
    if not any(digit in text for digit in "123456789"):
        text = text.lstrip("+-")
    return text.replace("-", "−")


def _is_number(value: float | None) -> bool:
    return value is not None and math.isfinite(value)
