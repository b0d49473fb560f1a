import io
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from suti.infra.store import Store
from suti.ml.evaluation.protocols import DREAMBENCH
from suti.stages.evaluation.drawings import Outcome
from suti.stages.evaluation.measuring import MeasuringModels
from suti.stages.evaluation.orders import EvaluationOrder, OrderedSubject, evaluation_prefix
from suti.stages.evaluation.plan import EvaluationChanged, System, check_model, read_plan
from suti.stages.evaluation.stored import StoredEvaluation
from suti.stages.evaluation.subjects import EvaluationSubject
from suti.stages.evaluation.work import EvaluationFolder
from suti.stages.generation.subjects import Demonstration, SubjectRepository
from tests.unit.stages.evaluation.conftest import Colours, picture

OPERATION = "01ARZ3NDEKTSV4RRFFQ69G5FAV"


def _registered(store: Store, count: int) -> str:
    shown: list[Demonstration] = []
    for number in range(count):
        buffer = io.BytesIO()
        picture(number).save(buffer, "PNG")
        shown.append(Demonstration(buffer.getvalue(), f"mug {number}", f"{number:064d}"))
    return SubjectRepository(store).register(shown, display_name="", created_by="me").subject_id


def _order(subject: str) -> EvaluationOrder:
    return EvaluationOrder(
        model="m", subjects=(OrderedSubject(subject_id=subject, class_word="mug"),), prompts="dreambench",
        numbers=(0, 1, 2), samples=1, protocol=DREAMBENCH.name, dino="dino", clip="clip", seed=0, steps=0,
        guidance=None,
    )  # fmt: skip


def test_a_subjects_pictures_are_looked_at_once_for_all_its_prompts(tmp_path: Path, models: MeasuringModels) -> None:
    store = Store.open(f"file://{tmp_path}")
    order = _order(_registered(store, 3))
    before = models.clip.pictures_encoded

    opened = StoredEvaluation(store, OPERATION, order=order, system=System(name="m"), models=models)
    for subject, prompt in order.shards():
        opened.do_shard(subject, prompt, Colours())

    # Three real pictures once; each of three drawings for CLIP-I and for CLIP-T.
    assert models.clip.pictures_encoded - before == 3 + 3 * 2
    folder = EvaluationFolder(store, evaluation_prefix(OPERATION))
    assert len(folder.all_rows()) == 3 * 6 + 3 * 5
    plan = read_plan(store, prefix=evaluation_prefix(OPERATION))
    assert plan.subjects[order.subjects[0].subject_id].captions == ("mug 0", "mug 1", "mug 2")


def test_a_model_that_was_exchanged_stops_the_evaluation_and_leaves_no_row(
    tmp_path: Path, models: MeasuringModels
) -> None:
    class Exchanged:
        def draw(self, subject: EvaluationSubject, prompt: str, seeds: Sequence[int]) -> Iterator[Outcome]:
            check_model("m", "a" * 64, "b" * 64)
            yield from ()

    store = Store.open(f"file://{tmp_path}")
    order = _order(_registered(store, 1))
    opened = StoredEvaluation(store, OPERATION, order=order, system=System(name="m", sha256="a" * 64), models=models)
    subject, prompt = order.shards()[1]

    with pytest.raises(EvaluationChanged, match=r"was aaaaaaaaaaaa .* and is bbbbbbbbbbbb now"):
        opened.do_shard(subject, prompt, Exchanged())

    assert EvaluationFolder(store, evaluation_prefix(OPERATION)).all_rows() == []
