from pathlib import Path

import duckdb
import pytest

from suti.core.errors import RetryableError
from suti.infra.tables import from_parquet
from suti.ml.evaluation.protocols import UNSEEN_REFERENCES
from suti.stages.evaluation.drawings import FolderDrawings
from suti.stages.evaluation.measuring import METRICS
from suti.stages.evaluation.plan import EvaluationChanged, freeze
from suti.stages.evaluation.rows import REAL, EvaluationRow
from suti.stages.evaluation.summing import sum_up
from suti.stages.evaluation.totals import Total, differences
from suti.stages.evaluation.work import measure_all
from suti.stages.generation.painter import DrawingDiverged
from tests.unit.stages.evaluation.conftest import Bench, MakeBench, picture


def _run(bench: Bench) -> list[Total]:
    freeze(bench.plan, bench.folder.store)
    measure_all(bench.plan, bench.subjects, bench.source, bench.models, bench.folder)
    return sum_up(bench.folder)


def _total(found: list[Total], system: str, metric: str, condition: str = "all") -> Total:
    (one,) = [row for row in found if (row.system, row.metric, row.condition) == (system, metric, condition)]
    return one


def test_every_drawing_has_a_row_for_every_metric_with_all_that_the_score_rests_on(bench: MakeBench) -> None:
    made = bench()

    _run(made)

    rows = made.folder.all_rows()
    drawn = [row for row in rows if row.prompt_number != REAL]
    assert len(drawn) == 2 * 2 * 2 * len(METRICS)
    assert {row.reason for row in drawn} == {""}
    (row,) = [r for r in drawn if (r.subject, r.prompt_number, r.sample, r.metric) == ("rex", 20, 1, "clip_t")]
    assert (row.prompt, row.text, row.skill) == ("a red sks dog", "a red dog", "attribute")
    assert (row.class_word, row.system, row.system_sha256, len(row.pixels_sha256)) == ("dog", "colours", "aa", 64)
    assert row.protocol_id.startswith("dreambench;references=all;background=kept;text=class;")
    assert (row.dino_sha256, row.clip_sha256) == (made.models.dino.digest, made.models.clip.digest)
    assert row.seed == made.drawer.asked[-1][2][1]


def test_rows_are_a_table_that_anybody_reads(bench: MakeBench, tmp_path: Path) -> None:
    found = _run(bench())

    path = tmp_path / "out" / "rows.parquet"
    query = "select avg(score), count(*) from read_parquet(?) where metric = 'dino' and system = 'colours'"
    answer = duckdb.execute(query, [str(path)]).fetchone()

    total = _total(found, "colours", "dino")
    assert answer == (pytest.approx(total.mean), total.n)


def test_an_interrupted_evaluation_goes_on_and_repeats_nothing(bench: MakeBench) -> None:
    class Gone(RetryableError):
        reason = "SERVER_GONE"

    def lost(prompt: str) -> None:
        if prompt == "a sks dog in the jungle":
            raise Gone("gone: start it again")

    stopped = bench()
    stopped.drawer.fails = lost
    with pytest.raises(Gone):
        _run(stopped)
    partial = sum_up(stopped.folder)
    again, whole = bench(), bench(out="whole")

    _run(again)

    assert _total(partial, "colours", "dino").n == 4  # the candle's
    assert [(name, prompt) for name, prompt, _ in again.drawer.asked] == [
        ("rex", "a sks dog in the jungle"),
        ("rex", "a red sks dog"),
    ]
    _run(whole)
    assert again.folder.all_rows() == whole.folder.all_rows()
    third = bench()
    _run(third)
    assert third.drawer.asked == []


def test_another_plan_does_not_mix_its_rows_in(bench: MakeBench) -> None:
    _run(bench())

    with pytest.raises(EvaluationChanged, match="another seed"):
        _run(bench(seed=1))
    with pytest.raises(EvaluationChanged, match="another protocol"):
        _run(bench(protocol=UNSEEN_REFERENCES))


