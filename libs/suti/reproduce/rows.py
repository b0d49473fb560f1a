"""Results as everybody can check them: one row for each figure, with its interval and what it was measured under."""

import json
import os
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from suti.core.environment import package_versions
from suti.report.facts import Score


class Row(BaseModel):
    """One figure. Without a mean it is a cell that time did not allow: never left out, never guessed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    experiment: str
    condition: str
    system: str = Field(description="real, suti, dreambooth, re-imagen, base; who drew.")
    metric: str
    mean: float | None
    low: float | None
    high: float | None
    n: int = Field(description="Pictures.")
    seeds: int = Field(description="Trainings, each with a seed of its own.")
    protocol_id: str
    model_sha256: str = ""


def score_row(score: Score, **names: str | int) -> Row:
    """A row of a mean with its interval."""
    return Row.model_validate({**names, "mean": score.mean, "low": score.low, "high": score.high, "n": score.n})


def figure_row(value: float, **names: str | int) -> Row:
    """A row of a figure that was counted or measured once."""
    return Row.model_validate({**names, "mean": value, "low": value, "high": value, "n": 1})


def missing_row(**names: str | int) -> Row:
    """The row of a cell that was not run."""
    return Row.model_validate({**names, "mean": None, "low": None, "high": None, "n": 0, "seeds": 0})


def write_rows(rows: Sequence[Row], path: Path) -> None:
    """The rows, with the machine and the versions they were measured under."""
    machine = {"cpu_count": os.cpu_count(), "python": platform.python_version(), "machine": platform.machine()}
    facts: Mapping[str, object] = {
        "machine": machine,
        "versions": dict(package_versions()),
        "rows": [row.model_dump(mode="json") for row in rows],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")


def as_table(rows: Sequence[Row], metrics: Mapping[str, str], *, trainings: bool = False) -> str:
    """A Markdown table, a line for each condition and system; `metrics` are the columns with their headings.

    `trainings`: how many trainings stand behind a line has a column of its own.
    """
    last = ["n", *(["trainings"] if trainings else [])]
    headings = ["system", "condition", *metrics.values(), *last]
    lines = [f"| {' | '.join(headings)} |", f"|{'---|' * len(headings)}"]
    by_line: dict[tuple[str, str], dict[str, Row]] = {}
    for row in rows:
        by_line.setdefault((row.system, row.condition), {})[row.metric] = row
    for (system, condition), found in by_line.items():
        cells = [_said(found.get(metric)) for metric in metrics]
        pictures = max((row.n for row in found.values()), default=0)
        left = found.get("seeds_not_run")
        ends = [str(pictures or "not run") + (f", {left.mean:.0f} seeds not run" if left is not None else "")]
        if trainings:
            ends.append(str(max(row.seeds for row in found.values())) if pictures else "not run")
        lines.append(f"| {' | '.join([system, condition, *cells, *ends])} |")
    return "\n".join(lines) + "\n"


def _said(row: Row | None) -> str:
    if row is None:
        return ""
    if row.mean is None:
        return "not run"
    if row.n == 1:
        return f"{row.mean:.4g}"
    return f"{row.mean:.3f} [{row.low:.3f}, {row.high:.3f}]"
