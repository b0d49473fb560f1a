from pathlib import Path

import pytest
from PIL import Image

from suti.core.records import CandidateRow, DropRow, ExampleRow, PictureRow, PromptRow, Stage, VerdictRow
from suti.infra.ledger import Commit, Ledger, NotCommitted
from suti.infra.tables import from_parquet
from suti.infra.tombstones import Tombstone, add_tombstone
from suti.ml.clip.embeddings import PART, embeddings_from_bytes
from suti.ml.quality.recipe import FilterRecipe
from suti.stages import captioning
from suti.stages.filtering import replay, run_shard
from suti.stages.shard_pictures import PictureChanged, ShardPictures
from tests.unit.stages.shards import Run, cosine, draw, noise, open_run, select

EASY = FilterRecipe(min_gain=-2.0, max_copy_similarity=1.0, min_copy_difference=0.02, batch_pictures=4)


def _with(run: Run, recipe: FilterRecipe) -> Run:
    return Run(run.ledger, run.spec.model_copy(update={"filtering": recipe}), run.models, run.clusters)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    run = open_run(tmp_path)
    select(run, [["", "", ""], ["", "", "", ""]])
    captioning.run_shard(run.ledger, run.spec, run.models, 0)
    return _with(run, EASY)


def _verdicts(ledger: Ledger, commit: Commit) -> list[VerdictRow]:
    return from_parquet(ledger.read(commit.part("verdicts.parquet")), VerdictRow)


def _pictures(run: Run) -> list[tuple[str, Image.Image]]:
    """Six good candidates, a copy of a demonstration and two failures."""
    one, two = run.clusters
    good = [(cluster, noise(1000 + index)) for index, cluster in enumerate([one, two, one, two, one, two])]
    failed = [(one, Image.new("RGB", (16, 16), colour)) for colour in ("black", "gray")]
    return [*good, (two, noise(101)), *failed]


def test_every_candidate_gets_one_verdict_and_the_kept_are_examples(run: Run) -> None:
    draw(run, _pictures(run))

    commit = run_shard(run.ledger, run.spec, run.models, 0)

    reasons = sorted(row.reason for row in _verdicts(run.ledger, commit))
    assert reasons == ["COPY_OF_DEMONSTRATION", *["KEPT"] * 6, *["PICTURE_FAILED"] * 2]
    examples = from_parquet(run.ledger.read(commit.part("examples.parquet")), ExampleRow)
    assert {row.candidate_id for row in examples} == {
        row.candidate_id for row in _verdicts(run.ledger, commit) if row.kept
    }
    assert commit.counts == {
        "items_in": 9,
        "items_out": 6,
        "dropped": 3,
        "kept": 6,
        "copy_of_demonstration": 1,
        "picture_failed": 2,
    }


def test_the_gain_is_equation_six_of_the_paper(run: Run) -> None:
    draw(run, _pictures(run))
    commit = run_shard(run.ledger, run.spec, run.models, 0)
    clip, ledger = run.models.clip, run.ledger
    prompts = {
        row.prompt_id: row.text
        for row in from_parquet(ledger.read(ledger.get(Stage.CAPTIONING, 0).part("prompts.parquet")), PromptRow)
    }
    sources = from_parquet(ledger.read(ledger.get(Stage.SELECTION, 0).part("clusters.parquet")), PictureRow)
    shown = ShardPictures(ledger, ledger.get(Stage.GROUPING, 0))
    drawn = ShardPictures(ledger, ledger.get(Stage.EXPERTS, 0))
    candidates = from_parquet(ledger.read(drawn.commit.part("candidates.parquet")), CandidateRow)
    by_id = {row.candidate_id: drawn.open(row) for row in candidates}

    for verdict in _verdicts(ledger, commit):
        if verdict.reason == "PICTURE_FAILED":
            continue
        text = prompts[verdict.prompt_id]
        demos = [shown.open(row) for row in sources if row.cluster_id == verdict.cluster_id]
        fit = cosine(clip, by_id[verdict.candidate_id], text)
        assert verdict.prompt_similarity == pytest.approx(fit, abs=1e-5)
        assert verdict.gain == pytest.approx(fit - max(cosine(clip, demo, text) for demo in demos), abs=1e-5)


