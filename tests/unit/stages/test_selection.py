import hashlib
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

from suti.core import ids
from suti.core.records import ClusterScoreRow, DropRow, PictureRow, Stage
from suti.infra.ledger import Commit, NotCommitted
from suti.infra.pictures import PictureTarWriter
from suti.infra.tables import from_parquet, to_parquet
from suti.infra.tombstones import Tombstone, add_tombstone
from suti.ml.clip.embeddings import PART, embeddings_from_bytes
from suti.ml.clusters.recipe import SelectionRecipe
from suti.stages.selection import run_shard
from tests.unit.stages.shards import Run, noise, open_run, png

WIDE = SelectionRecipe(similarity_low=-1.0, similarity_high=1.0, batch_pictures=4)


def _run(folder: Path, recipe: SelectionRecipe = WIDE) -> Run:
    run = open_run(folder)
    return replace(run, spec=run.spec.model_copy(update={"selection": recipe}))


def _group(run: Run, pages: list[list[int]], *, shard: int = 0) -> list[list[PictureRow]]:
    """Commit grouping: a cluster per page, a picture per seed; pages of the same seeds differ in their address."""
    tar = PictureTarWriter()
    clusters: list[list[PictureRow]] = []
    for number, seeds in enumerate(pages):
        page = f"https://shop.example/{number}"
        pictures = {ids.picture_id(str(seed).encode()): noise(seed) for seed in seeds}
        cluster = ids.cluster_id(page, pictures)
        clusters.append([_row(tar, cluster, page, name, picture) for name, picture in pictures.items()])
    draft = run.ledger.draft(Stage.GROUPING, 0)
    draft.write(f"pictures-{shard:06d}.tar", tar.finish())
    rows = [row for cluster in clusters for row in cluster]
    draft.write(f"clusters-{shard:06d}.parquet", to_parquet(rows, PictureRow))
    draft.commit(counts={}, seconds=0)
    return clusters


def _row(tar: PictureTarWriter, cluster: str, page: str, name: str, picture: Image.Image) -> PictureRow:
    offset, size_bytes = tar.add(f"{name}.png", png(picture))
    return PictureRow(
        picture_id=name,
        cluster_id=cluster,
        page_url=page,
        picture_url=f"{page}/{name[:8]}.png",
        alt_text="",
        fetched_at="",
        licence="",
        width_px=picture.width,
        height_px=picture.height,
        pixels_sha256=hashlib.sha256(picture.tobytes()).hexdigest(),
        part="pictures-000000.tar",
        offset=offset,
        size_bytes=size_bytes,
    )


def _kept(run: Run, commit: Commit) -> list[PictureRow]:
    return from_parquet(run.ledger.read(commit.part("clusters.parquet")), PictureRow)


def _drops(run: Run, commit: Commit) -> list[DropRow]:
    return from_parquet(run.ledger.read(commit.part("drops.parquet")), DropRow)


def _scores(run: Run, commit: Commit) -> dict[str, ClusterScoreRow]:
    rows = from_parquet(run.ledger.read(commit.part("scores.parquet")), ClusterScoreRow)
    return {row.cluster_id: row for row in rows}


def test_clusters_within_the_limits_go_on_with_their_embeddings(tmp_path: Path) -> None:
    run = _run(tmp_path)
    clusters = _group(run, [[1, 2, 3], [4, 5, 6, 7]])

    commit = run_shard(run.ledger, run.spec, run.models, 0)

    rows = [row for cluster in clusters for row in cluster]
    assert _kept(run, commit) == sorted(rows, key=lambda row: (row.cluster_id, row.picture_id))
    embeddings = embeddings_from_bytes(run.ledger.read(commit.part(PART)))
    assert set(embeddings) == {row.picture_id for row in rows}
    name = ids.picture_id(b"1")
    alone = run.models.clip.encode_pictures([noise(1)], batch=4)
    assert torch.equal(embeddings[name], alone[0])
    assert commit.counts == {"items_in": 2, "items_out": 2, "dropped": 0, "pictures_in": 7, "pictures_out": 7}


