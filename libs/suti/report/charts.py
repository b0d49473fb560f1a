"""Small drawings for a page, as SVG text: no script, no library."""

from collections.abc import Sequence

CURVE_POINTS = 80  # as many as a page has room for
_WIDTH, _HEIGHT, _MARGIN = 640.0, 150.0, 6.0


def smoothed(values: Sequence[float], *, window: int) -> list[float]:
    """The mean of each `window` values in a row, so that a noisy curve can be read."""
    size = max(1, window)
    return [sum(part) / len(part) for part in (values[start : start + size] for start in range(0, len(values), size))]


def line_chart(values: Sequence[float], *, label: str) -> str:
    """A curve from left to right, scaled to fit; empty for fewer than two values."""
    if len(values) < 2:
        return ""
    low, high = min(values), max(values)
    span = (high - low) or 1.0
    step = (_WIDTH - 2 * _MARGIN) / (len(values) - 1)
    points = " ".join(
        f"{_MARGIN + index * step:.1f},{_MARGIN + (high - value) / span * (_HEIGHT - 2 * _MARGIN):.1f}"
        for index, value in enumerate(values)
    )
    return (
        f'<svg class="chart" viewBox="0 0 {_WIDTH:.0f} {_HEIGHT:.0f}" role="img" aria-label="{label}">'
        f'<polyline points="{points}" fill="none" stroke="currentColor" stroke-width="2" '
        'stroke-linejoin="round"/></svg>'
    )
