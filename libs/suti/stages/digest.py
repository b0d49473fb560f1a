"""What a data set is, in 64 hex digits: equal runs end with equal digests."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class JudgedCandidate:
    """One row of a data set: a candidate, what the apprentice is shown beside it, and whether it is kept."""

    candidate_id: str
    pixels_sha256: str
    prompt: str
    demonstrations: tuple[tuple[str, str], ...]  # (SHA-256 of pixels, text) of every picture of its cluster
    kept: bool


def dataset_digest(rows: Iterable[JudgedCandidate]) -> str:
    """SHA-256 (hex) over the sorted rows of (candidate id, pixels, texts, kept).

    A row is one line: a JSON array without spaces, in UTF-8, demonstrations sorted. No times, fences, hosts, run id
    or raw floats go in, and neither does the order in which rows come.
    """
    total = hashlib.sha256()
    for line in sorted(_line(row) for row in rows):
        total.update(line)
    return total.hexdigest()


def _line(row: JudgedCandidate) -> bytes:
    demonstrations = [list(pair) for pair in sorted(row.demonstrations)]
    fields = [row.candidate_id, row.pixels_sha256, row.prompt, demonstrations, row.kept]
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode("utf-8") + b"\n"
