"""What of a demo is worth looking at: its run's pictures, and what the models drew of subjects they never saw."""

from collections.abc import Sequence

from suti.local.demo.contest import Results
from suti.local.demo.draws import Drawn
from suti.report.exhibition import Exhibition, sized
from suti.report.gallery import DrawnRow, Gallery, Shown, SubjectSheet
from suti.report.run_reading import RunReading

_SUBJECTS = 12


def exhibit(run: RunReading, results: Results) -> Gallery:
    """The pictures of a report."""
    exhibition = Exhibition(run)
    return Gallery(
        clusters=exhibition.clusters(),
        candidates=exhibition.candidates(),
        subjects=_subjects(results),
        losses=run.losses(),
    )


def _subjects(results: Results) -> list[SubjectSheet]:
    models = list(results.drawn)
    by_subject: dict[int, list[Drawn]] = {}
    for drawn in results.drawn[models[-1]]:
        by_subject.setdefault(drawn.unseen.number, []).append(drawn)
    return [_subject(rows, models, results) for rows in list(by_subject.values())[:_SUBJECTS]]


def _subject(rows: Sequence[Drawn], models: Sequence[str], results: Results) -> SubjectSheet:
    """The first picture of each model for each prompt: they are of one seed."""
    unseen = rows[0].unseen
    return SubjectSheet(
        name=unseen.name,
        demonstrations=[Shown(sized(demo.png), demo.text) for demo in unseen.demonstrations],
        rows=[
            DrawnRow(
                prompt=row.wanted.text,
                by_model={model: sized(results.drawn[model][row.place].pngs[0]) for model in models},
                identified={model: results.judged[model][row.place][0].answer.identified for model in models},
                overall={model: results.judged[model][row.place][0].answer.overall for model in models},
            )
            for row in rows
        ],
    )
