"""The report of any run: what its store says, and what may be shown of it."""

import io
from datetime import UTC, datetime

import pytest
from PIL import Image

from suti.core import ids, keys
from suti.core.errors import NotFound
from suti.core.records import CaptionRow, LossRow, Stage
from suti.infra.dead_letters import DeadLetter, DeadLetters
from suti.infra.ledger import Ledger
from suti.infra.tables import from_parquet, to_parquet
from suti.infra.tombstones import Tombstone, add_tombstone
from suti.ml.quality.recipe import FilterRecipe
from suti.report.any_run import tell_run
from suti.stages import filtering
from suti.stages.outcome import RunOutcome
from suti.stages.shards import RunState
from tests.unit.report.conftest import ENDED_AT, put_spec
from tests.unit.stages.shards import Run


def end(run: Run, state: RunState, *, reason: str = "", message: str = "", digests: tuple[str, str] = ("", "")) -> None:
    outcome = RunOutcome(
        state=state,
        reason=reason,
        message=message,
        ended_at=ENDED_AT,
        dataset_digest=digests[0],
        apprentice_sha256=digests[1],
    )
    run.ledger.store.put(keys.run_outcome(run.spec.run_id), outcome.model_dump_json().encode())


def test_every_count_and_every_reason_is_told(judged: Run) -> None:
    report = tell_run(judged.ledger.store, judged.spec.run_id).report

    stage = report.stages["filtering"]
    assert (stage.items_in, stage.items_out, stage.dropped) == (9, 6, 3)
    assert stage.dropped_by_reason == {"PICTURE_FAILED": 2, "COPY_OF_DEMONSTRATION": 1}
    assert (stage.state, stage.shards_committed, stage.shards_total) == ("done", 1, 1)
    assert report.stages["captioning"].items_out == 2
    assert report.recipes["filtering"]["min_gain"] == -2.0
    assert report.models["clip"].name == "clip"


def test_clusters_and_candidates_are_shown_with_texts_gains_and_reasons(judged: Run) -> None:
    told = tell_run(judged.ledger.store, judged.spec.run_id)

    captions = judged.ledger.get(Stage.CAPTIONING, 0)
    texts = {row.text for row in from_parquet(judged.ledger.read(captions.part("captions.parquet")), CaptionRow)}
    assert sorted(len(sheet.pictures) for sheet in told.gallery.clusters) == [3, 4]
    assert {shown.text for sheet in told.gallery.clusters for shown in sheet.pictures} == texts
    kept = [card for card in told.gallery.candidates if card.kept]
    refused = sorted(card.reason for card in told.gallery.candidates if not card.kept)
    assert len(kept) == 6
    assert refused == ["COPY_OF_DEMONSTRATION", "PICTURE_FAILED", "PICTURE_FAILED"]
    assert all(-2 <= card.gain <= 2 for card in kept)
    assert Image.open(io.BytesIO(kept[0].png)).size == (192, 192)
    assert (told.report.sample.shards, told.report.sample.of_shards) == ([0], 1)


def test_of_a_run_that_goes_on_the_stages_so_far_are_told(begun: Run) -> None:
    told = tell_run(begun.ledger.store, begun.spec.run_id)

    assert not told.report.ended
    assert told.report.state == "RUNNING"
    assert told.report.stages["captioning"].state == "running"
    assert told.report.stages["apprentice"].state == "waiting"
    assert told.report.dataset_digest == ""
    assert "a <b>red</b> cup" in {shown.text for sheet in told.gallery.clusters for shown in sheet.pictures}
    assert not told.gallery.candidates


def test_a_run_of_which_nothing_is_done_has_a_report(begun: Run) -> None:
    spec = begun.spec.model_copy(update={"run_id": ids.new_run_id()})
    put_spec(begun.ledger.store, spec)

    told = tell_run(begun.ledger.store, spec.run_id)

    assert told.report.stages["grouping"].state == "running"
    assert told.report.sample.of_shards == 0
    assert not told.gallery.clusters


@pytest.mark.parametrize("state", [RunState.EMPTY, RunState.FAILED, RunState.CANCELLED])
def test_how_a_run_ended_without_an_apprentice_is_told(judged: Run, state: RunState) -> None:
    end(judged, state, reason="NOTHING_LEFT", message="filtering let nothing through")

    report = tell_run(judged.ledger.store, judged.spec.run_id).report

    assert (report.state, report.reason, report.message) == (
        state.value,
        "NOTHING_LEFT",
        "filtering let nothing through",
    )
    assert report.ended
    assert report.seconds == 2.5 * 3600
    assert report.stages["apprentice"].state == "skipped"


