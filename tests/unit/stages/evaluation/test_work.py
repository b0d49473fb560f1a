from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from pathlib import Path

import duckdb
import pytest
from PIL import Image

from suti.core.errors import InvalidArgument, RetryableError
from suti.infra.tables import from_parquet
from suti.ml.evaluation.protocols import MASKED, UNSEEN_REFERENCES
from suti.stages.evaluation.drawings import FolderDrawings, Outcome, as_they_come
from suti.stages.evaluation.measuring import METRICS
from suti.stages.evaluation.plan import EvaluationChanged, freeze
from suti.stages.evaluation.rows import REAL, EvaluationRow
from suti.stages.evaluation.subjects import EvaluationSubject
from suti.stages.evaluation.summing import sum_up
from suti.stages.evaluation.totals import Total, differences
from suti.stages.evaluation.work import measure_all
from suti.stages.generation.painter import DrawingDiverged
from tests.unit.stages.evaluation.conftest import Bench, Colours, MakeBench, picture


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
    assert row.protocol_id.startswith("dreambench;references=all;background=kept,alpha-on-white;text=class;")
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


def test_one_diverged_sample_costs_no_other_and_is_not_drawn_again(bench: MakeBench) -> None:
    made = bench()
    made.drawer.diverges = lambda prompt, place: prompt == "a red sks candle" and place == 0

    total = _total(_run(made), "colours", "dino")
    asked = len(made.drawer.asked)
    again = _total(_run(made), "colours", "dino")

    assert (total.n, total.missing, total.reasons) == (7, 1, {"DRAWING_DIVERGED": 1})
    assert (again, len(made.drawer.asked)) == (total, asked)


def test_what_is_drawn_beside_a_failure_comes_before_it() -> None:
    class Gone(RetryableError):
        reason = "SERVER_GONE"

    drawing: dict[Future[Image.Image], int] = {Future(): seed for seed in range(3)}
    for future, outcome in zip(drawing, [Gone("gone"), picture(1), DrawingDiverged("no numbers")], strict=True):
        if isinstance(outcome, Exception):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)
    outcomes, found = as_they_come(drawing), dict[int, object]()

    with pytest.raises(Gone):
        found.update(outcomes)
    again = as_they_come({future: seed for future, seed in drawing.items() if seed})
    assert {seed: isinstance(outcome, DrawingDiverged) for seed, outcome in again} == {1: False, 2: True}


def test_drawings_that_came_before_a_failure_are_kept_and_only_the_rest_is_drawn(bench: MakeBench) -> None:
    class Gone(RetryableError):
        reason = "SERVER_GONE"

    class Leaving(Colours):
        def draw(self, subject: EvaluationSubject, prompt: str, seeds: Sequence[int]) -> Iterator[Outcome]:
            yield next(super().draw(subject, prompt, seeds))
            raise Gone("gone")

    made = bench()
    made.drawer = Leaving()
    with pytest.raises(Gone):
        _run(made)
    again = bench()
    _run(again)

    assert [len(seeds) for _, _, seeds in again.drawer.asked] == [1, 2, 2, 2]


def _folder_of(place: Path, first: int, prompts: tuple[int, ...] = (0, 20)) -> FolderDrawings:
    for number in prompts:
        for sample in range(2):
            for name in ("candle", "rex"):
                (place / name / str(number)).mkdir(parents=True, exist_ok=True)
                picture(first + 7 * number + sample).save(place / name / str(number) / f"{sample}.png")
    return FolderDrawings(place)


def test_two_folders_of_drawings_never_end_in_one_table(bench: MakeBench, tmp_path: Path) -> None:
    made = bench()
    freeze(made.plan, made.folder.store)
    half, whole = _folder_of(tmp_path / "half", 0, (0,)), _folder_of(tmp_path / "whole", 500)

    for source in (half, whole):
        measure_all(made.plan, made.subjects, source, made.models, made.folder)

    (tmp_path / "fresh").mkdir()
    fresh = bench(out="fresh")
    freeze(fresh.plan, fresh.folder.store)
    measure_all(fresh.plan, fresh.subjects, whole, fresh.models, fresh.folder)
    assert made.folder.all_rows() == fresh.folder.all_rows()
    assert _total(sum_up(made.folder), "colours", "dino").n == 8


