"""A shard whose experts are tuned in groups ends as one whose experts are tuned one by one, wherever it was killed."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load as load_tensors

from suti.core import keys
from suti.core.records import CandidateRow, DropRow, LossRow, PictureRow, Stage
from suti.infra.ledger import Commit
from suti.infra.pictures import read_picture
from suti.infra.tombstones import Tombstone, add_tombstone
from suti.ml.experts.recipe import ExpertRecipe
from suti.stages.progress import Preempted
from tests.unit.stages.expert_shards import (
    TINY_TOGETHER,
    captioned_run,
    content,
    rows,
    scratch,
    twin_of,
    work,
    work_until_killed,
)
from tests.unit.stages.shards import Run


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Five clusters: two groups of two and one alone."""
    return captioned_run(tmp_path / "whole", recipe=TINY_TOGETHER, clusters=5)


def one_by_one(run: Run, folder: Path) -> Run:
    twin = twin_of(run, folder)
    recipe = run.spec.experts.model_copy(update={"together": 1})
    return Run(twin.ledger, twin.spec.model_copy(update={"experts": recipe}), twin.models, clusters=run.clusters)


def pixels(run: Run, commit: Commit) -> dict[str, np.ndarray]:
    tar = run.ledger.read(commit.part("candidates.tar"))
    return {
        row.candidate_id: np.asarray(Image.open(io.BytesIO(read_picture(tar, row.offset, row.size_bytes))), np.int16)
        for row in rows(run, commit, "candidates.parquet", CandidateRow)
    }


def test_groups_end_as_one_by_one_but_for_rounding(run: Run, tmp_path: Path) -> None:
    singles = one_by_one(run, tmp_path / "singles")

    together, alone = work(run), work(singles)

    assert together.counts == alone.counts
    assert together.counts["candidates_out"] == 20
    assert [(row.candidate_id, row.seed) for row in rows(run, together, "candidates.parquet", CandidateRow)] == [
        (row.candidate_id, row.seed) for row in rows(singles, alone, "candidates.parquet", CandidateRow)
    ]
    losses, expected = (rows(one, end, "losses.parquet", LossRow) for one, end in ((run, together), (singles, alone)))
    assert [(row.cluster_id, row.step) for row in losses] == [(row.cluster_id, row.step) for row in expected]
    assert [row.loss for row in losses] == pytest.approx([row.loss for row in expected], rel=1e-4)
    drawn, drawn_alone = pixels(run, together), pixels(singles, alone)
    assert max(int(abs(drawn[name] - drawn_alone[name]).max()) for name in drawn) <= 1
    assert scratch(run) == []


def test_the_same_run_done_twice_has_the_same_bytes(run: Run, tmp_path: Path) -> None:
    twin = twin_of(run, tmp_path / "twin")

    assert content(work(run)) == content(work(twin))


def test_a_shard_killed_in_the_middle_repeats_one_group_and_ends_with_the_same_content(
    run: Run, tmp_path: Path
) -> None:
    twin = twin_of(run, tmp_path / "twin")
    work_until_killed(run, tmp_path / "whole", at="2 5 tuning")  # the first group is marked, the second begun
    assert run.ledger.find(Stage.EXPERTS, 0) is None
    assert len(scratch(run)) >= 2
    again: list[str] = []

    commit = work(run, progress=lambda _done, _total, note: again.append(note))

    assert sum(note == "tuning 3/3" for note in again) <= 2  # of three groups
    assert content(commit) == content(work(twin))


def test_a_group_that_is_marked_in_part_is_done_anew_so_that_its_bytes_are_those_of_its_company(
    run: Run, tmp_path: Path
) -> None:
    twin = twin_of(run, tmp_path / "twin")
    with pytest.raises(Preempted):
        work(run, stopping=lambda: len(scratch(run)) == 2)
    run.ledger.store.delete(keys.scratch(run.spec.run_id, Stage.EXPERTS, 0, scratch(run)[0]))
    again: list[str] = []

    commit = work(run, progress=lambda _done, _total, note: again.append(note))

    assert sum(note == "tuning 3/3" for note in again) == 3
    assert content(commit) == content(work(twin))


