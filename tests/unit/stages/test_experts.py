"""Every captioned cluster gets an expert or a reason, once, however often the work is interrupted."""

import hashlib
import io
import json
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load as load_tensors

from suti.core import ids, keys
from suti.core.errors import ExitCode
from suti.core.records import CandidateRow, DropRow, LossRow, PictureRow, Stage
from suti.core.seeds import derive_seed
from suti.infra.ledger import NotCommitted
from suti.infra.pictures import read_picture
from suti.infra.tombstones import Tombstone, add_tombstone
from suti.ml.experts.recipe import ExpertRecipe
from suti.stages.progress import Preempted
from tests.unit.stages.expert_shards import (
    TINY,
    captioned_run,
    content,
    rows,
    scratch,
    twin_of,
    work,
    work_until_killed,
)
from tests.unit.stages.shards import Run, open_run


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return captioned_run(tmp_path / "whole")


def test_every_cluster_gets_its_candidates_with_seeds_from_what_they_are_for(run: Run) -> None:
    commit = work(run)

    assert commit.counts == {"items_in": 3, "items_out": 3, "dropped": 0, "candidates_out": 12}
    candidates = rows(run, commit, "candidates.parquet", CandidateRow)
    tar = run.ledger.read(commit.part("candidates.tar"))
    assert len({row.candidate_id for row in candidates}) == 12
    assert {row.cluster_id for row in candidates} == set(run.clusters)
    for row in candidates:
        assert row.candidate_id == ids.candidate_id(row.cluster_id, row.prompt_id, row.sample)
        assert row.seed == derive_seed(run.spec.seed, "experts", row.cluster_id, row.prompt_id, row.sample)
        picture = Image.open(io.BytesIO(read_picture(tar, row.offset, row.size_bytes)))
        assert (picture.format, picture.mode, picture.size) == ("PNG", "RGB", (16, 16))
        assert hashlib.sha256(picture.tobytes()).hexdigest() == row.pixels_sha256
    losses = rows(run, commit, "losses.parquet", LossRow)
    assert [row.step for row in losses] == [1, 2, 3] * 3
    assert scratch(run) == []  # nothing is left of the unfinished work


def test_the_same_run_done_twice_has_the_same_bytes(run: Run, tmp_path: Path) -> None:
    twin = twin_of(run, tmp_path / "twin")

    assert content(work(run)) == content(work(twin))


def test_a_shard_that_was_asked_to_stop_goes_on_from_its_finished_experts(run: Run, tmp_path: Path) -> None:
    twin = twin_of(run, tmp_path / "twin")
    reported: list[str] = []

    with pytest.raises(Preempted) as stopped:
        work(
            run, progress=lambda done, _total, note: reported.append(f"{done} {note}"), stopping=lambda: _ends(reported)
        )
    assert stopped.value.exit_code is ExitCode.TERMINATED
    assert len(scratch(run)) == 2
    again: list[str] = []
    commit = work(run, progress=lambda _done, _total, note: again.append(note))

    assert sum(note.startswith("tuning 3/3") for note in again) == 1  # one expert was left to do
    assert content(commit) == content(work(twin))


def _ends(reported: list[str]) -> bool:
    return any(line.startswith("2 ") and "tuning" in line for line in reported)  # in the middle of the third


def test_a_shard_killed_in_the_middle_ends_with_the_same_content(run: Run, tmp_path: Path) -> None:
    twin = twin_of(run, tmp_path / "twin")
    work_until_killed(run, tmp_path / "whole", at="1 ")  # the first expert is marked, the second begun
    assert run.ledger.find(Stage.EXPERTS, 0) is None
    assert len(scratch(run)) >= 1

    assert content(work(run)) == content(work(twin))


