"""The picture of experiment 1: what an apprentice knows by how many experts taught it."""

import io
from collections.abc import Sequence

from matplotlib.figure import Figure

from suti.reproduce.experts import ExpertsPlan
from suti.reproduce.experts_cells import ApprenticeCell
from suti.reproduce.rows import Row

_METRIC = "identified_16way"


def draw_curve(plan: ExpertsPlan, rows: Sequence[Row]) -> bytes:
    """A PNG: identification over the number of experts, a line for each way to teach, others as level lines."""
    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.add_subplot()
    by_condition = {row.condition: row for row in rows if row.metric == _METRIC and row.mean is not None}
    lines: dict[str, list[tuple[int, Row]]] = {}
    for cell in plan.cells():
        row = by_condition.get(cell.condition)
        if isinstance(cell, ApprenticeCell) and row is not None:
            taught = {"experts": "experts", "renders": "true renders"}[cell.lessons.teacher]
            chosen = (" and own pictures" if cell.raw else "") + (", filtered" if cell.gain_percentile else "")
            label = f"apprentice of {taught}{chosen}, from the {cell.start}, at {cell.recipe.learning_rate:g}"
            lines.setdefault(label, []).append((cell.clusters, row))
    for label, points in lines.items():
        points.sort(key=lambda point: point[0])
        means = [row.mean or 0.0 for _, row in points]
        spread = [
            [(row.mean or 0) - (row.low or 0) for _, row in points],
            [(row.high or 0) - (row.mean or 0) for _, row in points],
        ]
        axes.errorbar([size for size, _ in points], means, yerr=spread, marker="o", capsize=3, label=label)
    for system, style in (("real", ":"), ("re-imagen", "--"), ("base", "-."), ("chance", ":")):
        level = next(
            (row for row in rows if row.system == system and row.metric == _METRIC and row.condition == "no experts"),
            None,
        )
        if level is not None and level.mean is not None:
            axes.axhline(level.mean, color="gray", linestyle=style, linewidth=1)
            axes.text(
                0.995,
                level.mean,
                f"{system} {level.mean:.2f}",
                ha="right",
                va="bottom",
                color="gray",
                transform=axes.get_yaxis_transform(),
            )
    axes.set_xscale("log", base=2)
    axes.set_xticks(plan.sizes, [str(size) for size in plan.sizes])
    axes.set_ylim(0, 1)
    axes.set_xlabel("subjects that taught it")
    axes.set_ylabel("pictures of unseen subjects identified among 16")
    axes.set_title("How many experts does the apprentice need?")
    if lines:
        axes.legend(loc="lower right", fontsize=8)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=120, metadata={"Software": None})
    return buffer.getvalue()
