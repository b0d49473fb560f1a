"""A calibration as people see it: how similar true pages, shuffled ones and copies are, and where the limits fall."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rich.table import Table

if TYPE_CHECKING:
    from suti.ml.clusters.calibrate import Thresholds

_BINS = 16
_WIDTH = 18  # of a bar, in characters


def distribution_table(scores: Mapping[str, Sequence[float]], *, low: float, high: float) -> Table:
    """Histograms side by side, one column a kind, one line a range of similarity; ranges within the limits are marked.

    Each bar is a share of its own kind, the longest of all kinds filling the column.
    """
    table = Table(box=None, pad_edge=False)
    table.add_column("similarity", justify="right")
    for name, values in scores.items():
        table.add_column(f"{name} ({len(values)})", min_width=_WIDTH)
    table.add_column("")
    least, most = min(map(min, scores.values())), max(map(max, scores.values()))
    step = (most - least) / _BINS or 1.0
    counts = {name: histogram(values, least=least, step=step) for name, values in scores.items()}
    largest = max(count / len(scores[name]) for name, row in counts.items() for count in row)
    for index in range(_BINS):
        middle = least + (index + 0.5) * step
        bars = [_bar(row[index] / len(scores[name]) / largest) for name, row in counts.items()]
        table.add_row(f"{middle:.3f}", *bars, "kept" if low <= middle <= high else "")
    return table


def histogram(values: Sequence[float], *, least: float, step: float) -> list[int]:
    """How many values lie in each of 16 ranges of width `step` from `least` on; the last takes its upper end too."""
    counts = [0] * _BINS
    for value in values:
        counts[min(int((value - least) / step), _BINS - 1)] += 1
    return counts


def thresholds_table(found: "Thresholds", before: "Thresholds | None") -> Table:
    """Each limit, how well it tells, and what it is now."""
    table = Table("limit", "found", "now", "tells apart", "right in", box=None, pad_edge=False)

    def row(name: str, tells: str, accuracy: float | None) -> None:
        value, old = getattr(found, name), getattr(before, name, None)
        shown = "not measured" if value is None else f"{value:.4f}"
        table.add_row(name, shown, "-" if old is None else f"{old:.4f}", tells, f"{accuracy:.0%}" if accuracy else "")

    row("similarity_low", "true from shuffled pages", found.low_accuracy)
    row("similarity_high", "true pages from copies", found.high_accuracy)
    row("max_copy_similarity", "alike pictures from copies", found.copy_accuracy)
    kept = f"{found.min_gain_yield:.0%} of {found.gains} candidates kept" if found.min_gain_yield else "needs --run"
    row("min_gain", kept, None)
    return table


def _bar(share: float) -> str:
    eighths = round(share * _WIDTH * 8)
    return "█" * (eighths // 8) + " ▏▎▍▌▋▊▉"[eighths % 8].strip()