def test_what_cannot_be_drawn_is_counted_and_in_no_mean(bench: MakeBench) -> None:
    def diverged(prompt: str) -> None:
        if prompt == "a red sks candle":
            raise DrawingDiverged("no numbers: lower the guidance")

    made = bench()
    made.drawer.fails = diverged

    total = _total(_run(made), "colours", "dino")

    assert (total.n, total.missing, total.reasons) == (6, 2, {"DRAWING_DIVERGED": 2})


def test_missing_and_broken_pictures_of_a_folder_are_marked_and_measured_once_they_are_there(
    bench: MakeBench, tmp_path: Path
) -> None:
    drawings = tmp_path / "drawings"
    for number, sample in ((0, 0), (0, 1), (20, 0)):
        place = drawings / "candle" / str(number)
        place.mkdir(parents=True, exist_ok=True)
        picture(7 * number + sample).save(place / f"{sample:03d}.png")
    (drawings / "candle" / "20" / "1.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    made = bench()
    freeze(made.plan, made.folder.store)

    measure_all(made.plan, made.subjects, FolderDrawings(drawings), made.models, made.folder)
    before = _total(sum_up(made.folder), "colours", "dino")
    picture(1).save(drawings / "candle" / "20" / "1.png")
    measure_all(made.plan, made.subjects, FolderDrawings(drawings), made.models, made.folder)
    after = _total(sum_up(made.folder), "colours", "dino")

    assert (before.n, before.subjects, before.reasons) == (3, 1, {"DRAWING_MISSING": 4, "PICTURE_UNREADABLE": 1})
    assert (after.n, after.missing, after.reasons) == (4, 4, {"DRAWING_MISSING": 4})


def test_a_reference_that_cannot_be_opened_is_told_beside_every_score_that_lacks_it(
    bench: MakeBench, photos: Path
) -> None:
    (photos / "candle" / "02.png").write_bytes(b"no picture")

    found = _run(bench())

    assert _total(found, "colours", "dino").short_of_references == 4
    assert _total(found, "real", "dino").reasons == {"PICTURE_UNREADABLE": 1}


def test_a_subject_without_pictures_leaves_rows_that_say_so(bench: MakeBench, photos: Path) -> None:
    for path in (photos / "candle").iterdir():
        path.unlink()

    found = _run(bench())

    total = _total(found, "colours", "dino")
    assert (total.n, total.reasons) == (4, {"NO_REFERENCES": 4})
    assert _total(found, "colours", "clip_t").n == 8


def test_skills_have_totals_of_their_own(bench: MakeBench) -> None:
    found = _run(bench())

    assert _total(found, "colours", "clip_t", "recontextualisation").n == 4
    assert _total(found, "colours", "clip_t", "attribute").n == 4


def test_two_systems_are_compared_pair_by_pair_and_what_has_no_pair_is_told(bench: MakeBench) -> None:
    one, other = bench(name="one", out="1"), bench(name="other", out="2")

    def diverged(prompt: str) -> None:
        if prompt == "a red sks candle":
            raise DrawingDiverged("no numbers: lower the guidance")

    other.drawer.fails = diverged
    _run(one)
    _run(other)

    found = differences(one.folder.all_rows(), other.folder.all_rows())

    (dino,) = [row for row in found if (row.metric, row.condition) == ("dino", "all")]
    assert (dino.one, dino.other, dino.n, dino.subjects, dino.unpaired) == ("one", "other", 6, 2, 2)
    assert (dino.mean, dino.low, dino.high, dino.probability) == (0, 0, 0, 0.5)  # the same seeds drew the same


def test_rows_come_back_as_they_were_written(bench: MakeBench) -> None:
    made = bench()
    _run(made)

    assert from_parquet(made.folder.store.get("rows.parquet"), EvaluationRow) == made.folder.all_rows()