def test_whoever_deletes_the_plan_alone_does_not_inherit_its_drawings(bench: MakeBench) -> None:
    made = bench()
    _run(made)
    made.folder.store.delete("evaluation.json")

    with pytest.raises(EvaluationChanged, match="delete it whole"):
        _run(bench(seed=1, name="another"))
    assert not made.folder.store.exists("evaluation.json")


def test_nobody_is_called_what_rows_about_real_pictures_say(bench: MakeBench) -> None:
    with pytest.raises(InvalidArgument, match="another name"):
        _run(bench(name="real"))


def test_captions_of_what_a_system_sees_are_part_of_the_plan(bench: MakeBench, photos: Path) -> None:
    _run(bench())
    (photos / "candle" / "00.txt").write_text("a blue candle")

    changed = bench()
    assert changed.plan.subjects["candle"].captions == ("a blue candle", "a candle")
    with pytest.raises(EvaluationChanged, match="another subjects"):
        _run(changed)


def test_a_reference_or_a_mask_that_was_mended_is_measured_against_everywhere(
    bench: MakeBench, photos: Path, tmp_path: Path
) -> None:
    lost = photos / "candle" / "02.png"
    whole = lost.read_bytes()
    for path in photos.glob("*/*.png"):
        Image.new("L", (40, 36), 255).save(path.with_name(f"{path.stem}.mask.png"))
    drawings = tmp_path / "drawings"
    source = _folder_of(drawings, 0)
    for path in list(drawings.glob("*/*/*.png")):
        Image.new("L", (40, 36), 255).save(path.with_name(f"{path.stem}.mask.png"))

    def measured() -> Total:
        made = bench(protocol=MASKED)
        freeze(made.plan, made.folder.store)
        measure_all(made.plan, made.subjects, source, made.models, made.folder)
        return _total(sum_up(made.folder), "colours", "dino")

    lost.write_bytes(b"no picture")
    short = measured()
    lost.write_bytes(whole)
    mended = measured()
    half = Image.new("L", (40, 36), 0)
    half.paste(255, (0, 0, 20, 36))
    half.save(photos / "candle" / "00.mask.png")
    masked = measured()
    half.save(drawings / "candle" / "0" / "0.mask.png")
    drawn = measured()

    assert (short.short_of_references, mended.short_of_references) == (4, 0)
    assert len({one.mean for one in (short, mended, masked, drawn)}) == 4


def test_what_was_unreadable_only_while_it_was_measured_is_measured_again(bench: MakeBench, photos: Path) -> None:
    made = bench()
    lost = photos / "candle" / "02.png"
    whole = lost.read_bytes()
    lost.write_bytes(b"no picture")
    freeze(made.plan, made.folder.store)
    measure_all(made.plan, made.subjects, made.source, made.models, made.folder)
    short = _total(sum_up(made.folder), "colours", "dino")
    lost.write_bytes(whole)

    assert (short.short_of_references, _total(_run(made), "colours", "dino").short_of_references) == (4, 0)


