"""What lies where in an evaluation's folder: a map of it, as `suti.core.keys` is of the store."""

import hashlib
from urllib.parse import quote

PLAN = "evaluation.json"
ROWS = "rows.parquet"
TOTALS = "totals.json"
PARTS = ("drawings/", "rows/", "judged/")


def drawing_key(prefix: str, subject: str, number: int, sample: int) -> str:
    """One drawing: the layout that `--drawings` reads."""
    return f"{prefix}drawings/{_segment(subject)}/{number:02d}/{sample}.png"


def failure_key(prefix: str, subject: str, number: int, sample: int) -> str:
    """Why there is no such drawing, and never will be."""
    return f"{prefix}drawings/{_segment(subject)}/{number:02d}/{sample}.failed.json"


def rows_key(prefix: str, subject: str, shard: str) -> str:
    """The rows of one prompt of one subject, or of its real pictures (`real`)."""
    return f"{prefix}rows/{_segment(subject)}/{shard}.parquet"


def judged_key(prefix: str, subject: str, shard: str, judge_id: str) -> str:
    """What one judge said of them; another's answers lie beside."""
    judge = hashlib.sha256(judge_id.encode()).hexdigest()[:12]
    return f"{prefix}judged/{_segment(subject)}/{shard}-{judge}.parquet"


def _segment(name: str) -> str:
    return quote(name, safe=" ")
