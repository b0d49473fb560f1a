"""The apprentice of a run on a real store: stopped, resumed, trained on what was kept and on nothing else."""

import json
from pathlib import Path

import pytest
import torch

from suti.core import keys
from suti.core.records import LossRow, Stage
from suti.infra.tables import from_parquet
from suti.infra.tombstones import Tombstone, add_tombstone
from suti.ml.apprentice.examples import NoExamples
from suti.ml.apprentice.recipe import ApprenticeRecipe
from suti.ml.diffusion.base import load_base
from suti.ml.model_files import folder_digest
from suti.ml.quality.recipe import FilterRecipe
from suti.ml.subject.files import load_subject_model
from suti.stages import apprentice, captioning, filtering
from suti.stages.apprentice_examples import build_example_set, read_examples
from suti.stages.models import ModelFolders, StageModels
from suti.stages.outcome import weights_sha256
from suti.stages.progress import Preempted
from suti.stages.run_spec import ModelRef, Models, RunSpec
from tests.unit.ml.diffusion.tiny_pipelines import stable_diffusion
from tests.unit.stages.shards import Run, draw, noise, open_run, select
from tests.unit.stages.tiny_base import save_tiny_base

RECIPE = ApprenticeRecipe(
    steps=6,
    optimizer="adamw",
    learning_rate=1e-3,
    batch_subjects=2,
    targets_per_subject=2,
    ema_decay=0.5,
    checkpoint_steps=2,
)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A run whose shard 0 is judged: two clusters, three kept candidates."""
    return judged_run(tmp_path, FilterRecipe(min_gain=-2.0, max_copy_similarity=1.0, min_copy_difference=0.0))


def judged_run(folder: Path, policy: FilterRecipe) -> Run:
    run = open_run(folder)
    base = save_tiny_base(folder / "models" / "base")
    update = {
        "models": Models(base=ModelRef(name="base", sha256=folder_digest(base)), clip=run.spec.models.clip),
        "apprentice": RECIPE,
        "filtering": policy,
    }
    run.spec = run.spec.model_copy(update=update)
    run.models = StageModels(run.spec, ModelFolders([folder / "models"]))
    select(run, [["a red cup", "a cup", "cup"], ["a toy dog", "a dog", "dog"]])
    captioning.run_shard(run.ledger, run.spec, run.models, 0)
    one, other = run.clusters
    draw(run, [(one, noise(900)), (one, noise(901)), (other, noise(902))])
    filtering.run_shard(run.ledger, run.spec, run.models, 0)
    return run


def stopped_after(run: Run, looks: int) -> None:
    """Begin, and be asked to stop before the step of that number."""
    asked = iter([*([False] * looks), True])
    with pytest.raises(Preempted):
        apprentice.run_shard(run.ledger, run.spec, run.models, stopping=lambda: next(asked))


def test_the_apprentice_learns_from_every_kept_example_and_can_be_loaded_from_its_parts(
    run: Run, tmp_path: Path
) -> None:
    commit = apprentice.run_shard(run.ledger, run.spec, run.models)

    assert commit.counts == {"items_in": 3, "items_out": 1, "dropped": 0, "clusters_in": 2, "steps": 6}
    rows = from_parquet(run.ledger.read(commit.part(apprentice.LOSSES)), LossRow)
    assert [row.step for row in rows] == [1, 2, 3, 4, 5, 6]
    assert json.loads(run.ledger.read(commit.part(apprentice.CARD)))["examples"] == 3
    apprentice.materialise_model(run.ledger, commit, tmp_path / "trained")
    trained, start = load_subject_model(tmp_path / "trained"), load_subject_model(tmp_path / "models" / "base")
    before = dict(start.network.named_parameters())
    assert any(not torch.equal(value, before[name]) for name, value in trained.network.named_parameters())


@pytest.mark.parametrize("looks", [1, 3, 5])
def test_a_training_that_was_stopped_ends_with_the_same_weights_and_losses(run: Run, looks: int) -> None:
    stopped_after(run, looks)
    resumed = apprentice.run_shard(run.ledger, run.spec, run.models)
    losses = run.ledger.read(resumed.part(apprentice.LOSSES))
    run.ledger.store.delete(keys.commit(run.spec.run_id, Stage.APPRENTICE, 0))

    whole = apprentice.run_shard(run.ledger, run.spec, run.models)

    assert weights_sha256(resumed) == weights_sha256(whole)
    assert losses == run.ledger.read(whole.part(apprentice.LOSSES))


def test_the_latest_checkpoint_alone_is_kept_and_none_after_the_commit(run: Run) -> None:
    scratch = keys.scratch(run.spec.run_id, Stage.APPRENTICE, 0, "")

    stopped_after(run, 5)
    names = [info.key.rsplit("/", maxsplit=1)[-1] for info in run.ledger.store.list(scratch)]
    apprentice.run_shard(run.ledger, run.spec, run.models)

    assert names == ["000000005.losses.parquet", "000000005.safetensors"]
    assert list(run.ledger.store.list(scratch)) == []


def test_a_checkpoint_that_lost_its_bytes_costs_time_and_nothing_else(run: Run) -> None:
    stopped_after(run, 3)
    scratch = keys.scratch(run.spec.run_id, Stage.APPRENTICE, 0, "")
    state = next(info.key for info in run.ledger.store.list(scratch) if info.key.endswith(".safetensors"))
    run.ledger.store.put(state, b"\x00" * 40)

    commit = apprentice.run_shard(run.ledger, run.spec, run.models)

    assert len(from_parquet(run.ledger.read(commit.part(apprentice.LOSSES)), LossRow)) == 6


def test_nobody_learns_from_a_cluster_that_was_tombstoned_after_the_filter(run: Run) -> None:
    add_tombstone(run.ledger.store, Tombstone.of(urls=["https://shop.example/0"]))

    commit = apprentice.run_shard(run.ledger, run.spec, run.models)

    assert (commit.counts["items_in"], commit.counts["dropped"], commit.counts["clusters_in"]) == (3, 2, 1)


def test_a_run_that_kept_nothing_says_so_and_what_to_do(tmp_path: Path) -> None:
    run = judged_run(tmp_path, FilterRecipe(min_gain=1.9))

    with pytest.raises(NoExamples, match="min_gain"):
        apprentice.run_shard(run.ledger, run.spec, run.models)


def test_a_warm_start_that_the_run_does_not_name_is_asked_for(run: Run) -> None:
    spec: RunSpec = run.spec.model_copy(update={"apprentice": RECIPE.model_copy(update={"start": "warmstart"})})

    with pytest.raises(apprentice.NoWarmStart, match="name one"):
        apprentice.run_shard(run.ledger, spec, run.models)


def test_examples_of_a_latent_base_are_laid_out_in_its_own_space(run: Run, tmp_path: Path) -> None:
    stable_diffusion().save_pretrained(tmp_path / "latent")
    base = load_base(tmp_path / "latent")

    laid = build_example_set(run.ledger.store, run.spec, base, read_examples(run.ledger.store, run.spec))

    assert laid.pictures_PCHW.shape == (9, *base.shape_CHW)
    assert laid.pictures_PCHW.dtype == torch.float32