def test_a_mark_that_the_store_changed_is_made_anew(run: Run, tmp_path: Path) -> None:
    twin = twin_of(run, tmp_path / "twin")
    with pytest.raises(Preempted):
        work(run, stopping=lambda: bool(scratch(run)))
    (mark,) = scratch(run)
    key = keys.scratch(run.spec.run_id, Stage.EXPERTS, 0, mark)
    data = bytearray(run.ledger.store.get(key))
    data[600:620] = bytes(20)
    run.ledger.store.put(key, bytes(data))

    assert content(work(run)) == content(work(twin))


def test_an_expert_that_diverges_is_a_drop_and_the_shard_goes_on(tmp_path: Path) -> None:
    hot = TINY.model_copy(update={"optimizer": "adamw", "learning_rate": 1e30})
    run = captioned_run(tmp_path, recipe=hot, clusters=2)

    commit = work(run)

    assert commit.counts == {"items_in": 2, "items_out": 0, "dropped": 2, "candidates_out": 0}
    drops = rows(run, commit, "drops.parquet", DropRow)
    assert [(row.kind, row.reason) for row in drops] == [("cluster", "EXPERT_DIVERGED")] * 2
    assert {row.id for row in drops} == set(run.clusters)


def test_a_tombstoned_page_costs_its_expert_even_after_it_was_tuned(run: Run) -> None:
    with pytest.raises(Preempted):
        work(run, stopping=lambda: len(scratch(run)) == 2)
    add_tombstone(run.ledger.store, Tombstone.of(urls=["https://shop.example/0"]))

    commit = work(run)

    assert commit.counts["dropped"] == 1
    assert run.clusters[0] not in {row.cluster_id for row in rows(run, commit, "candidates.parquet", CandidateRow)}
    drops = rows(run, commit, "drops.parquet", DropRow)
    assert sorted(row.reason for row in drops) == ["TOMBSTONED"] * 3 + ["TOO_FEW_ALLOWED"]


def test_a_changed_picture_drops_its_cluster_alone(run: Run) -> None:
    grouping = run.ledger.get(Stage.GROUPING, 0)
    selection = run.ledger.get(Stage.SELECTION, 0)
    hurt = rows(run, selection, "clusters.parquet", PictureRow)[0]
    key = grouping.part(hurt.part).key
    tar = bytearray(run.ledger.store.get(key))
    tar[hurt.offset + 40 : hurt.offset + 60] = bytes(20)
    run.ledger.store.put(key, bytes(tar))

    commit = work(run)

    assert [(row.id, row.reason) for row in rows(run, commit, "drops.parquet", DropRow)] == [
        (hurt.cluster_id, "PICTURE_CHANGED")
    ]
    assert commit.counts["items_out"] == 2


def test_adapters_are_kept_as_folders_that_peft_reads(tmp_path: Path) -> None:
    recipe = ExpertRecipe.model_validate(TINY.model_dump() | {"method": "lora", "keep_experts": "lora", "lora_rank": 2})
    run = captioned_run(tmp_path, recipe=recipe, clusters=2)
    with pytest.raises(Preempted):
        work(run, stopping=lambda: any(name.endswith(".tar") for name in scratch(run)))

    commit = work(run)

    for cluster in run.clusters:
        config = json.loads(run.ledger.read(commit.part(f"experts/{cluster}/adapter_config.json")))
        tensors = load_tensors(run.ledger.read(commit.part(f"experts/{cluster}/adapter_model.safetensors")))
        assert (config["peft_type"], config["r"]) == ("LORA", 2)
        assert any("lora_A" in name for name in tensors)
        assert all(bool(torch.isfinite(value).all()) for value in tensors.values())
    assert scratch(run) == []


def test_a_shard_without_clusters_commits_empty_tables(tmp_path: Path) -> None:
    run = captioned_run(tmp_path, clusters=1, prompts=0)

    commit = work(run)

    assert commit.counts == {"items_in": 0, "items_out": 0, "dropped": 0, "candidates_out": 0}


def test_captions_that_are_not_written_yet_are_waited_for(tmp_path: Path) -> None:
    run = open_run(tmp_path)

    with pytest.raises(NotCommitted):
        work(run)
