"""Figures that say their question, their axes, what chance gives and what the truth reaches."""

import io
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from suti.reproduce.rows import Row

_METRIC = "overall"
_SAID = "pictures of the true one of 16, as asked"
_BLUE, _GREY = "#2a6f97", "#8a8a8a"


def bars(rows: Sequence[Row], *, title: str) -> bytes:
    """Systems side by side: how much is right overall, and how long the first picture takes."""
    figure, axes = _new(title, width=9, panels=2)
    systems = [row.system for row in rows if row.metric == _METRIC and row.system not in {"real", "chance"}]
    for panel, metric in zip(axes, (_METRIC, "seconds_to_first_picture"), strict=True):
        found = {row.system: row for row in rows if row.metric == metric and row.mean is not None}
        for place, system in enumerate(systems):
            if (row := found.get(system)) is None:
                panel.text(0.01, place, "not run", va="center", color=_GREY, transform=panel.get_yaxis_transform())
                continue
            panel.barh(place, row.mean or 0, xerr=_spread([row]), color=_BLUE, capsize=3)
            said = f"{row.mean:.2f}" if metric == _METRIC else f"{row.mean:.3g} s"
            panel.text(row.high or 0, place, f"  {said}", va="center", fontsize=9)
        panel.set_yticks(range(len(systems)), systems)
        panel.invert_yaxis()
    axes[0].set_xlim(0, 1.1)
    axes[0].set_xlabel(_SAID)
    for row in (row for row in rows if row.metric == _METRIC and row.system in {"real", "chance"}):
        if row.mean is not None:
            axes[0].axvline(row.mean, color=_GREY, linestyle="--", linewidth=1)
            axes[0].text(row.mean, -0.6, row.system, color=_GREY, ha="center", va="bottom")
    axes[1].set_xscale("log")
    axes[1].margins(x=0.25)
    axes[1].set_xlabel("seconds of one core to the first picture")
    axes[1].set_yticks(range(len(systems)), [""] * len(systems))
    return _png(figure)


def lines(
    rows: Sequence[Row],
    *,
    title: str,
    across: str,
    series: Mapping[str, Sequence[tuple[float, str]]],
    more: Mapping[str, str] | None = None,
    levels: Sequence[str] = ("real", "chance"),
    doubling: bool = False,
) -> bytes:
    """What is right overall over a number: a line for each series of (number, condition's name).

    `more`: other shares of the same conditions, as dotted lines, by what they are called. `levels`: systems that no
    number changes. `doubling`: equal steps across are equal ratios.
    """
    figure, (axes,) = _new(title)
    wanted = [(label, points, _METRIC, "-") for label, points in series.items()]
    first = next(iter(series.values()))
    wanted += [(label, first, metric, ":") for label, metric in (more or {}).items()]
    span = max(at for points in series.values() for at, _ in points)
    for index, (label, points, metric, style) in enumerate(wanted):
        found = {_name(row): row for row in rows if row.metric == metric and row.mean is not None}
        known = [(at, found[name]) for at, name in points if name in found]
        if known:
            means = [row.mean or 0.0 for _, row in known]
            spread = _spread([row for _, row in known])
            aside = index - (len(wanted) - 1) / 2  # intervals at one place hide one another
            axes.errorbar(
                [at * 1.03**aside if doubling else at + aside * span * 0.008 for at, _ in known],
                means,
                yerr=spread,
                marker="o",
                capsize=3,
                linestyle=style,
                label=label,
            )
    _levels(axes, rows, levels)
    places = sorted({at for points in series.values() for at, _ in points})
    if doubling:
        axes.set_xscale("log", base=2)
    axes.set_xticks(places, [f"{at:g}" for at in places])
    axes.set_xlabel(across)
    axes.set_ylabel(_SAID)
    axes.set_ylim(-0.02, 1.05)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize=8)
    return _png(figure)


def grid(rows: Sequence[Row], *, title: str, places: Mapping[tuple[float, float], str]) -> bytes:
    """Two weights against each other: what is right overall, and CLIP-T."""
    figure, panels = _new(title, width=9, panels=2)
    downs, acrosses = sorted({down for down, _ in places}), sorted({across for _, across in places})
    for axes, (metric, said) in zip(panels, ((_METRIC, _SAID), ("clip_t", "CLIP-T: fit to the prompt")), strict=True):
        found = {_name(row): row.mean for row in rows if row.metric == metric and row.mean is not None}
        values = [[found.get(places[down, across]) for across in acrosses] for down in downs]
        numbers = [[float("nan") if value is None else value for value in line] for line in values]
        axes.imshow(numbers, cmap="Blues", origin="lower")
        for y, line in enumerate(values):
            for x, value in enumerate(line):
                axes.text(x, y, "not run" if value is None else f"{value:.2f}", ha="center", va="center")
        axes.set_xticks(range(len(acrosses)), [f"{one:g}" for one in acrosses])
        axes.set_yticks(range(len(downs)), [f"{one:g}" for one in downs])
        axes.set_xlabel("weight of the subject")
        axes.set_ylabel("weight of the text")
        axes.set_title(said, fontsize=10)
    return _png(figure)


def groups(rows: Sequence[Row], *, title: str, groups: Sequence[str]) -> bytes:
    """Systems beside each other in each group (a row's condition)."""
    figure, (axes,) = _new(title, width=9)
    found = {(row.system, row.condition): row for row in rows if row.metric == _METRIC and row.mean is not None}
    systems = list(dict.fromkeys(row.system for row in rows if (row.system, row.condition) in found))
    width = 0.8 / max(1, len(systems))
    for index, system in enumerate(systems):
        known = [(place, found[system, name]) for place, name in enumerate(groups) if (system, name) in found]
        at = [place + (index - (len(systems) - 1) / 2) * width for place, _ in known]
        means = [row.mean or 0.0 for _, row in known]
        style: dict[str, Any] = {"color": _GREY} if system in {"real", "chance"} else {}
        axes.bar(at, means, width, yerr=_spread([row for _, row in known]), capsize=2, label=system, **style)
    axes.set_xticks(range(len(groups)), groups)
    axes.set_xlabel("what the prompt asks for")
    axes.set_ylabel(_SAID)
    axes.set_ylim(0, 1)
    if systems:
        axes.legend(fontsize=8, ncols=4)
    return _png(figure)


def _new(title: str, *, width: float = 8, panels: int = 1) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=(width, 5), layout="constrained")
    figure.suptitle(title)
    return figure, [figure.add_subplot(1, panels, place + 1) for place in range(panels)]


def _levels(axes: Axes, rows: Sequence[Row], systems: Sequence[str]) -> None:
    for row in (row for row in rows if row.metric == _METRIC and row.system in systems):
        if row.mean is not None:
            axes.axhline(row.mean, color=_GREY, linestyle="--", linewidth=1)
            said = f"{row.system} {row.mean:.2f}"
            axes.text(0.995, row.mean, said, ha="right", va="bottom", color=_GREY, transform=axes.get_yaxis_transform())


def _name(row: Row) -> str:
    return f"{row.system}, {row.condition}" if row.condition else row.system


def _spread(rows: Sequence[Row]) -> list[list[float]]:
    """Distances to the bounds of the intervals, as matplotlib wants them."""
    means = [row.mean or 0.0 for row in rows]
    low = [max(0.0, mean - (mean if row.low is None else row.low)) for row, mean in zip(rows, means, strict=True)]
    high = [max(0.0, (mean if row.high is None else row.high) - mean) for row, mean in zip(rows, means, strict=True)]
    return [low, high]


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=120, metadata={"Software": None})
    return buffer.getvalue()
