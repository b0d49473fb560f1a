"""Drawings are kept subject by subject: shared, resumed, and equal when they are drawn again."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from suti.ml.diffusion.recipe import SamplingRecipe
from suti.ml.model_files import folder_digest
from suti.ml.rivals.untuned import InContext
from suti.ml.subject.files import load_subject_model, save_subject_model
from suti.reproduce.conditions import Condition, rows_of
from suti.reproduce.drawings import DrawingCell, Truth, draw_parts, load_part
from suti.reproduce.rows import as_table
from suti.reproduce.scale import Scale, packaged
from suti.reproduce.scoring import score, scored, unscored
from suti.reproduce.sources import Taught
from suti.reproduce.subject_sets import SubjectSet

_SUBJECTS = SubjectSet(subjects=2, pictures_each=2)
_REAL = DrawingCell(system="real", rival=Truth(rival="real"), subjects=_SUBJECTS)
_STRANGER = DrawingCell(system="stranger", rival=Truth(rival="stranger"), subjects=_SUBJECTS)


def _re_imagen(**changes: object) -> DrawingCell:
    sampling = SamplingRecipe(sampler="dpmsolver++", steps=2, guidance=2.0)
    fields = {
        "system": "re-imagen",
        "rival": InContext(rival="re-imagen"),
        "source": packaged("warmstart"),
        "subjects": _SUBJECTS,
        "sampling": sampling,
    }
    return DrawingCell.model_validate({**fields, **changes})


def _teach(taught: Taught, out: Path, *, seed: int) -> None:
    """Weights in an apprentice's folder, as training leaves them."""
    folder = taught.folder(out)
    model = load_subject_model(packaged("warmstart").folder(out))
    generator = torch.Generator().manual_seed(seed)
    for weight in model.base.unet.conv_out.parameters():
        torch.nn.init.normal_(weight, std=0.1, generator=generator)
    save_subject_model(model, folder)
    (folder / "taught.json").write_text(json.dumps({"sha256": folder_digest(folder), "seconds": 0.0}))


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The truth and a stranger, drawn and measured."""
    folder = tmp_path_factory.mktemp("reproduce")
    for cell in (_REAL, _STRANGER):
        draw_parts(cell, cell.missing(folder), folder)
        for place in unscored(cell, folder):
            score(cell, place, folder)
    return folder


def test_a_drawing_goes_on_where_it_was_interrupted(tmp_path: Path) -> None:
    cell = _re_imagen()
    draw_parts(cell, [1], tmp_path)
    assert cell.missing(tmp_path) == [0]
    written = cell.part(tmp_path, 1).stat().st_mtime_ns

    draw_parts(cell, [0, 1], tmp_path)

    assert cell.missing(tmp_path) == []
    assert cell.part(tmp_path, 1).stat().st_mtime_ns == written


def test_drawn_again_the_pictures_have_the_same_bits(tmp_path: Path) -> None:
    cell = _re_imagen()
    pictures = []
    for folder in (tmp_path / "one", tmp_path / "two"):
        draw_parts(cell, [0], folder)
        pictures.append(load_part(cell.part(folder, 0)).pictures_NCHW)
    assert pictures[0].dtype == torch.uint8
    assert torch.equal(*pictures)


def test_the_first_picture_is_timed_alone(tmp_path: Path) -> None:
    cell = _re_imagen(subjects=SubjectSet(subjects=1, pictures_each=4))
    draw_parts(cell, [0], tmp_path)
    part = load_part(cell.part(tmp_path, 0))
    assert 0 < part.first_seconds < part.draw_seconds
    assert part.first_picture_seconds == part.prepare_seconds + part.first_seconds


def test_what_other_weights_drew_is_not_what_this_model_drew(tmp_path: Path) -> None:
    one = Scale().taught(0)
    cell = _re_imagen(source=one, subjects=SubjectSet(subjects=1, pictures_each=1))
    assert cell.missing(tmp_path) == [0]
    _teach(one, tmp_path, seed=0)
    draw_parts(cell, [0], tmp_path)
    score(cell, 1, tmp_path)
    first = load_part(cell.part(tmp_path, 0))
    assert cell.missing(tmp_path) == []
    assert scored(cell, tmp_path)

    shutil.rmtree(one.folder(tmp_path))
    assert cell.missing(tmp_path) == [0]  # nobody knows who drew it
    _teach(one, tmp_path, seed=1)

    assert cell.missing(tmp_path) == [0]
    assert scored(cell, tmp_path) == []
    draw_parts(cell, [0], tmp_path)
    second = load_part(cell.part(tmp_path, 0))
    assert first.model_sha256 != second.model_sha256
    assert not torch.equal(first.pictures_NCHW, second.pictures_NCHW)


def test_equal_drawings_are_one_cell_whoever_asks() -> None:
    assert _re_imagen() == _re_imagen()
    assert _re_imagen().name == _re_imagen().name
    assert _re_imagen(shown=3).name != _re_imagen().name


def test_the_truth_is_identified_and_a_stranger_is_not(out: Path) -> None:
    real, stranger = ([one.values["identified_16way"] for one in scored(cell, out)] for cell in (_REAL, _STRANGER))
    assert sum(real) > sum(stranger)
    assert len(real) == len(stranger) == _SUBJECTS.pictures


def test_a_drawing_is_measured_once_by_each_metric(out: Path) -> None:
    assert unscored(_REAL, out) == []
    assert all(
        {"overall", "identified_16way", "follows_prompt", "clip_t", "clip_i"} <= set(one.values)
        for one in scored(_REAL, out)
    )


def test_conditions_have_rows_with_intervals_differences_and_what_was_not_run(out: Path) -> None:
    other = Condition("chance", "", (_STRANGER,))
    conditions = [
        Condition("real", "", (_REAL,), against={"chance": "chance"}),
        other,
        Condition("re-imagen", "", (_re_imagen(),)),
    ]

    rows = {(row.system, row.metric): row for row in rows_of("table1", conditions, out)}

    assert rows["re-imagen", "clip_t"].mean is None
    assert rows["re-imagen", "clip_t"].n == 0
    real, chance = rows["real", "identified_16way"], rows["chance", "identified_16way"]
    assert (real.n, real.seeds) == (4, 0)  # nobody was trained
    assert real.protocol_id == chance.protocol_id
    drawn, *judges = real.protocol_id.split(";")
    assert drawn == "toy-unseen-16way/2x1x2/r4/s0"
    assert [judge.partition("=")[0] for judge in judges] == ["oracle", "clip", "dino"]
    difference = rows["real", "identified_16way_minus_chance"]
    assert difference.mean == pytest.approx((real.mean or 0) - (chance.mean or 0))
    assert (rows["real", "identified_16way_probability_above_chance"].mean or 0) > 0.5


def test_a_seed_that_was_not_run_is_counted_and_not_in_the_protocol(out: Path) -> None:
    other = _REAL.model_copy(update={"subjects": _SUBJECTS.model_copy(update={"seed": 1})})

    rows = rows_of("table1", [Condition("real", "", (_REAL, other))], out)

    assert {row.protocol_id.split(";")[0] for row in rows} == {"toy-unseen-16way/2x1x2/r4/s0"}
    assert {row.metric: row.mean for row in rows}["seeds_not_run"] == 1
    assert "4, 1 seeds not run" in as_table(rows, {"overall": "overall"})


def test_a_condition_may_be_a_part_of_what_was_drawn(out: Path) -> None:
    skill = _SUBJECTS.asked(0).skill
    (whole,) = {len(scored(_REAL, out))}
    rows = rows_of("skills", [Condition("real", skill.value, (_REAL,), skill=skill)], out)
    assert {row.n for row in rows if row.metric == "clip_t"} < {whole, 2}


def test_pictures_asked_for_by_skill_and_chosen_by_skill_have_other_protocols() -> None:
    skill = _SUBJECTS.asked(0).skill
    asked = _REAL.model_copy(update={"subjects": _SUBJECTS.model_copy(update={"skill": skill})})
    ids = {
        Condition("real", "", (asked,)).protocol_id,
        Condition("real", "", (_REAL,), skill=skill).protocol_id,
        Condition("real", "", (_REAL,)).protocol_id,
    }
    assert len(ids) == 3
