"""The documents of an experiment: rows, a table to read, a figure. Nothing in them is written by hand."""

from collections.abc import Sequence

from suti.reproduce.experiment import Experiment
from suti.reproduce.recipes import said_recipes
from suti.reproduce.rows import Row, as_table, write_rows
from suti.reproduce.sources import Given
from suti.reproduce.work import Work


def write_documents(experiment: Experiment, rows: Sequence[Row], work: Work) -> None:
    """`<name>.json`, `<name>.md` and `<name>.png` in the folder of results."""
    write_rows(rows, work.results / f"{experiment.name}.json")
    (work.results / f"{experiment.name}.png").write_bytes(experiment.figure(rows))
    (work.results / f"{experiment.name}.md").write_text(_page(experiment, rows), encoding="utf-8")


def _page(experiment: Experiment, rows: Sequence[Row]) -> str:
    protocols = "\n".join(f"- `{one}`" for one in dict.fromkeys(row.protocol_id for row in rows))
    return f"""# {experiment.question}

Written by `make reproduce ARGS="--only {experiment.name}{_given(experiment)}"`; the same rows are in
`{experiment.name}.json`.

![{experiment.question}]({experiment.name}.png)

{experiment.about}

`overall` is the share of pictures that show the true one of sixteen subjects as it was asked for (docs/evaluation.md).
In brackets: 95 % bootstrap intervals over subjects, of all seeds together; compared are the same subjects, prompts and
noise, `P above` is the share of resamples in which the first is above overall. Intervals and `P above` say what other
subjects would change, not what training the same model anew would: `trainings` says how many stand behind a line, and
a difference of few may be theirs. Seconds are those of one core, training and drawing; drawings that experiments share
count in each. Protocols (subjects of each seed x prompts x pictures,
references, seeds):

{protocols}

{as_table(rows, experiment.columns, trainings=True)}
{"" if experiment.finding is None else f"{experiment.finding(rows)}\n\n"}## Recipes

Defaults are the values of the rivals' papers, and ours where a paper does not say; in brackets what a value is changed
from.

{said_recipes(experiment.conditions)}
"""


def _given(experiment: Experiment) -> str:
    """How a model from elsewhere got into this page."""
    sources = [drawing.source for one in experiment.conditions for drawing in one.drawings]
    given = next((one for one in sources if isinstance(one, Given)), None)
    return "" if given is None else f" --apprentice FOLDER  # of SHA-256 {given.sha256}"
