"""Grouping pairs by page, against pandas, polars and duckdb, and how it grows."""

import json
import math
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bench.measure import Ratio, of_ratios

_ROWS = 5_000_000
_SMALL = 500_000
_PEERS = ("pandas", "polars", "duckdb")
_REPEATS = 5


def run() -> list[Ratio]:
    """Rows per second ÷ each peer's, the growth exponent, and peak memory ÷ each peer's."""
    with tempfile.TemporaryDirectory() as folder:
        large, small = Path(folder) / "large.parquet", Path(folder) / "small.parquet"
        write_pairs(large, _ROWS)
        write_pairs(small, _SMALL)
        rounds: list[dict[str, dict[str, float]]] = []
        smalls: list[dict[str, float]] = []
        for _ in range(_REPEATS):
            smalls.append(_once("suti", small))
            rounds.append({engine: _once(engine, large) for engine in ("suti", *_PEERS)})
            _check(rounds[-1])
    results: list[Ratio] = []
    for peer in _PEERS:
        speed = [found[peer]["seconds"] / found["suti"]["seconds"] for found in rounds]
        memory = [found["suti"]["peak_bytes"] / found[peer]["peak_bytes"] for found in rounds]
        results.append(of_ratios(f"grouping 5 M pairs, rows/s / {peer}", speed))
        results.append(of_ratios(f"grouping 5 M pairs, peak memory / {peer}", memory))
    growth = [
        math.log(found["suti"]["seconds"] / little["seconds"]) / math.log(_ROWS / _SMALL)
        for found, little in zip(rounds, smalls, strict=True)
    ]
    results.append(of_ratios("grouping, growth exponent from 0.5 to 5 million pairs", growth, at_most=1.1))
    return results


def _check(found: dict[str, dict[str, float]]) -> None:
    """Near duplicates are Suti's own rule: chance makes a handful of them, and all else must be equal."""
    counts = {engine: facts["clusters"] for engine, facts in found.items()}
    if len({counts[peer] for peer in _PEERS}) != 1 or abs(counts["suti"] / counts["polars"] - 1) > 1e-3:
        raise AssertionError(f"the engines do not find the same clusters: {counts}")


def write_pairs(path: Path, rows: int) -> None:
    """Pairs as wide as the web's (about 150 bytes): six to a page on average, one in fifty a duplicate."""
    random = np.random.default_rng(0)
    page = random.integers(0, rows // 6, rows)
    picture = np.arange(rows)
    copies = random.random(rows) < 0.02
    picture[copies] = np.roll(picture, 1)[copies]
    page[copies] = np.roll(page, 1)[copies]
    columns = {
        "page_url": pa.array([f"https://shop-{p % 9973}.example/catalogue/{p:08d}.html" for p in page.tolist()]),
        "picture_url": pa.array([f"https://img.example/{p:08d}.jpg" for p in picture.tolist()]),
        "picture_id": pa.array([f"{p * 2654435761 % 2**64:064x}" for p in picture.tolist()]),
        "phash": pa.array(random.integers(0, 2**63, rows).astype(np.uint64)[picture]),  # equal pictures, equal hashes
        "alt_text": pa.array([f"picture {p % 1000}" for p in picture.tolist()]),
    }
    pq.write_table(pa.table(columns), path)


def _once(engine: str, path: Path) -> dict[str, float]:
    command = [sys.executable, "-m", "bench.grouping_work", engine, str(path)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603 - our own command
    return json.loads(done.stdout.splitlines()[-1])
