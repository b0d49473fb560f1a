"""Rows: every figure with its interval, every missing one named."""

import json
from pathlib import Path

from suti.report.facts import Score
from suti.reproduce.rows import as_table, missing_row, score_row, write_rows

_KEYS = {
    "experiment",
    "condition",
    "system",
    "metric",
    "mean",
    "low",
    "high",
    "n",
    "seeds",
    "protocol_id",
    "model_sha256",
}
_NAMES = {"experiment": "experts", "condition": "64 experts", "protocol_id": "toy", "metric": "clip_t"}


def test_rows_are_written_with_every_key(tmp_path: Path) -> None:
    found = score_row(Score(mean=0.5, low=0.4, high=0.6, n=200), **_NAMES, system="suti", seeds=1)
    write_rows([found, missing_row(**_NAMES, system="base")], tmp_path / "results" / "experts.json")

    rows = json.loads((tmp_path / "results" / "experts.json").read_bytes())["rows"]
    assert [set(row) for row in rows] == [_KEYS, _KEYS]
    assert [row["mean"] for row in rows] == [0.5, None]


def test_a_table_says_what_was_not_run() -> None:
    found = score_row(Score(mean=0.5, low=0.4, high=0.6, n=200), **_NAMES, system="suti", seeds=1)
    lines = as_table([found, missing_row(**_NAMES, system="base")], {"clip_t": "CLIP-T"}).splitlines()
    assert lines[0] == "| system | condition | CLIP-T | n |"
    assert lines[2] == "| suti | 64 experts | 0.500 [0.400, 0.600] | 200 |"
    assert lines[3] == "| base | 64 experts | not run | not run |"
