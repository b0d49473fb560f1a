import hashlib
import random
from collections import defaultdict
from typing import Any

import numpy as np
import pytest

from suti.core import ids
from suti.ml.clusters.engine import daft
from suti.ml.clusters.grouping import group_pairs
from suti.ml.clusters.page_verdicts import Verdict, judge_page
from suti.ml.clusters.recipe import GroupingRecipe

RECIPE = GroupingRecipe(shard_clusters=7)


def _pairs(count: int, *, seed: int) -> list[dict[str, Any]]:
    """Random pairs of few pages, so that equal and near pictures meet; pages in several spellings."""
    rng = random.Random(seed)
    hashes = [rng.getrandbits(64) for _ in range(40)]
    pairs: list[dict[str, Any]] = []
    for _ in range(count):
        picture = rng.randrange(40)
        flipped = rng.choice([0, 0, 0, 1, 3])
        name = hashlib.sha256(f"{picture}/{flipped}".encode()).hexdigest()
        page = rng.randrange(count // 6)
        pairs.append(
            {
                "page_url": rng.choice([f"https://s.example/{page}", f"HTTPS://S.example:443/{page}#x"]),
                "picture_url": f"https://cdn.example/{rng.randrange(3)}/{name}.png",
                "picture_id": name,
                "phash": hashes[picture] ^ flipped,
                "alt_text": rng.choice(["", "a thing"]),
                "width_px": picture,
            }
        )
    return pairs


def _grouped(pairs: list[dict[str, Any]], recipe: GroupingRecipe = RECIPE) -> list[dict[str, Any]]:
    columns = {name: [pair[name] for pair in pairs] for name in pairs[0]}
    table = daft.from_pydict(columns).with_column("phash", daft.col("phash").cast(daft.DataType.uint64()))
    rows = group_pairs(table, recipe).to_pylist()
    return sorted(rows, key=lambda row: (row["cluster_id"], row["picture_id"]))


def _by_hand(pairs: list[dict[str, Any]], recipe: GroupingRecipe) -> list[tuple[str, str, int]]:
    """(cluster, picture, shard) in plain Python."""
    pages: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for pair in pairs:
        pages[ids.canonical_url(pair["page_url"])].append(pair)
    clusters: dict[str, list[str]] = {}
    for url, rows in pages.items():
        first: dict[str, int] = {row["picture_id"]: row["phash"] for row in rows}
        kept = [
            name
            for name, phash in first.items()
            if not any(
                other < name and (phash ^ first[other]).bit_count() <= recipe.near_duplicate_bits for other in first
            )
        ]
        if len(kept) >= recipe.min_pictures:
            clusters[ids.cluster_id(url, kept)] = kept
    return sorted(
        (name, picture, rank // recipe.shard_clusters)
        for rank, name in enumerate(sorted(clusters))
        for picture in clusters[name]
    )


def test_grouping_is_what_plain_python_makes_of_it() -> None:
    pairs = _pairs(600, seed=1)

    grouped = _grouped(pairs)

    by_hand = _by_hand(pairs, RECIPE)
    assert len({shard for _, _, shard in by_hand}) > 2
    assert [(row["cluster_id"], row["picture_id"], row["shard"]) for row in grouped] == by_hand
    assert all(row["page_url"].startswith("https://s.example/") for row in grouped)


def test_the_order_of_pairs_decides_nothing() -> None:
    pairs = _pairs(300, seed=2)
    shuffled = random.Random(0).sample(pairs, len(pairs))

    assert _grouped(pairs) == _grouped(shuffled)


def test_further_columns_stay_with_their_pair() -> None:
    pairs = _pairs(120, seed=3)
    widths = {pair["picture_id"]: pair["width_px"] for pair in pairs}

    assert all(row["width_px"] == widths[row["picture_id"]] for row in _grouped(pairs))


def test_a_crawl_of_small_pages_has_no_cluster() -> None:
    assert _grouped(_pairs(60, seed=4), GroupingRecipe(min_pictures=50)) == []


@pytest.mark.parametrize("bits", [0, 64])
def test_the_limit_may_be_any_number_of_bits(bits: int) -> None:
    hashes = np.array([0, 1, 2**64 - 1], dtype=np.uint64)

    verdicts = judge_page(["a", "b", "c"], hashes, [""] * 3, [""] * 3, near_bits=bits)

    expected = [Verdict.KEPT] * 3 if bits == 0 else [Verdict.KEPT, Verdict.DUPLICATE_NEAR, Verdict.DUPLICATE_NEAR]
    assert verdicts.tolist() == expected