def test_missing_and_broken_pictures_of_a_folder_are_marked_and_measured_once_they_are_there(
    bench: MakeBench, tmp_path: Path
) -> None:
    drawings = tmp_path / "drawings"
    for number, sample in ((0, 0), (0, 1), (20, 0)):
        place = drawings / "candle" / str(number)
        place.mkdir(parents=True, exist_ok=True)
        picture(7 * number + sample).save(place / f"{sample:03d}.png")
    (drawings / "candle" / "20" / "1.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    (drawings / "candle" / "0" / "0.txt").write_text("a note is no drawing")
    made = bench()
    freeze(made.plan, made.folder.store)

    measure_all(made.plan, made.subjects, FolderDrawings(drawings), made.models, made.folder)
    before = _total(sum_up(made.folder), "colours", "dino")
    picture(1).save(drawings / "candle" / "20" / "1.png")
    measure_all(made.plan, made.subjects, FolderDrawings(drawings), made.models, made.folder)
    after = _total(sum_up(made.folder), "colours", "dino")

    assert (before.n, before.subjects, before.reasons) == (3, 1, {"DRAWING_MISSING": 4, "PICTURE_UNREADABLE": 1})
    assert (after.n, after.missing, after.reasons) == (4, 4, {"DRAWING_MISSING": 4})


def test_of_two_files_of_one_sample_neither_is_measured(bench: MakeBench, tmp_path: Path) -> None:
    place = tmp_path / "drawings" / "candle" / "0"
    place.mkdir(parents=True)
    for name in ("0.png", "00.jpg", "1.png"):
        picture(3).save(place / name)
    made = bench()
    freeze(made.plan, made.folder.store)

    measure_all(made.plan, made.subjects, FolderDrawings(tmp_path / "drawings"), made.models, made.folder)
    found = _total(sum_up(made.folder), "colours", "dino")

    assert (found.n, found.reasons["DRAWING_AMBIGUOUS"]) == (1, 1)


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
    one, other = bench(name="one", out="1"), bench(name="other", out="2", seed=1)
    other.drawer.diverges = lambda prompt, _place: prompt == "a red sks candle"
    _run(one)
    _run(other)

    found = differences(one.folder.all_rows(), other.folder.all_rows())

    (dino,) = [row for row in found if (row.metric, row.condition) == ("dino", "all")]
    assert (dino.one, dino.other, dino.n, dino.subjects, dino.unpaired) == ("one", "other", 6, 2, 2)
    # By hand: six pairs, the candle's two and the dog's four.
    scores = [
        {(r.subject, r.prompt_number, r.sample): r.score for r in made.folder.all_rows() if r.metric == "dino"}
        for made in (one, other)
    ]
    apart = {
        name: [
            (scores[0][key] or 0) - (scores[1][key] or 0) for key in scores[0] if key[0] == name and key[1] in numbers
        ]
        for name, numbers in {"candle": (0,), "rex": (0, 20)}.items()
    }
    assert [len(values) for values in apart.values()] == [2, 4]
    assert dino.mean == pytest.approx(sum(map(sum, apart.values())) / 6)
    assert dino.mean is not None
    assert dino.mean != pytest.approx(0, abs=1e-4)
    means = [sum(apart["candle"]) / 2, sum(apart["rex"]) / 4]
    ordered = [means[0], means[1], dino.mean, dino.mean]  # the four resamples of two subjects
    assert dino.probability == pytest.approx(sum(mean > 0 for mean in ordered) / 4, abs=0.02)
    assert (dino.low, dino.high) == pytest.approx((min(means), max(means)))


def test_systems_that_saw_other_pictures_are_measured_against_others_where_that_matters(bench: MakeBench) -> None:
    one, other = (
        bench(name=str(count), out=str(count), demonstrations=count, protocol=UNSEEN_REFERENCES) for count in (1, 2)
    )
    _run(one)
    _run(other)

    differ = differences(one.folder.all_rows(), other.folder.all_rows())
    found = {row.metric: row for row in differ if row.condition == "all"}

    assert (found["dino"].n, found["dino"].mismatched) == (0, 4)  # of the candle; the dog has two pictures
    assert found["copy"].mismatched == 8
    assert (found["clip_t"].n, found["clip_t"].mismatched) == (8, 0)


def test_rows_come_back_as_they_were_written(bench: MakeBench) -> None:
    made = bench()
    _run(made)

    assert from_parquet(made.folder.store.get("rows.parquet"), EvaluationRow) == made.folder.all_rows()