def test_a_clusters_score_is_the_mean_over_its_pairs_and_decides(tmp_path: Path) -> None:
    run = _run(tmp_path / "wide")
    clusters = _group(run, [[1, 2, 3], [4, 5, 6]])
    first = _scores(run, run_shard(run.ledger, run.spec, run.models, 0))
    rows_KD = run.models.clip.encode_pictures([noise(seed) for seed in (1, 2, 3)], batch=4)
    a, b, c = rows_KD.double()
    by_hand = float(a @ b + a @ c + b @ c) / 3
    low, high = sorted((first[cluster[0].cluster_id].similarity or 0.0) for cluster in clusters)
    between = SelectionRecipe(similarity_low=(low + high) / 2, similarity_high=1.0)

    strict = _run(tmp_path / "strict", between)
    _group(strict, [[1, 2, 3], [4, 5, 6]])
    commit = run_shard(strict.ledger, strict.spec, strict.models, 0)

    assert first[clusters[0][0].cluster_id].similarity == pytest.approx(by_hand, abs=1e-5)
    assert low < high
    assert commit.counts["items_out"] == 1
    assert commit.counts["cluster_too_dissimilar"] == 1
    drop = next(row for row in _drops(strict, commit) if row.kind == "cluster")
    assert drop.score == low
    assert {row.reason for row in _scores(strict, commit).values()} == {"KEPT", "CLUSTER_TOO_DISSIMILAR"}
    kept = {row.picture_id for row in _kept(strict, commit)}
    assert set(embeddings_from_bytes(strict.ledger.read(commit.part(PART)))) == kept


def test_a_shard_of_which_nothing_stays_commits_empty_tables(tmp_path: Path) -> None:
    run = _run(tmp_path, SelectionRecipe(similarity_low=1.0, similarity_high=1.0))
    _group(run, [[1, 2, 3]])

    commit = run_shard(run.ledger, run.spec, run.models, 0)

    assert _kept(run, commit) == []
    assert embeddings_from_bytes(run.ledger.read(commit.part(PART))) == {}
    assert (commit.counts["items_in"], commit.counts["items_out"], commit.counts["dropped"]) == (1, 0, 1)


def test_a_picture_on_two_pages_is_encoded_once(tmp_path: Path) -> None:
    run = _run(tmp_path)
    _group(run, [[1, 2, 3], [1, 2, 4]])
    before = run.models.clip.pictures_encoded

    run_shard(run.ledger, run.spec, run.models, 0)

    assert run.models.clip.pictures_encoded - before == 4


def test_of_too_many_pictures_those_that_leave_are_told_with_their_score(tmp_path: Path) -> None:
    run = _run(tmp_path, WIDE.model_copy(update={"max_pictures": 3}))
    _group(run, [[1, 2, 3, 4, 5]])

    commit = run_shard(run.ledger, run.spec, run.models, 0)

    drops = _drops(run, commit)
    assert [(row.kind, row.reason) for row in drops] == [("picture", "NOT_AMONG_NEAREST")] * 2
    assert all(row.score is not None for row in drops)
    assert commit.counts["pictures_out"] == 3


def test_what_was_buried_since_grouping_is_subtracted(tmp_path: Path) -> None:
    run = _run(tmp_path)
    clusters = _group(run, [[1, 2, 3, 4], [5, 6, 7], [8, 9, 10]])
    add_tombstone(
        run.ledger.store,
        Tombstone.of(
            picture_ids=[clusters[0][0].picture_id, clusters[1][0].picture_id], urls=[clusters[2][0].page_url]
        ),
    )

    commit = run_shard(run.ledger, run.spec, run.models, 0)

    assert {row.cluster_id for row in _kept(run, commit)} == {clusters[0][0].cluster_id}
    assert len(_kept(run, commit)) == 3
    assert Counter((row.kind, row.reason) for row in _drops(run, commit)) == {
        ("picture", "TOMBSTONED"): 5,
        ("cluster", "CLUSTER_TOO_FEW_AFTER_TOMBSTONES"): 1,
        ("cluster", "TOMBSTONED"): 1,
    }
    assert (commit.counts["items_in"], commit.counts["items_out"], commit.counts["dropped"]) == (3, 1, 2)


def test_a_picture_that_the_store_lost_costs_no_more_than_itself(tmp_path: Path) -> None:
    run = _run(tmp_path)
    clusters = _group(run, [[1, 2, 3, 4]])
    lost = clusters[0][1]
    key = run.ledger.get(Stage.GROUPING, 0).part("pictures-000000.tar").key
    tar = bytearray(run.ledger.store.get(key))
    tar[lost.offset : lost.offset + 40] = bytes(40)
    run.ledger.store.put(key, bytes(tar))

    commit = run_shard(run.ledger, run.spec, run.models, 0)

    assert [(row.id, row.reason) for row in _drops(run, commit)] == [(lost.picture_id, "PICTURE_UNREADABLE")]
    assert commit.counts["pictures_out"] == 3


def test_grouping_is_waited_for(tmp_path: Path) -> None:
    run = _run(tmp_path)

    with pytest.raises(NotCommitted):
        run_shard(run.ledger, run.spec, run.models, 0)
