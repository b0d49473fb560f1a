"""Drawings measured: one cell for each drawing and metric, with a value for each picture."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from suti.reproduce.cells import Cell, CellFolder
from suti.reproduce.drawings import DrawingCell, load_part
from suti.reproduce.metrics import Metric, all_metrics

SCORES = "scores"


class ScoreCell(Cell):
    """One drawing measured by one metric."""

    drawing: DrawingCell
    version: str  # of the metric
    model_sha256: str  # whose pictures; drawn by other weights they are measured anew

    @classmethod
    def of(cls, drawing: DrawingCell, metric: Metric, out: Path) -> "ScoreCell":
        """The cell of a metric and what the drawing's model of now has drawn."""
        return cls(
            experiment=SCORES,
            system=drawing.system,
            condition="+".join(metric.names),
            drawing=drawing,
            version=metric.version,
            model_sha256=drawing.model_sha256(out) or "",
        )


@dataclass(frozen=True)
class Scored:
    """One picture: whose it is, and its values by metric."""

    group: str  # subject and seed: pictures of one are no independent throws
    prompt: str
    skill: str
    sample: int
    values: Mapping[str, float]

    @property
    def key(self) -> tuple[str, str, int]:
        """What two systems' pictures are paired by."""
        return self.group, self.prompt, self.sample


def score(drawing: DrawingCell, place: int, out: Path) -> None:
    """Measure a finished drawing by the metric at this place among all, once."""
    metric = all_metrics()[place]
    CellFolder(out / SCORES).run(ScoreCell.of(drawing, metric, out), lambda: _measured(drawing, metric, out))


def unscored(drawing: DrawingCell, out: Path) -> list[int]:
    """The places of the metrics that have not measured it."""
    folder = CellFolder(out / SCORES)
    return [
        place for place, metric in enumerate(all_metrics()) if folder.find(ScoreCell.of(drawing, metric, out)) is None
    ]


def scored(drawing: DrawingCell, out: Path) -> list[Scored]:
    """All pictures of a drawing with what was measured so far; none while no metric has."""
    rows: dict[tuple[str, str, int], Scored] = {}
    folder = CellFolder(out / SCORES)
    for metric in all_metrics():
        found = folder.find(ScoreCell.of(drawing, metric, out))
        for one in [] if found is None else found["pictures"]:
            new = Scored(**one)
            before = rows.get(new.key)
            rows[new.key] = new if before is None else replace(new, values={**before.values, **new.values})
    return list(rows.values())


def _measured(drawing: DrawingCell, metric: Metric, out: Path) -> dict[str, Any]:
    pictures: list[dict[str, Any]] = []
    for number in range(drawing.subjects.subjects):
        asked, part = drawing.subjects.asked(number), load_part(drawing.part(out, number))
        if part.failed:
            continue
        found = metric.measure(asked, part.pictures_NCHW)
        pictures += [
            {
                "group": f"{drawing.subjects.seed}/{number}",
                "prompt": asked.wanted.text,
                "skill": asked.skill.value,
                "sample": sample,
                "values": {name: values[sample] for name, values in found.items()},
            }
            for sample in range(len(part.pictures_NCHW))
        ]
    return {"pictures": pictures}


def failures(drawings: Sequence[DrawingCell], out: Path) -> int:
    """Subjects that a rival could not draw."""
    return sum(load_part(path).failed != "" for one in drawings for path in one.parts(out))


def seconds_to_first_picture(drawing: DrawingCell, out: Path) -> list[float]:
    """Of each subject that was drawn."""
    parts = [load_part(path) for path in drawing.parts(out)]
    return [part.first_picture_seconds for part in parts if not part.failed]


def drawing_seconds(drawings: Sequence[DrawingCell], out: Path) -> float:
    """One core's seconds of preparing and drawing, of what there is."""
    parts = [load_part(path) for one in drawings for path in one.parts(out)]
    return sum(part.prepare_seconds + part.draw_seconds for part in parts)
