"""One grouping of one Parquet file by one engine, in a process of its own; prints seconds, peak memory and clusters.

All engines drop exact duplicates within a page and pages with fewer than three pictures, and number the rest. Suti also
takes near duplicates out and names each cluster by content; the others are spared that.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any


def with_suti(path: str) -> int:
    """Suti's own program."""
    from suti.ml.clusters.engine import daft  # noqa: PLC0415 - each engine is loaded where it is measured
    from suti.ml.clusters.grouping import group_pairs  # noqa: PLC0415
    from suti.ml.clusters.recipe import GroupingRecipe  # noqa: PLC0415

    kept = group_pairs(daft.read_parquet(path), GroupingRecipe())
    return int(kept.select("cluster_id").distinct().count_rows())


def with_pandas(path: str) -> int:
    """The same rules in pandas."""
    import pandas  # noqa: PLC0415

    pairs: Any = pandas.read_parquet(path).drop_duplicates(["page_url", "picture_id"])
    kept = pairs[pairs.groupby("page_url")["picture_id"].transform("size") >= 3]
    return int(kept.sort_values("page_url").groupby("page_url", sort=False).ngroup().max()) + 1


def with_polars(path: str) -> int:
    """The same rules in polars."""
    import polars  # noqa: PLC0415

    pairs = polars.scan_parquet(path).unique(["page_url", "picture_id"])
    kept = pairs.filter(polars.len().over("page_url") >= 3).with_columns(
        polars.col("page_url").rank("dense").alias("cluster")
    )
    return int(kept.collect()["cluster"].max())  # pyright: ignore[reportArgumentType]  # a number, whatever its stub says


def with_duckdb(path: str) -> int:
    """The same rules in duckdb."""
    import duckdb  # noqa: PLC0415

    query = f"""
        create table kept as
        select *, dense_rank() over (order by page_url) as cluster
        from (select *, count(*) over (partition by page_url) as pictures
              from (select distinct on (page_url, picture_id) * from '{path}'))
        where pictures >= 3
    """  # noqa: S608 - our own file
    connection = duckdb.connect()
    connection.execute(query)
    found = connection.execute("select max(cluster) from kept").fetchone()
    return int(found[0]) if found else 0


ENGINES = {"suti": with_suti, "pandas": with_pandas, "polars": with_polars, "duckdb": with_duckdb}

if __name__ == "__main__":
    start = time.perf_counter()
    clusters = ENGINES[sys.argv[1]](sys.argv[2])
    taken = time.perf_counter() - start
    # Not getrusage: its maximum is handed down from the process that started this one.
    status = Path("/proc/self/status").read_text(encoding="ascii")
    peak_bytes = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) * 1024
    print(json.dumps({"seconds": taken, "peak_bytes": peak_bytes, "clusters": clusters}))