def test_a_shard_that_is_asked_to_stop_stops_in_the_middle_of_a_group(run: Run, tmp_path: Path) -> None:
    twin = twin_of(run, tmp_path / "twin")
    told: list[str] = []

    with pytest.raises(Preempted):
        work(run, progress=lambda done, _total, note: told.append(f"{done} {note}"), stopping=lambda: _drawing(told))

    assert told[-1].startswith("2 drawing")
    assert len(scratch(run)) == 2
    assert content(work(run)) == content(work(twin))


def _drawing(told: list[str]) -> bool:
    return any(line.startswith("2 drawing") for line in told)  # in the middle of the second group


def test_a_tombstone_costs_its_own_expert_and_no_other(run: Run, tmp_path: Path) -> None:
    twin = twin_of(run, tmp_path / "twin")
    with pytest.raises(Preempted):
        work(run, stopping=lambda: len(scratch(run)) == 2)
    for one in (run, twin):
        add_tombstone(one.ledger.store, Tombstone.of(urls=["https://shop.example/0"]))

    commit = work(run)

    assert (commit.counts["dropped"], commit.counts["items_out"]) == (1, 4)
    assert run.clusters[0] not in {row.cluster_id for row in rows(run, commit, "candidates.parquet", CandidateRow)}
    assert content(commit) == content(work(twin))


def test_a_changed_picture_drops_its_cluster_alone(run: Run) -> None:
    grouping, selection = run.ledger.get(Stage.GROUPING, 0), run.ledger.get(Stage.SELECTION, 0)
    hurt = rows(run, selection, "clusters.parquet", PictureRow)[0]
    key = grouping.part(hurt.part).key
    tar = bytearray(run.ledger.store.get(key))
    tar[hurt.offset + 40 : hurt.offset + 60] = bytes(20)
    run.ledger.store.put(key, bytes(tar))

    commit = work(run)

    assert [(row.id, row.reason) for row in rows(run, commit, "drops.parquet", DropRow)] == [
        (hurt.cluster_id, "PICTURE_CHANGED")
    ]
    assert commit.counts["items_out"] == 4


def test_a_group_that_diverges_is_dropped_expert_by_expert(tmp_path: Path) -> None:
    recipe = TINY_TOGETHER.model_copy(update={"optimizer": "adamw", "learning_rate": 1e30})
    run = captioned_run(tmp_path / "together", recipe=recipe, clusters=3)
    singles = one_by_one(run, tmp_path / "singles")

    commit = work(run)

    drops = rows(run, commit, "drops.parquet", DropRow)
    assert [(row.kind, row.reason) for row in drops] == [("cluster", "EXPERT_DIVERGED")] * 3
    assert drops == rows(singles, work(singles), "drops.parquet", DropRow)


def test_adapters_are_kept_as_folders_that_peft_reads(tmp_path: Path) -> None:
    recipe = ExpertRecipe.model_validate(
        TINY_TOGETHER.model_dump() | {"keep_experts": "lora", "lora_targets": ("attention", "convs")}
    )
    run = captioned_run(tmp_path, recipe=recipe, clusters=3)

    commit = work(run)

    for cluster in run.clusters:
        config = json.loads(run.ledger.read(commit.part(f"experts/{cluster}/adapter_config.json")))
        tensors = load_tensors(run.ledger.read(commit.part(f"experts/{cluster}/adapter_model.safetensors")))
        assert (config["peft_type"], config["r"]) == ("LORA", 2)
        assert any("conv1.lora_A" in name for name in tensors)
        assert all(bool(torch.isfinite(value).all()) for value in tensors.values())