def test_each_candidate_is_encoded_once_and_demonstrations_never(run: Run) -> None:
    draw(run, _pictures(run))
    before = run.models.clip.pictures_encoded

    commit = run_shard(run.ledger, run.spec, run.models, 0)

    assert run.models.clip.pictures_encoded - before == 7  # nine candidates, of which two show nothing
    assert len(embeddings_from_bytes(run.ledger.read(commit.part(PART)))) == 7


def test_scores_do_not_depend_on_what_else_is_in_the_shard(run: Run, tmp_path: Path) -> None:
    pictures = _pictures(run)
    draw(run, pictures)
    whole = {row.candidate_id: row for row in _verdicts(run.ledger, run_shard(run.ledger, run.spec, run.models, 0))}

    other = open_run(tmp_path / "other")
    select(other, [["", "", ""], ["", "", "", ""]])
    captioning.run_shard(other.ledger, other.spec, other.models, 0)
    other = _with(other, EASY)
    draw(other, pictures[:3])
    part = _verdicts(other.ledger, run_shard(other.ledger, other.spec, other.models, 0))

    assert len(part) == 3
    assert all(whole[row.candidate_id] == row for row in part)


def test_a_replay_at_the_same_thresholds_gives_the_same_verdicts_without_a_model(run: Run) -> None:
    draw(run, _pictures(run))
    first = run_shard(run.ledger, run.spec, run.models, 0)
    child = Ledger(run.ledger.store, "01HZZZZZZZZZZZZZZZZZZZZZZZ")

    again = replay(child, run.spec, 0, parent=run.ledger)

    assert {part.name: part.sha256 for part in again.parts} == {part.name: part.sha256 for part in first.parts}
    assert again.counts == first.counts
    assert again.details["parent_run_id"] == run.ledger.run_id


def test_a_replay_at_another_threshold_keeps_exactly_those_above_it(run: Run) -> None:
    draw(run, _pictures(run))
    first = _verdicts(run.ledger, run_shard(run.ledger, run.spec, run.models, 0))
    gains = sorted(row.gain for row in first if row.kept)
    stricter = _with(run, EASY.model_copy(update={"min_gain": gains[2]}))
    child = Ledger(run.ledger.store, "01HZZZZZZZZZZZZZZZZZZZZZZZ")

    again = _verdicts(child, replay(child, stricter.spec, 0, parent=run.ledger))

    assert {row.candidate_id for row in again if row.kept} == {
        row.candidate_id for row in first if row.kept and row.gain > gains[2]
    }
    assert sum(row.reason == "PICTURE_FAILED" for row in again) == 2
    assert {row.policy_digest for row in again}.isdisjoint({row.policy_digest for row in first})


def test_a_tombstone_takes_all_that_its_expert_drew(run: Run) -> None:
    draw(run, _pictures(run))
    add_tombstone(run.ledger.store, Tombstone.of(urls=["https://shop.example/0"]))

    commit = run_shard(run.ledger, run.spec, run.models, 0)

    assert {row.cluster_id for row in _verdicts(run.ledger, commit)} == {run.clusters[1]}
    drops = from_parquet(run.ledger.read(commit.part("drops.parquet")), DropRow)
    assert [row.reason for row in drops] == ["TOMBSTONED"] * 5
    assert commit.counts["items_in"] == 9 == commit.counts["items_out"] + commit.counts["dropped"]


def test_a_shard_without_candidates_commits_empty_tables(run: Run) -> None:
    draw(run, [])

    commit = run_shard(run.ledger, run.spec, run.models, 0)

    assert commit.counts == {"items_in": 0, "items_out": 0, "dropped": 0}
    assert _verdicts(run.ledger, commit) == []


def test_candidates_that_are_not_drawn_yet_are_waited_for(run: Run) -> None:
    with pytest.raises(NotCommitted):
        run_shard(run.ledger, run.spec, run.models, 0)
    with pytest.raises(NotCommitted):
        replay(run.ledger, run.spec, 0, parent=run.ledger)


def test_bytes_that_the_store_changed_are_noticed(run: Run) -> None:
    commit = draw(run, _pictures(run))
    key = commit.part("candidates.tar").key
    tar = bytearray(run.ledger.store.get(key))
    tar[600:700] = bytes(100)
    run.ledger.store.put(key, bytes(tar))

    with pytest.raises(PictureChanged, match="store lost bytes"):
        run_shard(run.ledger, run.spec, run.models, 0)
