"""What lies where in an evaluation's folder: a map of it, as `suti.core.keys` is of the store."""

from urllib.parse import quote

PLAN = "evaluation.json"
ROWS = "rows.parquet"
TOTALS = "totals.json"


def drawing_key(prefix: str, subject: str, number: int, sample: int) -> str:
    """One drawing: the layout that `--drawings` reads."""
    return f"{prefix}drawings/{_segment(subject)}/{number:02d}/{sample}.png"


def rows_key(prefix: str, subject: str, shard: str) -> str:
    """The rows of one prompt of one subject, or of its real pictures (`real`)."""
    return f"{prefix}rows/{_segment(subject)}/{shard}.parquet"


def judged_key(prefix: str, subject: str, shard: str) -> str:
    """What a judge said of them."""
    return f"{prefix}judged/{_segment(subject)}/{shard}.parquet"


def _segment(name: str) -> str:
    return quote(name, safe=" ")