def test_digests_and_the_loss_of_a_trained_apprentice_are_told(judged: Run) -> None:
    draft = judged.ledger.draft(Stage.APPRENTICE, 0)
    losses = [LossRow("", step, 1 / step) for step in range(1, 161)]
    draft.write("losses.parquet", to_parquet(losses, LossRow))
    draft.commit(counts={"items_in": 6, "items_out": 1, "dropped": 0}, seconds=3.5)
    end(judged, RunState.SUCCEEDED, digests=("ab" * 32, "cd" * 32))

    report = tell_run(judged.ledger.store, judged.spec.run_id).report

    assert (report.dataset_digest, report.apprentice_sha256) == ("ab" * 32, "cd" * 32)
    assert report.loss_steps == 160
    assert len(report.loss_curve) == 80
    assert report.loss_curve[0] == pytest.approx((1 + 1 / 2) / 2)
    assert report.stages["apprentice"].work_seconds == 3.5


def test_what_a_tombstone_covers_is_left_out_and_counted(judged: Run) -> None:
    add_tombstone(judged.ledger.store, Tombstone.of(urls=["https://shop.example/0"], by="test"))

    told = tell_run(judged.ledger.store, judged.spec.run_id)

    assert [sheet.page_url for sheet in told.gallery.clusters] == ["https://shop.example/1"]
    assert len(told.gallery.candidates) == 4  # three and a copy; the first page's three and two failures are out
    assert told.report.sample.left_out == {"TOMBSTONED": 3 + 5}
    assert told.report.stages["filtering"].items_in == 9  # counts tell what was done


def test_pictures_that_the_store_has_no_more_are_left_out_and_counted(judged: Run) -> None:
    ledger = judged.ledger
    ledger.store.delete(ledger.get(Stage.GROUPING, 0).part("pictures-000000.tar").key)

    told = tell_run(ledger.store, judged.spec.run_id)

    assert not told.gallery.clusters
    assert not told.gallery.candidates
    assert told.report.sample.left_out == {"OBJECT_MISSING": 7 + 9}
    assert told.report.stages["filtering"].items_out == 6


def test_a_shard_whose_tables_are_gone_is_named(judged: Run) -> None:
    ledger = judged.ledger
    ledger.store.delete(ledger.get(Stage.SELECTION, 0).part("clusters.parquet").key)

    report = tell_run(ledger.store, judged.spec.run_id).report

    assert report.sample.unreadable == {0: "OBJECT_MISSING"}
    assert report.stages["filtering"].items_out == 6


def test_a_replay_shows_what_its_parent_drew_with_its_own_verdicts(judged: Run) -> None:
    strict = FilterRecipe(min_gain=2.0, max_copy_similarity=1.0, min_copy_difference=0.02)
    child = judged.spec.model_copy(
        update={"run_id": ids.new_run_id(), "parent_run_id": judged.spec.run_id, "filtering": strict}
    )
    put_spec(judged.ledger.store, child)
    filtering.replay(Ledger(judged.ledger.store, child.run_id), child, 0, parent=judged.ledger)

    told = tell_run(judged.ledger.store, child.run_id)

    assert told.report.parent_run_id == judged.spec.run_id
    assert told.report.stages["experts"].state == "inherited"
    assert told.report.stages["filtering"].dropped_by_reason["GAIN_TOO_LOW"] == 6
    assert len(told.gallery.clusters) == 2
    assert {card.kept for card in told.gallery.candidates} == {False}


def test_of_many_shards_all_are_counted_and_four_are_looked_at(begun: Run) -> None:
    spec = begun.spec.model_copy(update={"run_id": ids.new_run_id()})
    put_spec(begun.ledger.store, spec)
    ledger = Ledger(begun.ledger.store, spec.run_id)
    ledger.draft(Stage.GROUPING, 0).commit(
        counts={"shards": 200, "items_in": 1000, "items_out": 1000, "dropped": 0}, seconds=1
    )
    for shard in range(200):
        counts = {"items_in": 5, "items_out": 3, "dropped": 2, "cluster_too_similar": 2}
        ledger.draft(Stage.SELECTION, shard).commit(counts=counts, seconds=0.5)

    report = tell_run(ledger.store, spec.run_id).report

    assert report.stages["selection"].dropped_by_reason == {"CLUSTER_TOO_SIMILAR": 400}
    assert report.stages["selection"].work_seconds == 100
    assert report.sample.shards == [0, 50, 100, 150]
    assert report.sample.of_shards == 200


def test_a_shard_that_waits_for_a_decision_is_told(begun: Run) -> None:
    letter = DeadLetter(
        letter_id="01JD0000000000000000000000",
        subject="",
        body=b"",
        reason="DELIVERIES_EXHAUSTED",
        message="",
        run_id=begun.spec.run_id,
        stage=Stage.CAPTIONING,
        shard=0,
        deliveries=5,
        trace_id="",
        at=datetime.now(UTC),
    )
    DeadLetters(begun.ledger.store).record(letter)

    report = tell_run(begun.ledger.store, begun.spec.run_id).report

    assert report.stages["captioning"].shards_held == 1


def test_a_run_that_is_not_there_is_named(begun: Run) -> None:
    with pytest.raises(NotFound, match=r"01ARZ3NDEKTSV4RRFFQ69G5FAV.*suti run list"):
        tell_run(begun.ledger.store, "01ARZ3NDEKTSV4RRFFQ69G5FAV")
