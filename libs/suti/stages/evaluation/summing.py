"""An evaluation's end: all rows in one table, and the totals beside it."""

import json

from suti.infra.tables import to_parquet
from suti.stages.evaluation.places import ROWS, TOTALS
from suti.stages.evaluation.rows import EvaluationRow
from suti.stages.evaluation.totals import Total, totals
from suti.stages.evaluation.work import EvaluationFolder


def sum_up(folder: EvaluationFolder) -> list[Total]:
    """The totals of all rows that there are; `rows.parquet` and `totals.json` are written anew."""
    rows = folder.all_rows()
    found = totals(rows)
    folder.store.put(f"{folder.prefix}{ROWS}", to_parquet(rows, EvaluationRow))
    told = json.dumps([total.model_dump() for total in found], indent=1) + "\n"
    folder.store.put(f"{folder.prefix}{TOTALS}", told.encode())
    return found
